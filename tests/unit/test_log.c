/* Unit tests of modules/base/log.h: standard error is a pipe or a pseudo-terminal that the test
 * reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_rates.h"

#define TIME_LEN 24 /* "2026-01-31T12:00:00.123Z" */

static int saved_stderr, reader;
static char output[1 << 17];

/* Standard error becomes `writer`; what is written there comes out of `from`. */
static void redirect(int writer, int from)
{
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0 && dup2(writer, STDERR_FILENO) == STDERR_FILENO);
    close(writer);
    reader = from;
    assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
}

static int use_pipe(void **state)
{
    int fd[2];
    (void)state;
    if (pipe(fd) < 0)
        return -1;
    redirect(fd[1], fd[0]);
    return 0;
}

static int use_terminal(void **state)
{
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
    (void)state;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return -1;
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0)
        return -1;
    redirect(slave, master);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    return 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    unsetenv("JOURNAL_STREAM");
    log_setup("test", LOG_INFO, false);
    return 0;
}

/* Everything written until now. */
static const char *written(void)
{
    size_t len = 0;
    ssize_t n;
    while ((n = read(reader, output + len, sizeof output - 1 - len)) > 0)
        len += (size_t)n;
    output[len] = '\0';
    return output;
}

static void lines_have_time_level_and_role(void **state)
{
    (void)state;
    log_setup("relay", LOG_INFO, false);
    log_info("listening on %s", "[::]:7443");
    const char *line = written();
    assert_true(strlen(line) > TIME_LEN);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[TIME_LEN - 1], 'Z');
    assert_string_equal(line + TIME_LEN, " info  relay: listening on [::]:7443\n");
    log_error("a");
    assert_string_equal(written() + TIME_LEN, " error relay: a\n");
    log_warning("b");
    assert_string_equal(written() + TIME_LEN, " warn  relay: b\n");
    assert_false(log_on_terminal());
    log_status(0, "nothing to see");
    assert_string_equal(written(), "");
}

static void levels_are_respected(void **state)
{
    (void)state;
    log_setup("relay", LOG_WARNING, false);
    assert_true(log_enabled(LOG_WARNING));
    assert_false(log_enabled(LOG_INFO));
    log_info("no");
    log_debug("no");
    assert_string_equal(written(), "");
    log_setup("relay", LOG_DEBUG, false);
    log_debug("yes");
    assert_string_equal(written() + TIME_LEN, " debug relay: yes\n");
}

static void first_and_last_lines(void **state)
{
    static const struct {
        enum failure failure;
        const char *line;
    } ends[] = {
        {FAILURE_NONE, " info  relay: ended: because\n"},
        {FAILURE_INTERRUPTED, " info  relay: ended: because\n"},
        {FAILURE_OTHER, " error relay: ended: because\n"},
        {FAILURE_NETWORK, " error relay: ended: because\n"},
    };
    (void)state;
    log_setup("relay", LOG_INFO, false);
    log_started();
    assert_string_equal(written() + TIME_LEN, " info  relay: started: spx 0.1.0\n");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        log_ended(ends[i].failure, "because");
        assert_string_equal(written() + TIME_LEN, ends[i].line);
    }
}

static void json_is_escaped(void **state)
{
    (void)state;
    log_setup("agent", LOG_INFO, true);
    log_warning("a \"quoted\" back\\slash\n\033 \xc3\xa9");
    const char *line = written();
    assert_int_equal(strncmp(line, "{\"time\":\"", 9), 0);
    assert_string_equal(line + 9 + TIME_LEN, "\",\"level\":\"warning\",\"role\":\"agent\",\"text\":"
                                             "\"a \\\"quoted\\\" back\\\\slash?? \xc3\xa9\"}\n");
}

static const char *after_role(void)
{
    return written() + strlen("{\"time\":\"") + TIME_LEN +
           strlen("\",\"level\":\"info\",\"role\":\"agent\",");
}

static void json_has_fields(void **state)
{
    static const struct log_fields all = {.event = "e",
                                          .circuit = "c",
                                          .resumes = "r",
                                          .user = "u",
                                          .agent = "a",
                                          .relay = "l",
                                          .key = "k",
                                          .address = "d",
                                          .target = "t \"\\\n\xff\xc3\xa9",
                                          .request = "q",
                                          .reason = "w",
                                          .code = 1,
                                          .stream = 4294967295,
                                          .severity = 3,
                                          .counted = true,
                                          .streams = 4,
                                          .bytes_up = UINT64_MAX,
                                          .duration_us = 1999999,
                                          .left_out = 6};
    (void)state;
    log_setup("agent", LOG_INFO, true);
    log_event(LOG_INFO, &all, "text");
    assert_string_equal(
        after_role(),
        "\"event\":\"e\",\"circuit\":\"c\",\"resumes\":\"r\",\"user\":\"u\",\"agent\":\"a\","
        "\"key\":\"k\","
        "\"relay\":\"l\",\"address\":\"d\",\"target\":\"t "
        "\\\"\\\\??\xc3\xa9\",\"request\":\"q\",\"reason\":\"w\","
        "\"code\":1,\"stream\":4294967295,\"severity\":3,\"left_out\":6,\"streams\":4,"
        "\"bytes_up\":18446744073709551615,\"bytes_down\":0,\"duration_ms\":1999,\"text\":\"text\"}"
        "\n");
    log_event(LOG_INFO, &(struct log_fields){.event = "e", .user = "", .bytes_up = 7}, "text");
    assert_string_equal(after_role(), "\"event\":\"e\",\"text\":\"text\"}\n");
    log_setup("agent", LOG_INFO, false);
    log_event(LOG_INFO, &all, "text");
    assert_string_equal(written() + TIME_LEN, " info  agent: text\n");
}

/* Every line is an object: what is too long is cut between two characters. */
static void long_fields_are_cut(void **state)
{
    static char quotes[10000], letters[10000];
    struct log_fields f = {.event = "e", .target = letters, .reason = quotes};
    (void)state;
    memset(quotes, '"', sizeof quotes - 1);
    for (size_t i = 0; i + 2 < sizeof letters; i += 2)
        memcpy(letters + i, "\xc3\xa9", 2);
    log_setup("agent", LOG_INFO, true);
    for (int cut = 0; cut < 4; cut++) {
        log_event(LOG_INFO, &f, "%s", quotes + cut);
        const char *line = after_role();
        const char *target = strstr(line, "\"target\":\""), *text = strstr(line, "\"text\":\"");
        assert_non_null(target);
        assert_non_null(text);
        assert_true(strlen(output) <= 4096);
        for (target += 10; *target != '"'; target += 2)
            assert_memory_equal(target, "\xc3\xa9", 2);
        for (text += 8; *text != '"'; text += 2)
            assert_memory_equal(text, "\\\"", 2);
        assert_string_equal(text, "\"}\n");
        f.event = "eeee" + cut; /* so that each has another end */
    }
}

static void text_cannot_forge_lines(void **state)
{
    (void)state;
    log_setup("agent", LOG_INFO, false);
    log_info("%s", "user\nerror: forged\033[2J\xff");
    assert_string_equal(written() + TIME_LEN, " info  agent: user?error: forged?[2J?\n");
}

static void lines_are_bounded(void **state)
{
    static char quotes[10000];
    (void)state;
    memset(quotes, '"', sizeof quotes - 1);
    log_setup("agent", LOG_INFO, true);
    log_info("%s", quotes);
    const char *line = written();
    size_t len = strlen(line);
    assert_true(len > 3000 && len <= 4096);
    assert_string_equal(line + len - 3, "\"}\n");
}

static void journal_lines_have_priorities(void **state)
{
    struct stat st;
    char stream[64];
    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup("relay", LOG_DEBUG, false);
    log_error("a");
    log_warning("b");
    log_info("c");
    log_debug("d");
    assert_string_equal(written(), "<3>error relay: a\n<4>warn  relay: b\n<6>info  relay: c\n"
                                   "<7>debug relay: d\n");
    /* Another socket's name: standard error was redirected. */
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup("relay", LOG_DEBUG, false);
    log_info("e");
    assert_string_equal(written() + TIME_LEN, " info  relay: e\n");
}

/* The test itself would hang here if a line could block. */
static void full_pipes_lose_lines_and_say_so(void **state)
{
    int lines = 0, got = 0;
    (void)state;
    log_setup("relay", LOG_INFO, false);
    for (; lines < 2000; lines++)
        log_info("%d %0200d", lines, 0);
    for (const char *c = written(); *c != '\0'; c++)
        got += *c == '\n';
    assert_true(got > 0 && got < lines);

    char expected[128];
    log_info("after");
    const char *line = written();
    snprintf(expected, sizeof expected, " warn  relay: %d log lines lost before this one\n",
             lines - got);
    assert_int_equal(strncmp(line + TIME_LEN, expected, strlen(expected)), 0);
    assert_string_equal(line + TIME_LEN + strlen(expected) + TIME_LEN, " info  relay: after\n");
    log_info("again");
    assert_string_equal(written() + TIME_LEN, " info  relay: again\n");
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static void rated_lines_are_counted_when_left_out(void **state)
{
    struct log_rate noisy = {0}, other = {0};
    uint64_t now = 5 * CLOCK_US_PER_S;
    (void)state;
    log_setup("agent", LOG_INFO, false);
    for (int i = 0; i < LOG_RATE_BURST + 12; i++) {
        log_rated(&noisy, now, LOG_INFO, "alice: %d", i);
        log_rated(&noisy, now, LOG_DEBUG, "not shown, and not counted");
    }
    assert_int_equal(count_lines(written()), LOG_RATE_BURST);
    log_rated(&other, now, LOG_INFO, "bob");
    assert_string_equal(written() + TIME_LEN, " info  agent: bob\n");
    now += CLOCK_US_PER_S / LOG_RATE_PER_S;
    log_rated(&noisy, now, LOG_INFO, "alice: on");
    assert_string_equal(written() + TIME_LEN,
                        " info  agent: alice: on (12 more like this left out)\n");
}

/* The party of this number. */
static const uint8_t *party(unsigned number)
{
    static uint8_t out[LOG_PARTY_BYTES];
    memcpy(out, &number, sizeof number);
    return out;
}

/* It comes again as often as it likes; nobody else's lines are left out for it, nor its own others.
 */
static void parties_have_rates_of_their_own(void **state)
{
    struct log_rates rates;
    uint64_t now = 5 * CLOCK_US_PER_S;
    (void)state;
    log_setup("agent", LOG_INFO, false);
    log_rates_init(&rates, (const uint8_t[16]){0});
    for (int i = 0; i < LOG_RATE_BURST + 12; i++) {
        log_caused(&rates, party(1), now, LOG_INFO, "alice: %d", i);
        log_caused(&rates, party(1), now, LOG_DEBUG, "not shown %d", i);
    }
    assert_int_equal(count_lines(written()), LOG_RATE_BURST);
    log_caused(&rates, party(2), now, LOG_INFO, "alice: %d", 0);
    assert_string_equal(written() + TIME_LEN, " info  agent: alice: 0\n");
    log_caused(&rates, party(1), now, LOG_INFO, "alice refused: %d", 1);
    assert_string_equal(written() + TIME_LEN, " info  agent: alice refused: 1\n");
    now += CLOCK_US_PER_S / LOG_RATE_PER_S;
    log_caused(&rates, party(1), now, LOG_INFO, "alice: %d", 99);
    assert_string_equal(written() + TIME_LEN,
                        " info  agent: alice: 99 (12 more like this left out)\n");
    log_rates_free(&rates);
    assert_string_equal(written(), "");
}

/* The last of those left out is told by a sweep, or at the end, when no other comes. */
static void what_was_left_out_is_told(void **state)
{
    struct log_rates rates;
    uint64_t now = 5 * CLOCK_US_PER_S;
    (void)state;
    log_setup("agent", LOG_INFO, false);
    log_rates_init(&rates, (const uint8_t[16]){0});
    for (int i = 0; i < LOG_RATE_BURST + 3; i++)
        log_caused(&rates, party(1), now, LOG_WARNING, "alice: %d", i);
    written();
    log_rates_sweep(&rates, now);
    assert_string_equal(written(), "");
    now += CLOCK_US_PER_S / LOG_RATE_PER_S;
    log_rates_sweep(&rates, now);
    assert_string_equal(written() + TIME_LEN,
                        " warn  agent: alice: 52 (2 more like this left out)\n");
    log_rates_sweep(&rates, now + 1);
    assert_string_equal(written(), "");
    log_caused(&rates, party(1), now, LOG_INFO, "alice: %d", 53);
    assert_string_equal(written(), "");
    log_rates_free(&rates);
    assert_string_equal(written() + TIME_LEN, " info  agent: alice: 53\n");
}

/* With its fields, though those who had them are gone, and the number of the others. */
static void fields_of_what_was_left_out(void **state)
{
    static char too_long[600];
    char user[] = "alice";
    struct log_fields f = {.event = "e", .user = user, .reason = too_long, .code = 7};
    struct log_party by = {.fields = &f};
    struct log_rates rates;
    (void)state;
    memset(too_long, 'x', sizeof too_long - 1);
    log_setup("agent", LOG_INFO, true);
    log_rates_init(&rates, (const uint8_t[16]){0});
    for (int i = 0; i < LOG_RATE_BURST + 3; i++)
        log_caused_event(&rates, party(1), CLOCK_US_PER_S, LOG_INFO, &f, "%d", i);
    written();
    memset(user, 'x', sizeof user - 1);
    log_rates_free(&rates);
    assert_string_equal(after_role(),
                        "\"event\":\"e\",\"user\":\"alice\",\"code\":7,\"left_out\":2,"
                        "\"text\":\"52 (2 more like this left out)\"}\n");
    f = log_party_fields(&by, "other");
    assert_string_equal(f.event, "other");
    assert_int_equal(f.code, 7);
    by.fields = NULL;
    assert_null(log_party_fields(&by, "other").user);
}

/* Memory is bounded, and free again once all is quiet. */
static void rates_are_forgotten(void **state)
{
    struct log_rates rates;
    uint64_t now = 5 * CLOCK_US_PER_S, quiet = LOG_RATE_BURST * CLOCK_US_PER_S / LOG_RATE_PER_S;
    (void)state;
    log_setup("agent", LOG_INFO, false);
    log_rates_init(&rates, (const uint8_t[16]){0});
    for (unsigned i = 0; i < LOG_RATES_MAX + 100; i++) {
        log_caused(&rates, party(i), now, LOG_INFO, "%u", i);
        written();
    }
    assert_int_equal(rates.table.count, LOG_RATES_MAX);
    for (int i = 0; i < LOG_RATE_BURST; i++)
        log_caused(&rates, party(7000), now, LOG_INFO, "noisy %d", i);
    log_rates_sweep(&rates, now + quiet - 1);
    assert_int_equal(rates.table.count, 1);
    log_rates_sweep(&rates, now + quiet);
    assert_int_equal(rates.table.count, 0);
    log_rates_free(&rates);
    written();
}

static void lasting_states_are_told_seldom(void **state)
{
    struct log_seldom full = {0};
    uint64_t now = 5 * CLOCK_US_PER_S;
    (void)state;
    log_setup("agent", LOG_INFO, false);
    for (int i = 0; i < 600; i++)
        log_seldom(&full, now + (uint64_t)i * CLOCK_US_PER_S / 10, LOG_WARNING, "full: %d", i);
    assert_string_equal(written() + TIME_LEN, " warn  agent: full: 0\n");
    now += LOG_SELDOM_S * CLOCK_US_PER_S;
    log_seldom(&full, now, LOG_WARNING, "full");
    assert_string_equal(written() + TIME_LEN, " warn  agent: full (599 more like this left out)\n");
    log_seldom(&full, now, LOG_WARNING, "full");
    log_seldom_end(&full, LOG_INFO, "connections");
    assert_string_equal(written() + TIME_LEN,
                        " info  agent: connections: 1 more like this left out\n");
    log_seldom_end(&full, LOG_INFO, "connections");
    assert_string_equal(written(), "");
}

static void closed_pipes_are_harmless(void **state)
{
    (void)state;
    log_setup("relay", LOG_INFO, false);
    close(reader);
    reader = -1;
    log_info("nobody reads this: no SIGPIPE may come");

    int fd[2];
    assert_true(pipe(fd) == 0 && dup2(fd[1], STDERR_FILENO) == STDERR_FILENO);
    close(fd[1]);
    reader = fd[0];
    assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
    log_info("back");
    assert_non_null(strstr(written(), "warn  relay: 1 log line lost before this one\n"));
}

static void status_line_stays_below_the_log(void **state)
{
    (void)state;
    log_setup("client", LOG_INFO, false);
    assert_true(log_on_terminal());
    log_status(0, "up 1.2 ms");
    assert_string_equal(written(), "\r\033[Kup 1.2 ms");
    log_info("a");
    const char *line = written();
    assert_int_equal(strncmp(line, "\r\033[K", 4), 0);
    assert_string_equal(line + 4 + TIME_LEN, " \033[32minfo \033[0m client: a\r\nup 1.2 ms");
    log_status(0, NULL);
    assert_string_equal(written(), "\r\033[K");
    log_status(0, NULL);
    assert_string_equal(written(), "");
    log_info("b");
    assert_string_equal(written() + TIME_LEN, " \033[32minfo \033[0m client: b\r\n");
}

static void status_line_is_cut_at_the_width(void **state)
{
    (void)state;
    log_setup("client", LOG_INFO, false);
    log_status(0, "\xc3\xa9"
                  "234567890123456789012345");
    assert_string_equal(written(), "\r\033[K\xc3\xa9"
                                   "234567890123456789");
    log_status(0, "a\nb");
    assert_string_equal(written(), "\r\033[Ka?b");
    log_status(0, NULL);
    written();
}

static void status_lines_stand_in_their_rows(void **state)
{
    (void)state;
    log_setup("client", LOG_INFO, false);
    log_status(2, "c");
    log_status(0, "a");
    written();
    log_status(0, "A");
    assert_string_equal(written(), "\r\033[K\033[A\033[KA\r\nc");
    log_info("line");
    const char *line = written();
    assert_int_equal(strncmp(line, "\r\033[K\033[A\033[K", 10), 0);
    assert_string_equal(line + 10 + TIME_LEN, " \033[32minfo \033[0m client: line\r\nA\r\nc");
    log_status(2, NULL);
    assert_string_equal(written(), "\r\033[K\033[A\033[KA");
    log_status(LOG_STATUS_ROWS, "no room");
    assert_string_equal(written(), "");
    log_status(0, NULL);
    assert_string_equal(written(), "\r\033[K");
}

static void colours_can_be_refused(void **state)
{
    (void)state;
    setenv("NO_COLOR", "1", 1);
    log_setup("client", LOG_INFO, false);
    log_info("a");
    assert_string_equal(written() + TIME_LEN, " info  client: a\r\n");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    log_setup("client", LOG_INFO, false);
    assert_false(log_on_terminal());
    log_setup("client", LOG_INFO, true);
    assert_false(log_on_terminal());
}

static char tapped[4096];

static void tap(void *arg, struct view line)
{
    assert_ptr_equal(arg, tapped);
    snprintf(tapped, sizeof tapped, "%.*s", (int)line.len, (const char *)line.data);
}

/* Lines about events, in JSON, whatever the log's own form is. */
static void events_are_tapped(void **state)
{
    (void)state;
    log_setup("test", LOG_INFO, false);
    log_set_tap(tap, tapped);
    log_info("no event");
    log_event(LOG_DEBUG, &(struct log_fields){.event = "quiet"}, "not logged");
    assert_string_equal(tapped, "");
    log_event(LOG_INFO, &(struct log_fields){.event = "call", .severity = 3}, "a \"fan\"");
    assert_string_equal(tapped + sizeof "{\"time\":\"" - 1 + TIME_LEN,
                        "\",\"level\":\"info\",\"role\":\"test\",\"event\":\"call\",\"severity\":3,"
                        "\"text\":\"a \\\"fan\\\"\"}\n");
    log_set_tap(NULL, NULL);
    tapped[0] = '\0';
    log_event(LOG_INFO, &(struct log_fields){.event = "call"}, "nobody hears");
    assert_string_equal(tapped, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_have_time_level_and_role, use_pipe, restore),
        cmocka_unit_test_setup_teardown(levels_are_respected, use_pipe, restore),
        cmocka_unit_test_setup_teardown(first_and_last_lines, use_pipe, restore),
        cmocka_unit_test_setup_teardown(json_is_escaped, use_pipe, restore),
        cmocka_unit_test_setup_teardown(json_has_fields, use_pipe, restore),
        cmocka_unit_test_setup_teardown(long_fields_are_cut, use_pipe, restore),
        cmocka_unit_test_setup_teardown(text_cannot_forge_lines, use_pipe, restore),
        cmocka_unit_test_setup_teardown(lines_are_bounded, use_pipe, restore),
        cmocka_unit_test_setup_teardown(journal_lines_have_priorities, use_pipe, restore),
        cmocka_unit_test_setup_teardown(full_pipes_lose_lines_and_say_so, use_pipe, restore),
        cmocka_unit_test_setup_teardown(rated_lines_are_counted_when_left_out, use_pipe, restore),
        cmocka_unit_test_setup_teardown(lasting_states_are_told_seldom, use_pipe, restore),
        cmocka_unit_test_setup_teardown(parties_have_rates_of_their_own, use_pipe, restore),
        cmocka_unit_test_setup_teardown(what_was_left_out_is_told, use_pipe, restore),
        cmocka_unit_test_setup_teardown(fields_of_what_was_left_out, use_pipe, restore),
        cmocka_unit_test_setup_teardown(rates_are_forgotten, use_pipe, restore),
        cmocka_unit_test_setup_teardown(events_are_tapped, use_pipe, restore),
        cmocka_unit_test_setup_teardown(closed_pipes_are_harmless, use_pipe, restore),
        cmocka_unit_test_setup_teardown(status_line_stays_below_the_log, use_terminal, restore),
        cmocka_unit_test_setup_teardown(status_lines_stand_in_their_rows, use_terminal, restore),
        cmocka_unit_test_setup_teardown(status_line_is_cut_at_the_width, use_terminal, restore),
        cmocka_unit_test_setup_teardown(colours_can_be_refused, use_terminal, restore),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
