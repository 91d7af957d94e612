/* All that entries say of one thing is collected; of what is said twice the first counts. */
#include "auditor/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

/* ---- Whose. ---- */

bool facts_own_key(const struct testimony *f, const char *fingerprint)
{
    for (size_t i = 0; i < f->key_count && fingerprint; i++)
        if (strcmp(f->keys[i], fingerprint) == 0)
            return true;
    return false;
}

static bool is_event(const struct audit_entry *e, const char *event)
{
    return strcmp(e->event, event) == 0;
}

/* True if the key is the writer's: a client's sessions have its own, too. */
static bool says_key(const struct audit_entry *e)
{
    return e->key && (is_event(e, "started") || is_event(e, "head_signed") ||
                      (strcmp(e->role, "client") == 0 &&
                       (is_event(e, "session_began") || is_event(e, "session_resumed"))));
}

static void note_key(struct testimony *f, const char *key)
{
    if (!facts_own_key(f, key) && f->key_count < FACT_KEYS_MAX)
        snprintf(f->keys[f->key_count++], sizeof f->keys[0], "%s", key);
}

/* All entries of an agent have its name. */
static void note_name(struct testimony *f, const struct audit_entry *e)
{
    if (e->agent && f->agent[0] == '\0' && strcmp(e->role, "agent") == 0)
        snprintf(f->agent, sizeof f->agent, "%s", e->agent);
}

static bool note_writer(struct testimony *f, const struct reading *r, struct error *e)
{
    const struct audit_entry *entry = &r->line.entry;
    if (f->role[0] == '\0')
        snprintf(f->role, sizeof f->role, "%s", entry->role);
    if (strcmp(f->role, entry->role) != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%zu: of a %s, and what is before it of a %s",
                         r->path, r->number, entry->role, f->role);
    note_name(f, entry);
    if (says_key(entry))
        note_key(f, entry->key);
    if (strcmp(entry->event, "started") != 0)
        return true;
    if (entry->agent && f->agent[0] && strcmp(f->agent, entry->agent) != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%zu: of agent %s, and what is before it of %s",
                         r->path, r->number, entry->agent, f->agent);
    return true;
}

/* ---- What. ---- */

static bool keep(char **out, const char *text)
{
    if (*out || !text)
        return true;
    *out = strdup(text);
    return *out != NULL;
}

static bool keep_texts(struct fact *fact, const struct audit_entry *e)
{
    bool of_stream = fact->name.kind == FACT_STREAM;
    return keep(&fact->user_key, e->key) && keep(&fact->agent, e->agent) &&
           keep(&fact->relay, e->relay) &&
           (fact->name.kind == FACT_SESSION || keep(&fact->session, e->session)) &&
           (!of_stream || keep(&fact->target, e->target));
}

static bool event_ends(const struct audit_entry *e, const char *suffix)
{
    size_t len = strlen(e->event), end = strlen(suffix);
    return len >= end && strcmp(e->event + len - end, suffix) == 0;
}

/* True if the party that had to answer has refused; who gives up before the answer, or ends the
 * session, says nothing of what the other answered. */
static bool is_refusal(const struct audit_entry *e)
{
    const char *answers = strncmp(e->event, "connection_", 11) == 0 ? "client" : "agent";
    return event_ends(e, "_refused") && e->by && strcmp(e->by, answers) == 0;
}

static void keep_state(struct fact *fact, const struct audit_entry *e)
{
    fact->opened = fact->opened || event_ends(e, "_opened");
    fact->refused = fact->refused || is_refusal(e);
    if (fact->name.kind != FACT_STREAM || !event_ends(e, "_ended"))
        return;
    fact->clean = e->code == 0;
    fact->measured = e->measured;
    fact->sent = e->sent;
    fact->acknowledged = e->acknowledged;
    fact->received = e->received;
}

struct fact *facts_find(const struct testimony *f, const struct fact *like)
{
    struct table_entry *entry = table_find(&f->table, &like->name);
    return entry ? container_of(entry, struct fact, entry) : NULL;
}

static void fact_free(struct fact *fact)
{
    free(fact->user_key);
    free(fact->agent);
    free(fact->relay);
    free(fact->session);
    free(fact->target);
    free(fact->by);
    free(fact);
}

/* The fact that the entry is about, new if it is not there yet; NULL without memory. */
static struct fact *find_or_add(struct testimony *f, const struct fact *like)
{
    struct fact *fact = facts_find(f, like);
    if (fact)
        return fact;
    fact = calloc(1, sizeof *fact);
    if (!fact)
        return NULL;
    fact->name = like->name;
    if (!table_insert(&f->table, &fact->entry)) {
        free(fact);
        return NULL;
    }
    list_append(&f->all, &fact->link);
    return fact;
}

static bool add(struct testimony *f, enum fact_kind kind, const char *text,
                const struct audit_entry *e)
{
    struct fact like = {.name = {.kind = (char)kind}}, *fact;
    snprintf(like.name.text, sizeof like.name.text, "%s", text);
    fact = find_or_add(f, &like);
    if (!fact || !keep_texts(fact, e))
        return false;
    keep_state(fact, e);
    return !event_ends(e, "_ended") || keep(&fact->by, e->by);
}

static void copy(char out[65], const char *text)
{
    snprintf(out, 65, "%s", text ? text : "");
}

/* A head that was received and found to be good. */
static bool add_head(struct testimony *f, const struct reading *r)
{
    const struct audit_entry *e = &r->line.entry;
    struct told_head *told;
    if (f->head_count == f->head_room) {
        size_t room = f->head_room ? 2 * f->head_room : 16;
        struct told_head *grown = realloc(f->heads, room * sizeof *grown);
        if (!grown)
            return false;
        f->heads = grown;
        f->head_room = room;
    }
    told = &f->heads[f->head_count];
    if (!e->head || !signed_head_from_text(&told->head, e->head))
        return true;
    told->line = r->number;
    copy(told->agent, e->agent);
    copy(told->key, e->key);
    copy(told->relay, e->relay);
    f->head_count++;
    return true;
}

/* An entry about a stream is about its session too, and so on. */
static bool add_entry(struct testimony *f, const struct audit_entry *e)
{
    char name[FACT_NAME_BYTES];
    if (e->session && e->stream) {
        snprintf(name, sizeof name, "%s/%" PRIu64, e->session, e->stream);
        return add(f, FACT_STREAM, name, e);
    }
    return (!e->circuit || add(f, FACT_CIRCUIT, e->circuit, e)) &&
           (!e->session || add(f, FACT_SESSION, e->session, e));
}

static bool add_line(struct testimony *f, const struct reading *r)
{
    return is_event(&r->line.entry, "head_received") ? add_head(f, r)
                                                     : add_entry(f, &r->line.entry);
}

bool facts_read(struct testimony *f, struct reading *r, struct error *e)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    *f = (struct testimony){.path = r->path};
    list_init(&f->all);
    table_init(&f->table, sizeof(struct fact_name),
               (ptrdiff_t)(offsetof(struct fact, name) - offsetof(struct fact, entry)), hash_key);
    reading_rewind(r);
    while (!e->failure && reading_next(r))
        if (r->is_entry && note_writer(f, r, e) && !add_line(f, r))
            error_no_memory(e);
    if (!e->failure && f->role[0] == '\0')
        error_set(e, FAILURE_CONFIG, "%s: no entry", r->path);
    if (e->failure)
        facts_free(f);
    return !e->failure;
}

void facts_free(struct testimony *f)
{
    list_each (link, &f->all)
        fact_free(container_of(link, struct fact, link));
    list_init(&f->all);
    table_free(&f->table);
    free(f->heads);
}
