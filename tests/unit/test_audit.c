/* The audit: entries and their lines, the chain, the file that several processes write, and the
 * thread that a slow or full disk holds up alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/counts.h"
#include "audit/file.h"
#include "auditor/verify.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "net/loop.h"

#define HEX32 "00112233445566778899aabbccddeeff"
#define HEX64 HEX32 HEX32
#define TIME "2026-01-31T12:00:00.123Z"

/* ---- Entries and lines. ---- */

static const struct audit_entry whole = {
    .chain = HEX32,
    .number = 7,
    .time = TIME,
    .role = "agent",
    .event = "stream_ended",
    .session = HEX32,
    .circuit = HEX32,
    .user = "alice",
    .key = "SHA256:x",
    .agent = "boston",
    .relay = "SHA256:y",
    .address = "127.0.0.1:22",
    .target = "tcp:127.0.0.1:22",
    .stream = 3,
    .severity = 4,
    .count = 5,
    .counted = true,
    .bytes_down = UINT64_MAX,
    .measured = true,
    .sent = 10,
    .acknowledged = 9,
    .duration_ms = 12,
    .code = 6,
    .reason = "say \"no\" \\ \n\xff",
    .by = "client",
    .torn = HEX64,
    .salt = HEX32,
    .previous = HEX64,
};

static const char whole_line[] =
    "{\"chain\":\"" HEX32 "\",\"number\":7,\"time\":\"" TIME "\",\"role\":\"agent\","
    "\"event\":\"stream_ended\",\"session\":\"" HEX32 "\",\"circuit\":\"" HEX32 "\","
    "\"user\":\"alice\",\"key\":\"SHA256:x\",\"agent\":\"boston\",\"relay\":\"SHA256:y\","
    "\"address\":\"127.0.0.1:22\",\"target\":\"tcp:127.0.0.1:22\",\"stream\":3,\"severity\":4,"
    "\"count\":5,\"bytes_up\":0,\"bytes_down\":18446744073709551615,\"sent\":10,"
    "\"acknowledged\":9,\"received\":0,\"duration_ms\":12,\"code\":6,"
    "\"reason\":\"say \\\"no\\\" \\\\ ??\",\"by\":\"client\",\"torn\":\"" HEX64 "\","
    "\"salt\":\"" HEX32 "\",\"previous\":\"" HEX64 "\"}";

static bool reads(const char *text)
{
    static struct audit_line line;
    return audit_line_read(&line, view_of_string(text));
}

static void every_field_is_written_and_read(void **state)
{
    static struct audit_line line;
    char text[AUDIT_LINE_MAX];
    (void)state;
    assert_int_equal(audit_entry_encode(text, &whole), strlen(whole_line));
    assert_string_equal(text, whole_line);
    assert_true(audit_line_read(&line, view_of_string(text)));
    assert_string_equal(line.entry.user, "alice");
    assert_string_equal(line.entry.reason, "say \"no\" \\ ??");
    assert_true(line.entry.bytes_down == UINT64_MAX && line.entry.counted && line.entry.measured);
}

/* No byte of a line can be another, be missing or stand there twice, unless the line is one that
 * the encoder writes as well. */
static void a_line_has_one_spelling(void **state)
{
    static struct audit_line line;
    char text[AUDIT_LINE_MAX], again[AUDIT_LINE_MAX];
    size_t len = strlen(whole_line), read = 0;
    (void)state;
    for (size_t i = 0; i < len; i++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(text, whole_line, len + 1);
            text[i] = (char)c;
            if (!audit_line_read(&line, view_of(text, len)))
                continue;
            read++;
            assert_int_equal(audit_entry_encode(again, &line.entry), len);
            assert_memory_equal(again, text, len);
        }
        snprintf(text, sizeof text, "%.*s%s", (int)i, whole_line, whole_line + i + 1);
        if (reads(text))
            assert_true(strchr("0123456789", whole_line[i]) || strstr(whole_line + i, "\",\"torn"));
        assert_false(audit_line_read(&line, view_of(whole_line, i)));
    }
    assert_true(read > len);
}

static void strange_lines_are_not_read(void **state)
{
    static const char *const strange[] = {
        "",
        "{}",
        "{",
        "null",
        "{\"chain\":\"" HEX32 "\"}",
        /* a group of which half is missing, a number too large, a space, an order */
        "{\"chain\":\"" HEX32 "\",\"number\":1,\"time\":\"" TIME
        "\",\"role\":\"r\",\"event\":\"e\",\"bytes_up\":1,\"salt\":\"" HEX32
        "\",\"previous\":\"" HEX64 "\"}",
        "{\"chain\":\"" HEX32 "\",\"number\":18446744073709551617,\"time\":\"" TIME
        "\",\"role\":\"r\",\"event\":\"e\",\"salt\":\"" HEX32 "\",\"previous\":\"" HEX64 "\"}",
        "{\"chain\":\"" HEX32 "\", \"number\":1,\"time\":\"" TIME
        "\",\"role\":\"r\",\"event\":\"e\",\"salt\":\"" HEX32 "\",\"previous\":\"" HEX64 "\"}",
        "{\"number\":1,\"chain\":\"" HEX32 "\",\"time\":\"" TIME
        "\",\"role\":\"r\",\"event\":\"e\",\"salt\":\"" HEX32 "\",\"previous\":\"" HEX64 "\"}",
        "{\"chain\":\"" HEX32 "\",\"number\":1,\"time\":\"2026-01-31 12:00:00.123Z"
        "\",\"role\":\"r\",\"event\":\"e\",\"salt\":\"" HEX32 "\",\"previous\":\"" HEX64 "\"}",
    };
    (void)state;
    assert_true(reads("{\"chain\":\"" HEX32 "\",\"number\":1,\"time\":\"" TIME
                      "\",\"role\":\"r\",\"event\":\"e\",\"salt\":\"" HEX32
                      "\",\"previous\":\"" HEX64 "\"}"));
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        assert_false(reads(strange[i]));
}

/* The longest that anybody can make an entry fits a line, and is read. */
static void the_longest_entry_fits(void **state)
{
    static char longest[3 * AUDIT_LINE_MAX];
    struct audit_entry e = whole;
    char text[AUDIT_LINE_MAX];
    (void)state;
    for (int shape = 0; shape < 3; shape++) {
        static const char *const shapes[] = {"\"", "x", "\xe2\x82\xac"};
        longest[0] = '\0';
        for (size_t n = 0; n + 4 < sizeof longest; n += strlen(shapes[shape]))
            strcpy(longest + n, shapes[shape]);
        e.role = e.event = e.user = e.key = e.agent = e.relay = longest;
        e.address = e.target = e.reason = e.by = longest;
        e.number = e.stream = e.severity = e.count = e.bytes_up = e.sent = UINT64_MAX;
        e.acknowledged = e.received = e.duration_ms = e.code = UINT64_MAX;
        assert_true(audit_entry_encode(text, &e) < AUDIT_LINE_MAX - 1);
        assert_true(reads(text));
    }
}

/* ---- The file. ---- */

static char directory[64];

static int enter(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/spx-test-audit-XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    glob_t all;
    (void)state;
    if (glob("*", 0, NULL, &all) == 0)
        for (size_t i = 0; i < all.gl_pathc; i++)
            unlink(all.gl_pathv[i]);
    globfree(&all);
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static struct audit_record *record(const char *event, const char *reason)
{
    char object[AUDIT_LINE_MAX];
    const struct audit_entry e = {.time = TIME, .role = "agent", .event = event, .reason = reason};
    size_t len = audit_entry_encode(object, &e);
    struct audit_record *r = malloc(sizeof *r + len);
    assert_non_null(r);
    list_init(&r->link);
    r->len = len;
    memcpy(r->object, object, len);
    return r;
}

/* Appends so many entries in one commit. */
static bool append_some(struct audit_file *f, size_t wanted, const char *reason)
{
    struct list records;
    struct error e = {0};
    size_t count = 0;
    bool good;
    list_init(&records);
    for (size_t i = 0; i < wanted; i++)
        list_append(&records, &record("test", reason)->link);
    good = audit_file_append(f, &records, false, &count, &e);
    assert_int_equal(count, good ? wanted : 0);
    assert_int_equal(good, e.failure == FAILURE_NONE);
    list_each (link, &records)
        free(container_of(link, struct audit_record, link));
    return good;
}

static bool append(struct audit_file *f, const char *reason)
{
    return append_some(f, 1, reason);
}

static struct audit_file open_audit(uint64_t limit)
{
    struct audit_file f;
    audit_file_init(&f, "audit", "agent", limit);
    return f;
}

static void append_text(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
}

static char *read_whole(const char *path, size_t *len)
{
    struct error e = {0};
    char *text = NULL;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && file_read_fd(fd, path, (size_t)1 << 30, &text, len, &e));
    close(fd);
    return text;
}

static void copy_beginning(const char *from, const char *to, size_t bytes)
{
    size_t len;
    char *text = read_whole(from, &len);
    append_text(to, text, bytes);
    free(text);
}

static bool holds(const char *path, const char *words)
{
    size_t len;
    char *text = read_whole(path, &len);
    bool found = strstr(text, words) != NULL;
    free(text);
    return found;
}

/* Verifies the file, without its output. */
static struct verified verify_quietly(const char *path)
{
    static struct reading r;
    struct verified v;
    struct error e = {0};
    int saved = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    fflush(stdout);
    dup2(null, STDOUT_FILENO);
    assert_true(reading_begin(&r, path, &e));
    verify_reading(&v, &r);
    verified_free(&v);
    reading_end(&r);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(null);
    return v;
}

static void assert_audit(const char *path, uint64_t entries, uint64_t last_number)
{
    struct verified v = verify_quietly(path);
    assert_int_equal(v.findings, 0);
    assert_int_equal(v.torn_bytes, 0);
    assert_int_equal(v.entries, entries);
    assert_int_equal(v.last.number, last_number);
}

static void a_file_is_begun_and_goes_on(void **state)
{
    struct audit_file f = open_audit(0);
    struct stat st;
    (void)state;
    assert_true(append(&f, "one"));
    assert_true(append_some(&f, 3, "two"));
    audit_file_free(&f);
    assert_true(stat("audit", &st) == 0 && (st.st_mode & 0777) == 0600);
    assert_audit("audit", 5, 5); /* and the chain's first entry */
    f = open_audit(0);
    assert_true(append(&f, "three"));
    audit_file_free(&f);
    assert_audit("audit", 6, 6);
}

/* Eight processes, each some commits: one chain. */
static void several_processes_make_one_chain(void **state)
{
    (void)state;
    for (int p = 0; p < 8; p++)
        if (fork() == 0) {
            struct audit_file f = open_audit(0);
            bool good = true;
            for (int i = 0; i < 20; i++)
                good = append_some(&f, 2, "x") && good;
            _exit(good ? 0 : 1);
        }
    for (int p = 0; p < 8; p++) {
        int status;
        assert_true(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_audit("audit", 8 * 40 + 1, 8 * 40 + 1);
}

/* Torn at each byte of a line: what was whole stays, and a chain of its own tells of the rest. */
static void a_torn_line_begins_a_chain(void **state)
{
    struct audit_file f = open_audit(0);
    struct stat st, longer;
    (void)state;
    assert_true(append(&f, "whole"));
    assert_int_equal(stat("audit", &st), 0);
    assert_true(append(&f, "torn"));
    assert_int_equal(stat("audit", &longer), 0);
    audit_file_free(&f);
    assert_int_equal(rename("audit", "full"), 0);
    for (off_t size = longer.st_size; size >= 0; size -= size > st.st_size + 1 ? 7 : 1) {
        bool at_line = size == st.st_size || size == st.st_size - 1 || size == longer.st_size ||
                       size == longer.st_size - 1;
        copy_beginning("full", "audit", (size_t)size);
        f = open_audit(0);
        assert_true(append(&f, "after"));
        audit_file_free(&f);
        struct verified v = verify_quietly("audit");
        assert_int_equal(v.findings, 0);
        assert_int_equal(v.torn_bytes, 0);
        if (at_line)
            assert_true(v.last.number > 2);
        unlink("audit");
        if (size < st.st_size - 4)
            size = size > 40 ? size - 39 : size;
    }
}

/* Zeros are what a power cut may leave at the end of a file. */
static void zeros_at_the_end_are_mended(void **state)
{
    static const char zeros[5000];
    struct audit_file f = open_audit(0);
    (void)state;
    assert_true(append(&f, "one"));
    append_text("audit", zeros, sizeof zeros);
    assert_true(append(&f, "two"));
    append_text("audit", "{\"chain\"", 8);
    assert_int_equal(verify_quietly("audit").torn_bytes, 8);
    assert_true(append(&f, "three"));
    audit_file_free(&f);
    struct verified v = verify_quietly("audit");
    assert_int_equal(v.findings, 0);
    assert_int_equal(v.entries, 6);
    assert_int_equal(v.last.number, 2);
}

/* So much of a commit may be lost with the power. */
static void a_whole_commit_of_zeros_is_mended(void **state)
{
    static const char zeros[AUDIT_COMMIT_MAX];
    struct audit_file f = open_audit(0);
    struct verified v;
    (void)state;
    assert_true(append(&f, "one"));
    append_text("audit", zeros, sizeof zeros);
    assert_true(append(&f, "two"));
    audit_file_free(&f);
    v = verify_quietly("audit");
    assert_int_equal(v.findings, 0);
    assert_int_equal(v.entries, 4);
}

/* Zeros within the last commit, and whole lines behind them, as a power cut can leave them: whoever
 * comes next goes on behind what was before, once. */
static void zeros_within_are_mended(void **state)
{
    struct audit_file f = open_audit(0);
    struct verified v;
    size_t len;
    char *text;
    (void)state;
    for (int i = 0; i < 8; i++)
        assert_true(append(&f, "x"));
    audit_file_free(&f);
    text = read_whole("audit", &len);
    memset(text + len / 2, 0, 500);
    unlink("audit");
    append_text("audit", text, len);
    free(text);
    assert_true(verify_quietly("audit").findings > 0);
    for (int i = 0; i < 3; i++) {
        f = open_audit(0);
        assert_true(append(&f, "behind"));
        audit_file_free(&f);
        v = verify_quietly("audit");
        assert_int_equal(v.findings, 0);
        assert_int_equal(v.last.number, 2 + i);
    }
    text = read_whole("audit", &len);
    *strstr(text, "\"x\"") = 'y'; /* what was before counts */
    unlink("audit");
    append_text("audit", text, len);
    free(text);
    assert_true(verify_quietly("audit").findings > 0);
}

static void a_file_that_is_no_audit_is_left_alone(void **state)
{
    struct audit_file f = open_audit(0);
    (void)state;
    append_text("audit", "root:x:0:0\n", 11);
    assert_false(append(&f, "one"));
    audit_file_free(&f);
    unlink("audit");
    append_text("audit", "hello", 5);
    f = open_audit(0);
    assert_false(append(&f, "one"));
    audit_file_free(&f);
    unlink("audit");
    assert_int_equal(mkfifo("audit", 0600), 0);
    f = open_audit(0);
    assert_false(append(&f, "one"));
    audit_file_free(&f);
}

static unsigned verify_all(uint64_t *entries)
{
    struct verified files[64];
    glob_t all;
    unsigned findings = 0;
    *entries = 0;
    assert_int_equal(glob("audit*", 0, NULL, &all), 0);
    assert_true(all.gl_pathc < 64);
    for (size_t i = 0; i < all.gl_pathc; i++) {
        files[i] = verify_quietly(all.gl_pathv[i]);
        files[i].path = "x";
        findings += files[i].findings;
        *entries += files[i].entries;
    }
    findings += verify_links(files, all.gl_pathc);
    globfree(&all);
    return findings;
}

/* By size, by somebody else, and with another process that has the old file open. */
static void files_are_put_aside(void **state)
{
    struct audit_file f = open_audit(4000), other = open_audit(4000);
    uint64_t entries;
    glob_t all;
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(append(i % 3 ? &f : &other, "a reason of some length, so that files fill"));
    assert_int_equal(verify_all(&entries), 0);
    assert_int_equal(entries, 101);
    assert_int_equal(glob("audit.*Z", 0, NULL, &all), 0);
    assert_true(all.gl_pathc > 5);
    assert_int_equal(unlink(all.gl_pathv[2]), 0);
    globfree(&all);
    assert_int_equal(verify_all(&entries), 1);
    assert_int_equal(rename("audit", "audit.0"), 0); /* logrotate */
    assert_true(append(&f, "next"));
    assert_true(append(&other, "next"));
    assert_int_equal(verify_all(&entries), 1);
    audit_file_free(&f);
    audit_file_free(&other);
}

static size_t count_aside(void)
{
    glob_t all;
    size_t count = glob("audit.*Z", 0, NULL, &all) == 0 ? all.gl_pathc : 0;
    globfree(&all);
    return count;
}

/* It grows on, and is put aside later; the files after it are as large as they should be. */
static void a_file_that_cannot_be_put_aside_grows_on(void **state)
{
    struct audit_file f = open_audit(4000);
    struct stat st;
    uint64_t entries;
    int i;
    (void)state;
    assert_int_equal(mkdir("audit.new", 0700), 0); /* in the next one's place */
    for (i = 0; !f.trouble.failure; i++)
        assert_true(append(&f, "x"));
    assert_int_equal(rmdir("audit.new"), 0);
    for (; count_aside() == 0; i++)
        assert_true(append(&f, "x"));
    for (; count_aside() < 4; i++) {
        assert_true(append(&f, "x"));
        assert_true(stat("audit", &st) == 0 && st.st_size <= 4000);
    }
    audit_file_free(&f);
    assert_int_equal(verify_all(&entries), 0);
    assert_int_equal(entries, i + 1);
}

/* Of a name so long that none beside it can be made. */
static void a_long_name_loses_nothing(void **state)
{
    char path[4096] = "";
    struct audit_file f;
    (void)state;
    for (size_t n = 0; n < sizeof path - 7; n += 2)
        strcpy(path + n, "./");
    strcat(path, "audit");
    audit_file_init(&f, path, "agent", 1000);
    for (int i = 0; i < 10; i++)
        assert_true(append(&f, "x"));
    assert_non_null(strstr(f.trouble.text, "put aside"));
    audit_file_free(&f);
    assert_audit("audit", 11, 11);
}

/* The disk is full at each byte of a commit: no half of it stays, and later it goes on. */
static void a_full_disk_leaves_no_half(void **state)
{
    struct audit_file f = open_audit(0);
    struct rlimit before, limit;
    struct stat st, after;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_true(append(&f, "one"));
    assert_int_equal(stat("audit", &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t more = 0; more < 400; more += 13) {
        limit = (struct rlimit){(rlim_t)st.st_size + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_false(append_some(&f, 2, "two"));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_true(stat("audit", &after) == 0 && after.st_size == st.st_size);
    }
    assert_true(append(&f, "three"));
    audit_file_free(&f);
    assert_audit("audit", 3, 3);
}

/* ---- The thread. ---- */

static struct loop *loop;

/* The audit of the tests below, in a loop. */
static struct audit *start(bool refuse)
{
    struct error e = {0};
    const struct audit_settings settings = {
        .path = "audit", .role = "agent", .agent = "boston", .refuse = refuse};
    loop = loop_new();
    assert_non_null(loop);
    struct audit *a = audit_start(loop, &settings, &e);
    assert_non_null(a);
    return a;
}

static void finish(struct audit *a, bool expected)
{
    assert_int_equal(audit_end(a, 10 * CLOCK_US_PER_S), expected);
    loop_free(loop);
}

static int holder; /* of the file's lock, in place of a disk that does not answer */

static void stall(void)
{
    holder = open("audit", O_RDWR | O_CREAT, 0600);
    assert_true(holder >= 0 && flock(holder, LOCK_EX) == 0);
}

static const struct audit_entry note = {.event = "test", .user = "alice"};

static void on_written(struct audit_wait *w, bool ok)
{
    assert_int_equal(ok, w->ticket > 0);
    loop_stop(loop);
}

static void entries_are_written_and_waited_for(void **state)
{
    struct audit *a = start(true);
    struct audit_wait w = {.done = on_written}, none = {.done = on_written};
    (void)state;
    for (int i = 0; i < 1000; i++)
        w.ticket = audit_write(a, &note);
    assert_int_equal(w.ticket, 1000);
    assert_true(audit_permits(a));
    audit_when_written(a, &w);
    loop_run(loop);
    assert_audit("audit", 1001, 1001);
    audit_when_written(a, &none); /* of an entry that was left out */
    loop_run(loop);
    audit_write(a, &note);
    audit_when_written(a, &w);
    audit_forget(&w);
    finish(a, true);
    assert_audit("audit", 1002, 1002);
}

/* The last entries, those of before the start too, but only what is on disk. */
static void the_last_entries_are_recalled(void **state)
{
    const struct audit_settings settings = {.path = "audit", .role = "agent", .recent = true};
    char line[AUDIT_LINE_MAX], last[64];
    uint64_t next;
    struct error e = {0};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct audit_wait w = {.done = on_written};
        loop = loop_new();
        struct audit *a = audit_start(loop, &settings, &e);
        assert_non_null(a);
        for (unsigned n = 1; n <= 60; n++)
            w.ticket = audit_write(a, &(struct audit_entry){.event = "test", .count = 100 * i + n});
        audit_when_written(a, &w);
        loop_run(loop);
        next = audit_recall_from(a, 3);
        for (unsigned n = 58; n <= 60; n++) {
            snprintf(last, sizeof last, ",\"event\":\"test\",\"count\":%u}", 100 * i + n);
            size_t len = audit_recall(a, &next, line);
            assert_true(len > 0 && len == strlen(line) && line[0] == '{' && strstr(line, last) &&
                        !strstr(line, "number"));
        }
        assert_int_equal(audit_recall(a, &next, line), 0);
        next = audit_recall_from(a, 1000);
        for (unsigned n = 0; n < (i ? 100 : 60); n++)
            assert_int_not_equal(audit_recall(a, &next, line), 0);
        assert_int_equal(audit_recall(a, &next, line), 0);
        next = 0; /* as of one who was slow: the oldest that is left */
        assert_int_not_equal(audit_recall(a, &next, line), 0);
        assert_non_null(strstr(line, i ? "\"count\":21}" : "\"count\":1}"));
        finish(a, true);
    }
}

/* The names of what is audited are copied: the thread may outlive their owner. */
static void names_are_copied(void **state)
{
    char path[] = "audit", agent[] = "boston";
    struct error e = {0};
    const struct audit_settings settings = {.path = path, .role = "agent", .agent = agent};
    struct audit *a;
    (void)state;
    loop = loop_new();
    a = audit_start(loop, &settings, &e);
    assert_non_null(a);
    strcpy(path, "other");
    strcpy(agent, "london");
    audit_write(a, &note);
    finish(a, true);
    assert_true(holds("audit", "\"agent\":\"boston\""));
}

/* There is a line for each kind and names that are counted; of more kinds than there is room for
 * the last has no names. */
static void kinds_are_counted(void **state)
{
    struct audit *a = start(false);
    struct audit_counts c;
    char name[16];
    (void)state;
    audit_counts_init(&c, loop, a);
    for (int i = 0; i < 3; i++) {
        audit_counts_add(&c, "hop_refused", 4);
        audit_counts_add_like(
            &c, &(struct audit_entry){.event = "hop_refused", .code = 4, .user = "bob"});
    }
    audit_counts_add_like(&c,
                          &(struct audit_entry){.event = "hop_refused", .code = 4, .user = "eve"});
    for (int i = 0; i < 2 * AUDIT_KINDS_MAX; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        audit_counts_add_like(&c,
                              &(struct audit_entry){.event = "test", .user = name, .by = "agent"});
    }
    audit_counts_end(&c);
    finish(a, true);
    assert_audit("audit", AUDIT_KINDS_MAX + 1, AUDIT_KINDS_MAX + 1);
    assert_true(
        holds("audit", "\"event\":\"hop_refused\",\"agent\":\"boston\",\"count\":3,\"code\":4"));
    assert_true(holds("audit", "\"user\":\"bob\",\"agent\":\"boston\",\"count\":3"));
    assert_true(holds("audit", "\"user\":\"eve\",\"agent\":\"boston\",\"count\":1"));
    assert_true(
        holds("audit", "\"event\":\"test\",\"agent\":\"boston\",\"count\":132,\"by\":\"agent\""));
}

static void nobody_without_an_audit_minds(void **state)
{
    (void)state;
    assert_int_equal(audit_write(NULL, &note), 0);
    assert_true(audit_permits(NULL));
    assert_true(audit_end(NULL, 0));
}

/* The disk does not answer: writing never waits, nothing new is permitted once half of the queue is
 * full, what still fits is written later, and what does not is counted. */
static void a_stalled_disk_holds_up_nobody(void **state)
{
    struct audit *a;
    uint64_t begun = clock_now_us(), taken = 0, refused_at = 0, left_out = 0;
    (void)state;
    stall();
    a = start(true);
    for (uint64_t i = 1; i < 300000 && left_out < 10; i++) {
        if (audit_write(a, &note))
            taken++;
        else
            left_out++;
        if (!refused_at && !audit_permits(a))
            refused_at = i;
    }
    assert_int_equal(left_out, 10);
    assert_true(refused_at > taken / 3 && refused_at < taken * 2 / 3);
    assert_true(clock_now_us() - begun < 30 * CLOCK_US_PER_S);
    close(holder);
    finish(a, true);
    struct verified v = verify_quietly("audit");
    assert_int_equal(v.findings, 0);
    assert_int_equal(v.entries, taken + 2); /* the chain's first, and what tells of those lost */
    assert_true(holds("audit", "\"event\":\"entries_lost\",\"agent\":\"boston\",\"count\":10,"));
}

/* Also where all goes on: by the first entry after five seconds. */
static void a_stalled_disk_is_told_of(void **state)
{
    static const char told[] = "the disk of audit does not answer; entries wait until it does";
    uint64_t until_us = clock_now_us() + 20 * CLOCK_US_PER_S;
    int kept = dup(STDERR_FILENO), log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct audit *a;
    (void)state;
    stall();
    a = start(false);
    audit_write(a, &note);
    dup2(log, STDERR_FILENO);
    close(log);
    while (!holds("log", told) && clock_now_us() < until_us) {
        audit_write(a, &note);
        poll(NULL, 0, 100);
    }
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_true(holds("log", told));
    close(holder);
    finish(a, true);
}

/* A disk that never answers again does not keep the process. */
static void a_dead_disk_does_not_keep_the_process(void **state)
{
    struct audit *a;
    (void)state;
    stall();
    a = start(true);
    audit_write(a, &note);
    assert_false(audit_end(a, CLOCK_US_PER_S));
    loop_free(loop);
    close(holder);
}

static void on_turn(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* Runs the loop until permits is as expected. */
static void await_permits(struct audit *a, bool expected)
{
    struct timer turn = {.on_fire = on_turn};
    for (int i = 0; audit_permits(a) != expected; i++) {
        assert_true(i < 1000);
        timer_set(loop, &turn, clock_now_us() + 10 * CLOCK_US_PER_MS);
        loop_run(loop);
    }
}

/* A file that cannot be written is waited for, and nothing new permitted; then it goes on. */
static void a_failing_file_is_tried_again(void **state)
{
    struct audit *a;
    (void)state;
    append_text("audit", "something else\n", 15);
    a = start(true);
    audit_write(a, &note);
    await_permits(a, false);
    assert_int_equal(rename("audit", "else"), 0);
    await_permits(a, true);
    finish(a, true);
    assert_audit("audit", 2, 2);
    append_text("audit", "something else\n", 15);
    a = start(false);
    audit_write(a, &note);
    assert_true(audit_permits(a));
    finish(a, true); /* a torn line, as far as one can tell */
    assert_int_equal(rename("else", "audit"), 0);
    a = start(false);
    audit_write(a, &note);
    assert_true(audit_permits(a));
    finish(a, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_written_and_read),
        cmocka_unit_test(a_line_has_one_spelling),
        cmocka_unit_test(strange_lines_are_not_read),
        cmocka_unit_test(the_longest_entry_fits),
        cmocka_unit_test_setup_teardown(a_file_is_begun_and_goes_on, enter, leave),
        cmocka_unit_test_setup_teardown(several_processes_make_one_chain, enter, leave),
        cmocka_unit_test_setup_teardown(a_torn_line_begins_a_chain, enter, leave),
        cmocka_unit_test_setup_teardown(zeros_at_the_end_are_mended, enter, leave),
        cmocka_unit_test_setup_teardown(a_whole_commit_of_zeros_is_mended, enter, leave),
        cmocka_unit_test_setup_teardown(zeros_within_are_mended, enter, leave),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_audit_is_left_alone, enter, leave),
        cmocka_unit_test_setup_teardown(files_are_put_aside, enter, leave),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_put_aside_grows_on, enter, leave),
        cmocka_unit_test_setup_teardown(a_long_name_loses_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_no_half, enter, leave),
        cmocka_unit_test_setup_teardown(kinds_are_counted, enter, leave),
        cmocka_unit_test_setup_teardown(entries_are_written_and_waited_for, enter, leave),
        cmocka_unit_test_setup_teardown(the_last_entries_are_recalled, enter, leave),
        cmocka_unit_test_setup_teardown(names_are_copied, enter, leave),
        cmocka_unit_test(nobody_without_an_audit_minds),
        cmocka_unit_test_setup_teardown(a_stalled_disk_holds_up_nobody, enter, leave),
        cmocka_unit_test_setup_teardown(a_stalled_disk_is_told_of, enter, leave),
        cmocka_unit_test_setup_teardown(a_dead_disk_does_not_keep_the_process, enter, leave),
        cmocka_unit_test_setup_teardown(a_failing_file_is_tried_again, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
