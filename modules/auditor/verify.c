/* A file that is as it was written is one run of lines, each with the hash of the line before.
 * Bytes that are no entry are right only where the next entry has their hash. */
#include "auditor/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- One file. ---- */

/* Bytes that are no entry, from here to the line's end. */
struct odd {
    const uint8_t *begin;
    size_t line;
};

__attribute__((format(printf, 3, 4))) static void find(struct verified *v, size_t line,
                                                       const char *format, ...)
{
    va_list args;
    v->findings++;
    printf("%s:%zu: ", v->path, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void note_first(struct verified *v, const struct audit_entry *e)
{
    snprintf(v->chain, sizeof v->chain, "%s", e->chain);
    snprintf(v->previous, sizeof v->previous, "%s", e->previous);
    v->number = e->number;
}

/* An entry behind bytes that are none. */
static void check_torn(struct verified *v, const struct reading *r, const struct odd *odd)
{
    const struct audit_entry *e = &r->line.entry;
    char torn[AUDIT_HASH_TEXT_BYTES];
    uint8_t hash[HASH_BYTES];
    size_t len = (size_t)(r->raw.data - odd->begin) - 1;
    sha256(hash, view_of(odd->begin, len), view_of(NULL, 0));
    audit_hash_text(torn, hash);
    if (!e->torn || strcmp(torn, e->torn) != 0 || e->number != 1)
        find(v, odd->line, "not an entry");
    else if (!audit_chain_links(&v->last, e))
        find(v, r->number, "the lines before the torn one were altered or removed");
}

/* An entry right behind another. */
static void check_link(struct verified *v, const struct reading *r)
{
    const struct audit_entry *e = &r->line.entry;
    bool same = strcmp(e->chain, v->last.chain) == 0;
    if (e->torn)
        find(v, r->number, "tells of a torn line before it, which is not there");
    else if (same && e->number > v->last.number + 1)
        find(v, r->number, "entries %" PRIu64 " to %" PRIu64 " are missing", v->last.number + 1,
             e->number - 1);
    else if (same && e->number != v->last.number + 1)
        find(v, r->number, "entry %" PRIu64 " stands behind entry %" PRIu64, e->number,
             v->last.number);
    else if (!same)
        find(v, r->number, "entry %" PRIu64 " of another chain", e->number);
    else if (!audit_chain_links(&v->last, e))
        find(v, r->number,
             "this entry or the one before was altered, or entries between them "
             "were removed");
}

static void take_entry(struct verified *v, const struct reading *r, struct odd *odd)
{
    if (odd->begin && (v->entries > 0 || r->line.entry.torn))
        check_torn(v, r, odd);
    else if (odd->begin)
        find(v, odd->line, "not an entry");
    else if (v->entries > 0)
        check_link(v, r);
    else if (r->line.entry.torn)
        find(v, r->number, "tells of a torn line before it, which is not there");
    if (v->entries++ == 0)
        note_first(v, &r->line.entry);
    audit_head_take(&v->last, &r->line.entry, r->raw);
    odd->begin = NULL;
}

void verify_reading(struct verified *v, struct reading *r)
{
    struct odd odd = {0};
    *v = (struct verified){.path = r->path};
    reading_rewind(r);
    while (reading_next(r)) {
        if (r->is_entry) {
            take_entry(v, r, &odd);
        } else if (!odd.begin) {
            odd.begin = r->raw.data;
            odd.line = r->number;
        }
    }
    if (odd.begin && r->ended)
        find(v, odd.line, "not an entry");
    else if (odd.begin)
        v->torn_bytes = (size_t)((const uint8_t *)r->text + r->len - odd.begin);
}

/* ---- From file to file. ---- */

static bool follows(const struct verified *f, const struct verified *before)
{
    char hash[AUDIT_HASH_TEXT_BYTES];
    audit_hash_text(hash, before->last.hash);
    return before->entries > 0 && strcmp(hash, f->previous) == 0;
}

static const struct verified *find_before(const struct verified *files, size_t count,
                                          const struct verified *f)
{
    for (size_t i = 0; i < count; i++)
        if (&files[i] != f && follows(f, &files[i]))
            return &files[i];
    return NULL;
}

/* The file that has what of its chain stands nearest before it; NULL: none has. */
static const struct verified *find_earlier(const struct verified *files, size_t count,
                                           const struct verified *f)
{
    const struct verified *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (&files[i] != f && files[i].entries && strcmp(files[i].last.chain, f->chain) == 0 &&
            files[i].last.number < f->number && (!best || files[i].last.number > best->last.number))
            best = &files[i];
    return best;
}

static bool is_beginning(const struct verified *f)
{
    return f->number == 1 && strspn(f->previous, "0") == strlen(f->previous);
}

unsigned verify_links(const struct verified *files, size_t count)
{
    unsigned findings = 0;
    for (size_t i = 0; i < count; i++) {
        const struct verified *f = &files[i], *earlier;
        if (!f->entries || is_beginning(f) || find_before(files, count, f))
            continue;
        earlier = find_earlier(files, count, f);
        if (!earlier) {
            printf("%s: what came before entry %" PRIu64 " is not among the files\n", f->path,
                   f->number);
            continue;
        }
        findings++;
        if (earlier->last.number + 1 < f->number)
            printf("%s: entries %" PRIu64 " to %" PRIu64 ", between %s and it, are missing\n",
                   f->path, earlier->last.number + 1, f->number - 1, earlier->path);
        else
            printf("%s: its first entry, or the last of %s, was altered\n", f->path, earlier->path);
    }
    return findings;
}

static void print_state(const struct verified *v)
{
    if (v->torn_bytes)
        printf("%s: ends within a line, after %zu bytes of it\n", v->path, v->torn_bytes);
    if (v->findings)
        printf("%s: %u finding%s in %" PRIu64 " entries\n", v->path, v->findings,
               v->findings == 1 ? "" : "s", v->entries);
    else if (v->entries)
        printf("%s: OK: %" PRIu64 " entr%s, up to entry %" PRIu64 " of chain %s\n", v->path,
               v->entries, v->entries == 1 ? "y" : "ies", v->last.number, v->last.chain);
    else
        printf("%s: no entry\n", v->path);
}

/* Verifies each for itself. */
static bool verify_each(struct verified *files, char **paths, size_t count, unsigned *findings,
                        struct error *e)
{
    struct reading r;
    for (size_t i = 0; i < count; i++) {
        if (!reading_begin(&r, paths[i], e))
            return false;
        verify_reading(&files[i], &r);
        print_state(&files[i]);
        *findings += files[i].findings;
        reading_end(&r);
    }
    return true;
}

enum failure verify_files(char **paths, size_t count)
{
    struct verified *files = calloc(count, sizeof *files);
    struct error e = {0};
    unsigned findings = 0;
    if (!files)
        error_no_memory(&e);
    else if (verify_each(files, paths, count, &findings, &e))
        findings += verify_links(files, count);
    free(files);
    if (!e.failure)
        return findings ? FAILURE_ALTERED : FAILURE_NONE;
    fprintf(stderr, "spx audit: %s\n", e.text);
    return e.failure;
}
