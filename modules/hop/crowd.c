/* Sources, and how many connections each has in each phase. Ends nobody: it says who is in the way.
 */
#include "hop/crowd.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct tally {
    struct list place; /* in by_count */
    struct list members;
    unsigned count;
};

struct source {
    struct table_entry entry;
    uint8_t key[SOURCE_BYTES];
    struct tally tally[CROWD_PHASES];
    unsigned failed;
    uint64_t failed_since_us;
};

static const unsigned limit_of_source[CROWD_PHASES] = {SILENT_PER_SOURCE, HANDSHAKES_PER_SOURCE};
static const unsigned limit_in_all[CROWD_PHASES] = {SILENT_CONNECTIONS, HANDSHAKES};

static struct source *source_of_entry(struct table_entry *entry)
{
    return entry ? container_of(entry, struct source, entry) : NULL;
}

static struct source *find_source(const struct crowd *c, const uint8_t key[SOURCE_BYTES])
{
    return source_of_entry(table_find(&c->sources, key));
}

static struct crowd_member *first_member(const struct tally *tally)
{
    return container_of(tally->members.next, struct crowd_member, place);
}

void crowd_init(struct crowd *c, const uint8_t hash_key[16])
{
    table_init(&c->sources, SOURCE_BYTES,
               (ptrdiff_t)offsetof(struct source, key) - (ptrdiff_t)offsetof(struct source, entry),
               hash_key);
    for (unsigned phase = 0; phase < CROWD_PHASES; phase++) {
        c->count[phase] = 0;
        for (unsigned n = 0; n <= HANDSHAKES_PER_SOURCE; n++)
            list_init(&c->by_count[phase][n]);
    }
}

struct crowd_member *crowd_oldest(const struct crowd *c, enum crowd_phase phase)
{
    for (unsigned n = limit_of_source[phase]; n > 0; n--) {
        const struct list *sources = &c->by_count[phase][n];
        if (!list_empty(sources))
            return first_member(container_of(sources->next, struct tally, place));
    }
    return NULL;
}

struct crowd_member *crowd_in_the_way(const struct crowd *c, enum crowd_phase phase,
                                      const uint8_t source[SOURCE_BYTES])
{
    const struct source *own = find_source(c, source);
    if (own && own->tally[phase].count >= limit_of_source[phase])
        return first_member(&own->tally[phase]);
    return c->count[phase] >= limit_in_all[phase] ? crowd_oldest(c, phase) : NULL;
}

static struct source *add_source(struct crowd *c, const uint8_t key[SOURCE_BYTES])
{
    struct source *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    memcpy(source->key, key, SOURCE_BYTES);
    for (unsigned phase = 0; phase < CROWD_PHASES; phase++) {
        list_init(&source->tally[phase].place);
        list_init(&source->tally[phase].members);
    }
    if (!table_insert(&c->sources, &source->entry)) {
        free(source);
        return NULL;
    }
    return source;
}

/* Puts the source where its new count belongs. */
static void recount(struct crowd *c, struct source *source, enum crowd_phase phase, int change)
{
    struct tally *tally = &source->tally[phase];
    tally->count += (unsigned)change;
    c->count[phase] += (unsigned)change;
    list_remove(&tally->place);
    if (tally->count > 0)
        list_append(&c->by_count[phase][tally->count], &tally->place);
}

static void join(struct crowd *c, struct crowd_member *m, struct source *source,
                 enum crowd_phase phase)
{
    m->source = source;
    m->phase = phase;
    list_append(&source->tally[phase].members, &m->place);
    recount(c, source, phase, 1);
}

static void part(struct crowd *c, struct crowd_member *m)
{
    list_remove(&m->place);
    recount(c, m->source, m->phase, -1);
    m->source = NULL;
}

static bool has_members(const struct source *source)
{
    return source->tally[CROWD_SILENT].count > 0 || source->tally[CROWD_HANDSHAKE].count > 0;
}

static void forget(struct crowd *c, struct source *source)
{
    table_remove(&c->sources, &source->entry);
    free(source);
}

bool crowd_enter(struct crowd *c, struct crowd_member *m, const uint8_t source[SOURCE_BYTES])
{
    struct source *own = find_source(c, source);
    if (!own)
        own = add_source(c, source);
    if (!own)
        return false;
    list_init(&m->place);
    join(c, m, own, CROWD_SILENT);
    return true;
}

const uint8_t *crowd_source(const struct crowd_member *m)
{
    return m->source->key;
}

void crowd_advance(struct crowd *c, struct crowd_member *m)
{
    struct source *source = m->source;
    part(c, m);
    join(c, m, source, CROWD_HANDSHAKE);
}

void crowd_retreat(struct crowd *c, struct crowd_member *m)
{
    struct source *source = m->source;
    struct list *others = source->tally[CROWD_SILENT].members.next;
    part(c, m);
    join(c, m, source, CROWD_SILENT);
    list_move(others, &m->place); /* before them */
}

void crowd_leave(struct crowd *c, struct crowd_member *m)
{
    struct source *source = m->source;
    if (!source)
        return;
    part(c, m);
    if (!has_members(source) && source->failed == 0)
        forget(c, source);
}

static bool failures_are_over(const struct source *source, uint64_t now_us)
{
    return source->failed == 0 || now_us >= source->failed_since_us + CLOCK_US_PER_S;
}

void crowd_count_failure(struct crowd_member *m, uint64_t now_us)
{
    struct source *source = m->source;
    if (failures_are_over(source, now_us)) {
        source->failed = 0;
        source->failed_since_us = now_us;
    }
    source->failed++;
}

bool crowd_allows(const struct crowd *c, const uint8_t source[SOURCE_BYTES], uint64_t now_us)
{
    const struct source *own = find_source(c, source);
    return !own || own->failed < HANDSHAKES_FAILED_PER_S || failures_are_over(own, now_us);
}

void crowd_sweep(struct crowd *c, uint64_t now_us)
{
    struct list idle; /* linked by a place that only sources with members need */
    list_init(&idle);
    for (struct table_entry *entry = table_next(&c->sources, NULL); entry;
         entry = table_next(&c->sources, entry)) {
        struct source *source = source_of_entry(entry);
        if (failures_are_over(source, now_us)) {
            source->failed = 0;
            if (!has_members(source))
                list_append(&idle, &source->tally[CROWD_SILENT].place);
        }
    }
    list_each (place, &idle)
        forget(c, container_of(place, struct source, tally[CROWD_SILENT].place));
}

void crowd_free(struct crowd *c)
{
    crowd_sweep(c, CLOCK_NEVER);
    table_free(&c->sources);
}
