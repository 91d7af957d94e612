/* A thing is looked for in another's audit only if it is that party's to see: the relay sees no
 * session, an agent only its own, a client only those with its key. */
#include "auditor/compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auditor/verify.h"

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

/* ---- The files. ---- */

/* Reads a file's facts, and prints what is wrong with its chain. */
static bool read_party(struct testimony *f, const char *path, unsigned *findings, struct error *e)
{
    struct reading r;
    struct verified v;
    bool good;
    if (!reading_begin(&r, path, e))
        return false;
    verify_reading(&v, &r);
    *findings += v.findings;
    good = facts_read(f, &r, e);
    reading_end(&r);
    return good;
}

static bool compare_each(struct comparison *c, const struct testimony *parties, size_t count,
                         struct error *e)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            if (is_role(&parties[i], parties[k].role))
                return error_set(e, FAILURE_CONFIG, "%s and %s have one role, %s", parties[i].path,
                                 parties[k].path, parties[i].role);
            compare_facts(c, &parties[i], &parties[k]);
        }
    return true;
}

static enum failure conclude(const struct comparison *c, unsigned findings)
{
    printf("%u agree, %u not seen by one, %u contradicted\n", c->agree, c->not_seen,
           c->contradicted);
    if (findings || c->contradicted)
        return FAILURE_ALTERED;
    return c->not_seen ? FAILURE_NOT_SEEN : FAILURE_NONE;
}

enum failure compare_files(char **paths, size_t count)
{
    struct testimony parties[3] = {0};
    struct comparison c = {0};
    struct error e = {0};
    unsigned findings = 0;
    size_t have = 0;
    while (have < count && read_party(&parties[have], paths[have], &findings, &e))
        have++;
    bool good = have == count && compare_each(&c, parties, count, &e);
    while (have > 0)
        facts_free(&parties[--have]);
    if (good)
        return conclude(&c, findings);
    fprintf(stderr, "spx audit: %s\n", e.text);
    return e.failure;
}
