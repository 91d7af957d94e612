/* A thing is looked for in another's audit only if it is that party's to see: the relay sees no
 * session, an agent only its own, a client only those with its key. */
#include "auditor/compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auditor/verify.h"
#include "base/clock.h"

static bool is_role(const struct testimony *f, const char *role)
{
    return strcmp(f->role, role) == 0;
}

/* ---- In whose role a thing is. ---- */

/* True if other, unless it crashed, must have seen what f has seen. */
static bool is_for(const struct testimony *f, const struct fact *fact,
                   const struct testimony *other)
{
    if (fact->name.kind != FACT_CIRCUIT && (is_role(f, "relay") || is_role(other, "relay")))
        return false;
    if (is_role(other, "relay"))
        return fact->relay && facts_own_key(other, fact->relay);
    if (is_role(other, "agent"))
        return fact->agent && strcmp(fact->agent, other->agent) == 0;
    return facts_own_key(other, fact->user_key);
}

/* ---- One thing at both. ---- */

/* One thing in the audits of two. */
struct both {
    struct comparison *total;
    const struct testimony *a, *b;
    const struct fact *of_a, *of_b;
    bool contradicted;
};

static const char *kind_name(const struct fact *fact)
{
    static const char *const names[] = {
        [FACT_CIRCUIT] = "circuit", [FACT_SESSION] = "session", [FACT_STREAM] = "stream"};
    return names[(int)fact->name.kind];
}

__attribute__((format(printf, 2, 3))) static void contradict(struct both *p, const char *format,
                                                             ...)
{
    va_list args;
    p->contradicted = true;
    printf("contradicted: %s %s: ", kind_name(p->of_a), p->of_a->name.text);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void same_text(struct both *p, const char *what, const char *a, const char *b)
{
    if (a && b && strcmp(a, b) != 0)
        contradict(p, "%s is %s in %s, %s in %s", what, a, p->a->path, b, p->b->path);
}

/* One direction: what the receiver has is not more than was sent, and not less than the sender was
 * told that it has; the latter unless the stream ended there, or with the session, while bytes were
 * on their way, which nobody counts. */
static void same_bytes(struct both *p, const struct testimony *from, const struct fact *sender,
                       const struct testimony *to, const struct fact *receiver)
{
    bool sender_ended = receiver->by && strcmp(receiver->by, from->role) == 0;
    if (receiver->received > sender->sent)
        contradict(p, "%s has %" PRIu64 " bytes received, %s only %" PRIu64 " sent", to->path,
                   receiver->received, from->path, sender->sent);
    else if ((receiver->clean || sender_ended) && sender->acknowledged > receiver->received)
        contradict(p, "%s has %" PRIu64 " bytes acknowledged, %s only %" PRIu64 " received",
                   from->path, sender->acknowledged, to->path, receiver->received);
}

static void compare_both(struct both *p)
{
    const struct fact *a = p->of_a, *b = p->of_b;
    same_text(p, "the user's key", a->user_key, b->user_key);
    same_text(p, "the agent", a->agent, b->agent);
    if (!is_role(p->a, "relay") && !is_role(p->b, "relay"))
        same_text(p, "the session", a->session, b->session);
    same_text(p, "the target", a->target, b->target);
    if ((a->opened && b->refused) || (a->refused && b->opened))
        contradict(p, "opened in %s, refused in %s", a->opened ? p->a->path : p->b->path,
                   a->opened ? p->b->path : p->a->path);
    if (a->measured && b->measured) {
        same_bytes(p, p->a, a, p->b, b);
        same_bytes(p, p->b, b, p->a, a);
    }
    if (p->contradicted)
        p->total->contradicted++;
    else
        p->total->agree++;
}

/* ---- All things. ---- */

static void miss(struct comparison *c, const struct testimony *f, const struct fact *fact,
                 const struct testimony *other)
{
    c->not_seen++;
    printf("not seen by %s: %s %s, which is in %s: crash, or not in its role\n", other->path,
           kind_name(fact), fact->name.text, f->path);
}

void compare_facts(struct comparison *c, const struct testimony *a, const struct testimony *b)
{
    list_each (link, &a->all) {
        const struct fact *fact = container_of(link, struct fact, link);
        struct both p = {.total = c, .a = a, .b = b, .of_a = fact, .of_b = facts_find(b, fact)};
        if (p.of_b)
            compare_both(&p);
        else if (is_for(a, fact, b))
            miss(c, a, fact, b);
    }
    list_each (link, &b->all) {
        const struct fact *fact = container_of(link, struct fact, link);
        if (!facts_find(a, fact) && is_for(b, fact, a))
            miss(c, b, fact, a);
    }
}

/* ---- Heads: what one has of the other's chain. ---- */

/* One party's audit. */
struct party {
    struct testimony facts;
    struct verified file;
};

static bool is_of(const struct told_head *t, const struct party *p)
{
    if (strcmp(audit_role_name(t->head.role), p->facts.role) != 0)
        return false;
    if (t->head.role == AUDIT_AGENT)
        return strcmp(t->agent, p->facts.agent) == 0;
    return facts_own_key(&p->facts, t->head.role == AUDIT_RELAY ? t->relay : t->key);
}

__attribute__((format(printf, 4, 5))) static void contradict_head(struct comparison *c,
                                                                  const struct party *holder,
                                                                  const struct told_head *t,
                                                                  const char *format, ...)
{
    va_list args;
    c->contradicted++;
    printf("contradicted: head in %s:%zu: ", holder->facts.path, t->line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static bool is_beginning_after(const struct verified *v, uint64_t time_ms)
{
    char time[AUDIT_TIME_BYTES];
    clock_ms_text(time, time_ms);
    return strcmp(time, v->first_time) < 0;
}

/* A process may sign an entry of its own while another puts the file aside. */
#define ASIDE_MS 60000

/* The chain, or what of it was before the file's first entry, is not in the file. goes_on: the file
 * begins within that chain, behind it. */
static void compare_absent(struct comparison *c, const struct party *holder,
                           const struct told_head *t, const struct party *of, bool goes_on)
{
    uint64_t time_ms = t->head.time_ms;
    if (is_beginning_after(&of->file, goes_on && time_ms > ASIDE_MS ? time_ms - ASIDE_MS : time_ms))
        c->heads_before++;
    else
        contradict_head(c, holder, t,
                        "it is newer than the beginning of %s, which has no entry %" PRIu64
                        " of chain %s",
                        of->facts.path, t->head.head.number, t->head.head.chain);
}

static void compare_place(struct comparison *c, const struct party *holder,
                          const struct told_head *t, const struct party *of)
{
    const struct audit_head *h = &t->head.head;
    const uint8_t *hash = index_find(&of->file.index, h->chain, h->number);
    uint64_t first = 0, last = 0;
    bool has_chain = index_range(&of->file.index, h->chain, &first, &last);
    if (hash && memcmp(hash, h->hash, HASH_BYTES) == 0)
        c->heads++;
    else if (hash)
        contradict_head(c, holder, t,
                        "entry %" PRIu64 " of chain %s is another one in %s: it was written anew",
                        h->number, h->chain, of->facts.path);
    else if (has_chain && h->number > last)
        contradict_head(c, holder, t,
                        "chain %s has entry %" PRIu64 ", but ends in %s at %" PRIu64
                        ": it was cut off, or copied before",
                        h->chain, h->number, of->facts.path, last);
    else
        compare_absent(c, holder, t, of, has_chain && h->number < first);
}

static void compare_head(struct comparison *c, const struct party *holder,
                         const struct told_head *t, const struct party *of)
{
    char signer[FINGERPRINT_TEXT_BYTES];
    sign_fingerprint(signer, t->head.key);
    if (!signed_head_is_good(&t->head))
        contradict_head(c, holder, t, "nobody has signed it");
    else if (of->file.signer[0] && strcmp(signer, of->file.signer) != 0 &&
             t->head.role == AUDIT_CLIENT)
        c->heads_elsewhere++; /* a user may have several computers */
    else if (of->file.signer[0] && strcmp(signer, of->file.signer) != 0)
        contradict_head(c, holder, t, "its audit key is %s, that of %s is %s", signer,
                        of->facts.path, of->file.signer);
    else
        compare_place(c, holder, t, of);
}

static void compare_heads(struct comparison *c, const struct party *holder, const struct party *of)
{
    for (size_t i = 0; i < holder->facts.head_count; i++)
        if (is_of(&holder->facts.heads[i], of))
            compare_head(c, holder, &holder->facts.heads[i], of);
}

/* ---- The files. ---- */

/* Without that nobody can tell what it must have seen. */
static void tell_nameless(const struct testimony *f)
{
    if (is_role(f, "agent") ? f->agent[0] == '\0' : f->key_count == 0)
        printf("%s: says of no key that it is its own: what it has not seen cannot be told\n",
               f->path);
}

/* Reads a file's facts, and prints what is wrong with its chain. */
static bool read_party(struct party *p, const char *path, unsigned *findings, struct error *e)
{
    struct reading r;
    bool good;
    if (!reading_begin(&r, path, e))
        return false;
    verify_reading(&p->file, &r);
    *findings += p->file.findings;
    good = (!p->file.exhausted || error_no_memory(e)) && facts_read(&p->facts, &r, e);
    reading_end(&r);
    if (good)
        tell_nameless(&p->facts);
    else
        verified_free(&p->file);
    return good;
}

static bool compare_each(struct comparison *c, const struct party *parties, size_t count,
                         struct error *e)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            const struct testimony *a = &parties[i].facts, *b = &parties[k].facts;
            if (is_role(a, b->role))
                return error_set(e, FAILURE_CONFIG, "%s and %s have one role, %s", a->path, b->path,
                                 a->role);
            compare_facts(c, a, b);
            compare_heads(c, &parties[i], &parties[k]);
            compare_heads(c, &parties[k], &parties[i]);
        }
    return true;
}

static enum failure conclude(const struct comparison *c, unsigned findings)
{
    if (c->heads + c->heads_before)
        printf("%u head%s of one in another's audit %s; %u older than the file it is of\n",
               c->heads, c->heads == 1 ? "" : "s", c->heads == 1 ? "agrees" : "agree",
               c->heads_before);
    if (findings)
        printf("%u finding%s of a file that is not as it was written\n", findings,
               findings == 1 ? "" : "s");
    if (c->heads_elsewhere)
        printf("%u of another audit of the same user\n", c->heads_elsewhere);
    printf("%u agree, %u not seen by one, %u contradicted\n", c->agree, c->not_seen,
           c->contradicted);
    if (findings || c->contradicted)
        return FAILURE_ALTERED;
    return c->not_seen ? FAILURE_NOT_SEEN : FAILURE_NONE;
}

enum failure compare_files(char **paths, size_t count)
{
    struct party parties[3] = {0};
    struct comparison c = {0};
    struct error e = {0};
    unsigned findings = 0;
    size_t have = 0;
    while (have < count && read_party(&parties[have], paths[have], &findings, &e))
        have++;
    bool good = have == count && compare_each(&c, parties, count, &e);
    while (have > 0) {
        facts_free(&parties[--have].facts);
        verified_free(&parties[have].file);
    }
    if (good)
        return conclude(&c, findings);
    fprintf(stderr, "spx audit: %s\n", e.text);
    return e.failure;
}
