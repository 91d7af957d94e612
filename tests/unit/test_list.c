/* The lines of `spx client list`, of relays whose words the test writes, with a clock of the test's
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "client/list.h"
#include "client/survey.h"
#include "net/loop.h"

/* --- The clock (base/clock.h) --- */

static uint64_t now_us = 1000 * CLOCK_US_PER_S;

uint64_t clock_now_us(void)
{
    return now_us;
}

void clock_wall_text(char out[25])
{
    snprintf(out, 25, "2026-01-31T12:00:00.000Z");
}

int64_t clock_wall_s(void)
{
    return 0;
}

/* --- Relays (client/survey.h): what they say is in the test's script --- */

static struct survey {
    struct deferred start;
    struct survey_request request;
} survey;

static char asked[64]; /* the last question */
static void (*script)(void);

static void run_script(struct deferred *d)
{
    (void)d;
    script();
    if (survey.request.watch)
        raise(SIGINT);
}

struct survey *survey_new(struct loop *loop, const struct survey_request *request)
{
    survey = (struct survey){.start.run = run_script, .request = *request};
    snprintf(asked, sizeof asked, "%s", request->query);
    loop_defer(loop, &survey.start);
    return &survey;
}

void survey_free(struct survey *s)
{
    (void)s;
}

static void says(size_t relay, const struct agent_entry *entry)
{
    survey.request.events->on_agent(survey.request.arg, relay, entry);
}

static void agent(size_t relay, const char *name, unsigned state, const char *labels)
{
    says(relay, &(struct agent_entry){.name = view_of_string(name),
                                      .state = (uint8_t)state,
                                      .labels = view_of_string(labels)});
}

static void calls(size_t relay, uint32_t age_s, const char *taken_by, const char *text)
{
    uint8_t bytes[TOLD_CALLS_BYTES];
    struct told_calls told = {.count = 1,
                              .all[0] = {.number = 1,
                                         .severity = 3,
                                         .age_s = age_s,
                                         .taken_by = view_of_string(taken_by),
                                         .text = view_of_string(text)}};
    says(relay, &(struct agent_entry){
                    .name = view_of_string("lab-1"),
                    .state = AGENT_ONLINE,
                    .severity = 3,
                    .calls = view_of(bytes, told_calls_encode(&told, bytes, sizeof bytes))});
}

static void complete(size_t relay)
{
    survey.request.events->on_complete(survey.request.arg, relay);
}

static void lose(size_t relay)
{
    survey.request.events->on_failed(survey.request.arg, relay,
                                     &(struct wire_error){.code = CODE_NETWORK, .text = "lost"});
}

/* --- What is printed --- */

static const char *query = "";
static bool as_json;

static const char *printed_of(void (*words)(void), bool watch)
{
    static char text[4096];
    struct client_relay relays[2] = {{.address.host = "one"}, {.address.host = "two"}};
    struct client_config config = {.relays = relays, .relay_count = 2};
    struct list_options options = {.query = query, .watch = watch, .json = as_json};
    FILE *file = tmpfile();
    int kept = dup(STDOUT_FILENO);
    assert_true(file && kept >= 0);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    script = words;
    enum failure failure = list_agents(&config, &(struct hop_party){0}, &options);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    loop_release_signals();
    assert_int_equal(failure, watch ? FAILURE_INTERRUPTED : FAILURE_NONE);
    return text;
}

/* The table; names have five letters, states are filled up to ten. */
#define HEADER "AGENT                    STATE      FOR          LABELS\n"
#define ROW(NAME, STATE, LABELS) NAME "                    " STATE " 0 s          " LABELS "\n"

static void two_relays(void)
{
    agent(0, "lab-2", AGENT_OFFLINE, "a=1");
    agent(0, "lab-9", AGENT_ONLINE, "");
    complete(0);
    agent(1, "lab-2", AGENT_ONLINE, "a=2");
    agent(1, "lab-1", AGENT_OFFLINE, "");
    complete(1);
}

static void test_merged_and_sorted(void **state)
{
    (void)state;
    assert_string_equal(printed_of(two_relays, false),
                        HEADER ROW("lab-1", "offline   ", "") ROW("lab-2", "online    ", "a=2")
                            ROW("lab-9", "online    ", ""));
}

/* The lines that a watch prints once the list is there, of one agent. */
#define AT_FIRST HEADER ROW("lab-1", "online    ", "a=1")

static void begin(void)
{
    agent(0, "lab-1", AGENT_ONLINE, "a=1");
    complete(0);
    complete(1);
}

/* A line is printed again when it would say something else; its age alone is nothing else. */
static void changes(void)
{
    begin();
    now_us += 60 * CLOCK_US_PER_S;
    agent(0, "lab-1", AGENT_ONLINE, "a=1");
    agent(0, "lab-1", AGENT_ONLINE, "a=2");
    agent(0, "lab-1", AGENT_OFFLINE, "a=2");
    agent(0, "lab-1", AGENT_OFFLINE, "a=2");
    agent(1, "lab-1", AGENT_ONLINE, "a=2");
    agent(1, "lab-2", AGENT_OFFLINE, "");
}

static void test_changes(void **state)
{
    (void)state;
    assert_string_equal(printed_of(changes, true),
                        AT_FIRST ROW("lab-1", "online    ", "a=2") ROW("lab-1", "offline   ", "a=2")
                            ROW("lab-1", "online    ", "a=2") ROW("lab-2", "offline   ", ""));
}

/* A call that two relays tell is shown once, and again when it is taken or says otherwise. */
static void changes_of_calls(void)
{
    begin();
    calls(0, 1, "", "fan");
    calls(1, 1, "", "fan");
    calls(0, 9, "", "fan"); /* it is older now */
    calls(0, 5, "bob", "fan");
    calls(0, 5, "bob", "fans");
    agent(0, "lab-1", AGENT_ONLINE, "");
}

#define CALL(REST) ROW("lab-1", "online    ", "") "    CALL 1, severity 3, " REST "\n"

static void test_changes_of_calls(void **state)
{
    (void)state;
    assert_string_equal(printed_of(changes_of_calls, true),
                        AT_FIRST CALL("1 s ago: fan") CALL("5 s ago, taken by bob: fan")
                            CALL("5 s ago, taken by bob: fans") ROW("lab-1", "online    ", ""));
}

/* Of a relay that is lost counts only what no other says; of all that are lost the best, until one
 * is back without it. */
static void relays_are_lost(void)
{
    agent(1, "lab-1", AGENT_OFFLINE, "a=1");
    begin();
    lose(0);
    lose(1);
    complete(0);
}

static void test_relays_are_lost(void **state)
{
    (void)state;
    assert_string_equal(printed_of(relays_are_lost, true),
                        AT_FIRST ROW("lab-1", "offline   ", "a=1") ROW("lab-1", "online    ", "a=1")
                            ROW("lab-1", "offline   ", "a=1"));
}

/* An agent that the relay no longer has when it is back is unlisted, until it comes. */
static void gone_and_back(void)
{
    begin();
    lose(0);
    complete(0);
    agent(0, "lab-1", AGENT_ONLINE, "a=1");
}

/* The other has it as well: nothing is new. */
static void gone_at_one(void)
{
    agent(1, "lab-1", AGENT_ONLINE, "a=1");
    begin();
    lose(0);
    complete(0);
}

static void lost_and_back(void)
{
    begin();
    lose(0);
    agent(0, "lab-1", AGENT_ONLINE, "a=1");
    complete(0);
}

static void test_relay_is_back(void **state)
{
    (void)state;
    assert_string_equal(printed_of(gone_and_back, true), AT_FIRST ROW("lab-1", "unlisted  ", "a=1")
                                                             ROW("lab-1", "online    ", "a=1"));
    assert_string_equal(printed_of(gone_at_one, true), AT_FIRST);
    assert_string_equal(printed_of(lost_and_back, true), AT_FIRST);
}

static void a_longer_name(void)
{
    agent(0, "lab-10", AGENT_ONLINE, "");
    complete(0);
    complete(1);
}

/* A word is an agent's name only if the relays list that very name. */
static void test_word_or_name(void **state)
{
    (void)state;
    query = "lab-1";
    printed_of(a_longer_name, false);
    assert_string_equal(asked, "*lab-1*");
    query = "lab-10";
    printed_of(a_longer_name, false);
    assert_string_equal(asked, "lab-10");
    query = "";
}

/* --- JSON --- */

static void odd_labels(void)
{
    agent(0, "lab-1", AGENT_ONLINE, "a=1 ab=2 a=3 =4 =5 b a b=6 a= ab");
    complete(0);
    complete(1);
}

static void test_json_labels(void **state)
{
    (void)state;
    as_json = true;
    const char *text = printed_of(odd_labels, false);
    as_json = false;
    assert_non_null(strstr(text, "\"labels\":{\"a\":\"1\",\"ab\":\"2\",\"\":\"4\",\"b\":\"\"},"));
}

/* --- The key of one agent --- */

static void keyed(size_t relay, const char *name, uint8_t byte)
{
    struct agent_entry entry = {.name = view_of_string(name)};
    memset(entry.public_key, byte, sizeof entry.public_key);
    says(relay, &entry);
}

static void others_too(void)
{
    keyed(0, "lab-0", 1);
    keyed(0, "lab-1", 2);
    keyed(0, "lab-2", 3);
    complete(0);
    keyed(1, "lab-1", 2);
    complete(1);
}

static void only_others(void)
{
    keyed(0, "lab-0", 1);
    keyed(0, "lab-2", 1);
    complete(0);
    complete(1);
}

static void different_keys(void)
{
    keyed(0, "lab-1", 1);
    complete(0);
    keyed(1, "lab-1", 2);
    complete(1);
}

/* The first byte of the key that is found for lab-1; 0: none, and why. */
static uint8_t key_found(void (*words)(void), enum code why)
{
    struct client_relay relays[2] = {{.address.host = "one"}, {.address.host = "two"}};
    struct client_config config = {.relays = relays, .relay_count = 2};
    struct wire_error e = {0};
    enum failure failure;
    const char *authority = NULL;
    uint8_t key[KEY_BYTES] = {0};
    script = words;
    bool found =
        list_find_key(&config, &(struct hop_party){0}, "lab-1", key, &authority, &failure, &e);
    assert_int_equal(found, failure == FAILURE_NONE);
    assert_int_equal(e.code, why);
    return key[0];
}

/* A relay that lists others than the asked one says nothing about it. */
static void test_key(void **state)
{
    (void)state;
    assert_int_equal(key_found(others_too, CODE_OK), 2);
    assert_int_equal(key_found(only_others, CODE_NO_AGENT), 0);
    assert_int_equal(key_found(different_keys, CODE_UNKNOWN_KEY), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged_and_sorted), cmocka_unit_test(test_changes),
        cmocka_unit_test(test_changes_of_calls),  cmocka_unit_test(test_relays_are_lost),
        cmocka_unit_test(test_relay_is_back),     cmocka_unit_test(test_json_labels),
        cmocka_unit_test(test_word_or_name),      cmocka_unit_test(test_key),
    };
    log_setup("client", LOG_ERROR, false);
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
