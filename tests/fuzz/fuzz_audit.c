/* libFuzzer: lines and ends of audit files, heads, and whole files. What is read is what would be
 * written, and what a file ends with is found within it. The first byte chooses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/signed_head.h"
#include "auditor/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static void read_line(struct view text)
{
    static struct audit_line line;
    char again[AUDIT_LINE_MAX];
    if (!audit_line_read(&line, text))
        return;
    require(view_equal(view_of(again, audit_entry_encode(again, &line.entry)), text));
    require(line.entry.number > 0 && line.entry.event && line.entry.role);
}

/* Any texts in an entry make a line that is read as the entry that it is. */
static void write_line(struct view text)
{
    static struct audit_line line;
    char out[AUDIT_LINE_MAX], in[2 * AUDIT_LINE_MAX];
    size_t len = text.len < sizeof in - 1 ? text.len : sizeof in - 1;
    memcpy(in, text.data, len);
    in[len] = '\0';
    const struct audit_entry e = {.chain = "00000000000000000000000000000000",
                                  .number = 1 + len,
                                  .time = "2026-01-31T12:00:00.123Z",
                                  .role = "agent",
                                  .event = "test",
                                  .user = in,
                                  .target = in,
                                  .counted = len % 2,
                                  .reason = in,
                                  .salt = "00000000000000000000000000000000",
                                  .previous = "0000000000000000000000000000000000000000000000000000"
                                              "000000000000"};
    require(audit_line_read(&line, view_of(out, audit_entry_encode(out, &e))));
    require(line.entry.number == 1 + len && line.entry.counted == len % 2);
}

static void read_tail(struct view end)
{
    struct audit_tail tail;
    if (end.len == 0 || !audit_tail_read(&tail, end, true))
        return;
    require(tail.whole <= end.len);
    require(tail.torn || tail.head.number > 0);
}

/* A head has one spelling, and no signature that is made up is right. */
static void read_head(struct view bytes)
{
    struct signed_head h;
    uint8_t again[SIGNED_HEAD_BYTES];
    if (!signed_head_decode(&h, bytes))
        return;
    signed_head_encode(again, &h);
    require(view_equal(view_of(again, sizeof again), bytes) && !signed_head_is_good(&h));
}

/* Any file is gone through, and what it holds is told; what is said of its lines goes nowhere. */
static void verify_file(struct view text)
{
    static bool silent;
    static struct reading r;
    struct verified v;
    silent = silent || freopen("/dev/null", "w", stdout);
    r = (struct reading){.path = "fuzz", .text = malloc(text.len + 1), .len = text.len};
    require(silent && r.text);
    if (text.len > 0)
        memcpy(r.text, text.data, text.len);
    r.text[text.len] = '\0';
    verify_reading(&v, &r);
    require(v.entries == v.index.count && v.torn_bytes <= text.len);
    verify_links(&v, 1);
    verified_free(&v);
    reading_end(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(struct view) = {read_line, write_line, read_tail, read_head,
                                                 verify_file};
    static bool started;
    uint8_t *copy;
    require(started || (started = crypto_start(true)));
    if (size == 0 || !(copy = malloc(size)))
        return 0;
    memcpy(copy, data + 1, size - 1);
    parts[data[0] % 5](view_of(copy, size - 1));
    free(copy);
    return 0;
}
