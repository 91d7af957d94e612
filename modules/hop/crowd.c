/* Counts by source: who goes when there are too many, and budgets of curve arithmetic, which are
 * leaky buckets. A source that recently opened a hop has a reserve, so that a flood from elsewhere
 * does not keep its parties out. */
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
    struct rate spent, answers; /* multiplications in vain; those on answers */
    uint64_t trusted_until_us;
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
    c->spent = c->reserve = c->answers = (struct rate){0};
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

/* ---- Budgets. ---- */

struct budget {
    unsigned per_s, burst;
};

static const struct budget of_source = {SOURCE_MULTIPLICATIONS_PER_S,
                                        2 * SOURCE_MULTIPLICATIONS_PER_S};
static const struct budget answers_of_source = {
    SOURCE_ANSWERS_PER_S * MULTIPLICATIONS_TO_ANSWER,
    4 * SOURCE_ANSWERS_PER_S *MULTIPLICATIONS_TO_ANSWER};
static const struct budget in_all = {MULTIPLICATIONS_PER_S, MULTIPLICATIONS_PER_S};
static const struct budget answers_in_all = {ANSWERS_PER_S * MULTIPLICATIONS_TO_ANSWER,
                                             2 * ANSWERS_PER_S *MULTIPLICATIONS_TO_ANSWER};

static uint64_t full_after_us(const struct budget *b)
{
    return b->burst * (CLOCK_US_PER_S / b->per_s);
}

static bool is_left(const struct rate *r, const struct budget *b, uint64_t now_us)
{
    return r->full_us <= now_us || r->full_us - now_us < full_after_us(b);
}

/* Arithmetic that was under way when the budget ran out is charged too, but no debt is longer than
 * another burst. */
static void charge(struct rate *r, const struct budget *b, unsigned n, uint64_t now_us)
{
    uint64_t begin_us = r->full_us > now_us ? r->full_us : now_us;
    uint64_t most_us = now_us + 2 * full_after_us(b);
    uint64_t full_us = begin_us + n * (CLOCK_US_PER_S / b->per_s);
    r->full_us = full_us < most_us ? full_us : most_us;
}

static bool source_trusted(const struct source *source, uint64_t now_us)
{
    return now_us < source->trusted_until_us;
}

bool crowd_trusts(const struct crowd_member *m, uint64_t now_us)
{
    return m->source && source_trusted(m->source, now_us);
}

enum crowd_budget crowd_budget(const struct crowd *c, const struct crowd_member *m, uint64_t now_us)
{
    const struct source *own = m->source;
    bool left = is_left(&c->spent, &in_all, now_us) ||
                (source_trusted(own, now_us) && is_left(&c->reserve, &in_all, now_us));
    if (!left || !is_left(&own->spent, &of_source, now_us))
        return CROWD_NOTHING;
    bool answer = is_left(&own->answers, &answers_of_source, now_us) &&
                  is_left(&c->answers, &answers_in_all, now_us);
    return answer ? CROWD_ANY : CROWD_KNOWN;
}

static void charge_in_all(struct crowd *c, const struct source *own, unsigned n, uint64_t now_us)
{
    bool left = is_left(&c->spent, &in_all, now_us);
    bool trusted = own && source_trusted(own, now_us);
    charge(trusted && !left ? &c->reserve : &c->spent, &in_all, n, now_us);
}

void crowd_spend(struct crowd *c, const uint8_t source[SOURCE_BYTES], unsigned multiplications,
                 bool answer, uint64_t now_us)
{
    struct source *own = find_source(c, source);
    if (!own)
        own = add_source(c, source); /* it has left in haste, and pays all the same */
    charge_in_all(c, own, multiplications, now_us);
    if (own)
        charge(&own->spent, &of_source, multiplications, now_us);
    if (answer) {
        charge(&c->answers, &answers_in_all, multiplications, now_us);
        if (own)
            charge(&own->answers, &answers_of_source, multiplications, now_us);
    }
}

void crowd_party(uint8_t out[LOG_PARTY_BYTES], const struct crowd_member *m, uint64_t now_us)
{
    memset(out, 0, LOG_PARTY_BYTES);
    if (m->source && crowd_trusts(m, now_us))
        memcpy(out, m->source->key, SOURCE_BYTES);
}

/* ---- Leaving. ---- */

static bool to_remember(const struct source *source, uint64_t now_us)
{
    return has_members(source) || source_trusted(source, now_us) ||
           source->spent.full_us > now_us || source->answers.full_us > now_us;
}

void crowd_leave(struct crowd *c, struct crowd_member *m)
{
    struct source *source = m->source;
    if (!source)
        return;
    part(c, m);
    if (!to_remember(source, 0))
        forget(c, source);
}

void crowd_opened(struct crowd *c, struct crowd_member *m, uint64_t now_us)
{
    if (!m->source)
        return;
    m->owed = 0;
    m->source->trusted_until_us = now_us + CROWD_TRUST_S * CLOCK_US_PER_S;
    crowd_leave(c, m);
}

void crowd_failed(struct crowd *c, struct crowd_member *m, uint64_t now_us)
{
    if (m->source && m->owed > 0)
        crowd_spend(c, m->source->key, m->owed, false, now_us);
    m->owed = 0;
}

void crowd_sweep(struct crowd *c, uint64_t now_us)
{
    struct list idle; /* linked by a place that only sources with members need */
    list_init(&idle);
    for (struct table_entry *entry = table_next(&c->sources, NULL); entry;
         entry = table_next(&c->sources, entry)) {
        struct source *source = source_of_entry(entry);
        if (!to_remember(source, now_us))
            list_append(&idle, &source->tally[CROWD_SILENT].place);
    }
    list_each (place, &idle)
        forget(c, container_of(place, struct source, tally[CROWD_SILENT].place));
}

void crowd_free(struct crowd *c)
{
    crowd_sweep(c, CLOCK_NEVER);
    table_free(&c->sources);
}
