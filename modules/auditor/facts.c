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

static bool note_writer(struct testimony *f, const struct reading *r, struct error *e)
{
    const struct audit_entry *entry = &r->line.entry;
    if (f->role[0] == '\0')
        snprintf(f->role, sizeof f->role, "%s", entry->role);
    if (strcmp(f->role, entry->role) != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%zu: of a %s, and what is before it of a %s",
                         r->path, r->number, entry->role, f->role);
    if (strcmp(entry->event, "started") != 0)
        return true;
    if (entry->agent && f->agent[0] && strcmp(f->agent, entry->agent) != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%zu: of agent %s, and what is before it of %s",
                         r->path, r->number, entry->agent, f->agent);
    if (entry->agent)
        snprintf(f->agent, sizeof f->agent, "%s", entry->agent);
    if (entry->key && !facts_own_key(f, entry->key) && f->key_count < FACT_KEYS_MAX)
        snprintf(f->keys[f->key_count++], sizeof f->keys[0], "%s", entry->key);
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
        if (r->is_entry && note_writer(f, r, e) && !add_entry(f, &r->line.entry))
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
}
