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
    snprintf(v->role, sizeof v->role, "%s", e->role);
    snprintf(v->first_time, sizeof v->first_time, "%s", e->time);
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
    else
        printf("%s:%zu: %zu bytes are of what a crash or a power cut has left unfinished\n",
               v->path, odd->line, len);
}

/* An entry right behind another. */
static void check_link(struct verified *v, const struct reading *r)
{
    const struct audit_entry *e = &r->line.entry;
    bool same = strcmp(e->chain, v->last.chain) == 0;
    if (e->torn)
        find(v, r->number, "tells of a torn line before it, which is not there");
    else if (same && e->number == v->last.number + 2)
        find(v, r->number, "entry %" PRIu64 " is missing", e->number - 1);
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

/* ---- The heads that are signed in it. ---- */

/* The first entry of a file that goes on with a chain. */
static bool is_checkpoint(const struct verified *v, const struct audit_entry *e,
                          const struct signed_head *h)
{
    return v->entries == 1 && h->head.number + 1 == e->number &&
           strcmp(h->head.chain, e->chain) == 0 && audit_chain_links(&h->head, e);
}

/* The entry that the head names, in the file. */
static void check_named(struct verified *v, const struct reading *r, const struct signed_head *h)
{
    const struct audit_entry *e = &r->line.entry;
    const uint8_t *hash = index_find(&v->index, h->head.chain, h->head.number);
    if (hash && memcmp(hash, h->head.hash, HASH_BYTES) != 0)
        find(v, r->number, "entry %" PRIu64 " of chain %s is not the one that is signed here",
             h->head.number, h->head.chain);
    else if (!hash && strcmp(h->head.chain, e->chain) == 0 && h->head.number >= e->number)
        find(v, r->number, "signs entry %" PRIu64 ", which is not before it", h->head.number);
    else if (is_checkpoint(v, e, h))
        v->checkpoint = true;
}

static void check_head(struct verified *v, const struct reading *r)
{
    const struct audit_entry *e = &r->line.entry;
    struct signed_head h;
    char signer[FINGERPRINT_TEXT_BYTES];
    if (!e->head || !signed_head_from_text(&h, e->head) || !signed_head_is_good(&h) ||
        strcmp(audit_role_name(h.role), e->role) != 0) {
        find(v, r->number, "its head is not one that is rightly signed");
        return;
    }
    sign_fingerprint(signer, h.key);
    if (v->heads++ == 0)
        memcpy(v->signer, signer, sizeof signer);
    else if (strcmp(signer, v->signer) != 0)
        find(v, r->number, "signed with audit key %s, what is before it with %s", signer,
             v->signer);
    check_named(v, r, &h);
}

/* ---- All of it. ---- */

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
    snprintf(v->last_time, sizeof v->last_time, "%s", r->line.entry.time);
    odd->begin = NULL;
    if (strcmp(r->line.entry.event, "head_signed") == 0)
        check_head(v, r);
    v->exhausted = !index_add(&v->index, &v->last) || v->exhausted;
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
            reading_skip_torn(r);
        }
    }
    /* Without a whole entry nothing says that the rest of a line is one's. */
    if (odd.begin && (r->ended || v->entries == 0))
        find(v, odd.line, "not an entry");
    else if (odd.begin)
        v->torn_bytes = (size_t)((const uint8_t *)r->text + r->len - odd.begin);
}

void verified_free(struct verified *v)
{
    index_free(&v->index);
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

static bool is_followed(const struct verified *files, size_t count, const struct verified *f)
{
    for (size_t i = 0; i < count; i++)
        if (&files[i] != f && follows(&files[i], f))
            return true;
    return false;
}

/* True if both can be of one party, as far as they say. */
static bool may_be_related(const struct verified *a, const struct verified *b)
{
    return strcmp(a->role, b->role) == 0 &&
           (!a->signer[0] || !b->signer[0] || strcmp(a->signer, b->signer) == 0);
}

/* A file of the same party that is older and ends where no other goes on; NULL: there is none. */
static const struct verified *find_loose(const struct verified *files, size_t count,
                                         const struct verified *f)
{
    for (size_t i = 0; i < count; i++)
        if (&files[i] != f && files[i].entries && may_be_related(&files[i], f) &&
            strcmp(files[i].last_time, f->first_time) <= 0 && !is_followed(files, count, &files[i]))
            return &files[i];
    return NULL;
}

/* Nothing before this file is at hand, which is right for the oldest only. Returns the findings. */
static unsigned tell_oldest(const struct verified *files, size_t count, const struct verified *f)
{
    const struct verified *loose = find_loose(files, count, f);
    if (f->checkpoint)
        printf("%s: goes on behind entry %" PRIu64 " by a checkpoint of audit key %s: what came "
               "before may be gone\n",
               f->path, f->number - 1, f->signer);
    else
        printf("%s: what came before entry %" PRIu64 " is not among the files\n", f->path,
               f->number);
    if (loose)
        printf("%s: is older than %s, and its end, or what was between them, is missing\n",
               loose->path, f->path);
    return loose != NULL;
}

static unsigned tell_gap(const struct verified *f, const struct verified *earlier)
{
    if (earlier->last.number + 1 < f->number)
        printf("%s: entries %" PRIu64 " to %" PRIu64 ", between %s and it, are missing\n", f->path,
               earlier->last.number + 1, f->number - 1, earlier->path);
    else
        printf("%s: its first entry, or the last of %s, was altered\n", f->path, earlier->path);
    return 1;
}

static bool go_on_behind_one(const struct verified *a, const struct verified *b)
{
    return !is_beginning(a) && !is_beginning(b) && strcmp(a->previous, b->previous) == 0 &&
           strcmp(a->chain, b->chain) != 0;
}

/* Two ways on from one entry: somebody has copied the file, and written both. */
static unsigned tell_fork(const struct verified *a, const struct verified *b)
{
    const char *chain;
    uint64_t number;
    if (!a->entries || !b->entries)
        return 0;
    if (index_differ(&a->index, &b->index, &chain, &number))
        printf("%s and %s: entry %" PRIu64 " of chain %s is another one in each\n", a->path,
               b->path, number, chain);
    else if (go_on_behind_one(a, b))
        printf("%s and %s: both go on behind the same entry\n", a->path, b->path);
    else
        return 0;
    return 1;
}

unsigned verify_links(const struct verified *files, size_t count)
{
    unsigned findings = 0;
    for (size_t i = 0; i < count; i++) {
        const struct verified *f = &files[i], *earlier;
        for (size_t k = i + 1; k < count; k++)
            findings += tell_fork(f, &files[k]);
        if (!f->entries || is_beginning(f) || find_before(files, count, f))
            continue;
        earlier = find_earlier(files, count, f);
        findings += earlier ? tell_gap(f, earlier) : tell_oldest(files, count, f);
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
    if (v->heads)
        printf("%s: %u head%s signed with audit key %s\n", v->path, v->heads,
               v->heads == 1 ? "" : "s", v->signer);
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
        if (files[i].exhausted)
            return error_no_memory(e);
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
    for (size_t i = 0; i < count && files; i++)
        verified_free(&files[i]);
    free(files);
    if (!e.failure)
        return findings ? FAILURE_ALTERED : FAILURE_NONE;
    fprintf(stderr, "spx audit: %s\n", e.text);
    return e.failure;
}
