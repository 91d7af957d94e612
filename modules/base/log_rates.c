/* A table of rates by party and kind of line. What was left out is told by the next line of its
 * kind, or, when none comes, by a sweep. */
#include "base/log_rates.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define TEXT_BYTES 1800 /* as much as the log takes */
#define LAST_BYTES 480

struct kind {
    uint8_t party[LOG_PARTY_BYTES];
    const char *format;
};

/* The last line that was left out. */
struct left_out {
    enum log_level level;
    char text[LAST_BYTES];    /* cut */
    struct log_fields fields; /* their texts in store */
    char store[LAST_BYTES];
};

struct entry {
    struct table_entry by_kind;
    struct list place; /* in used */
    struct kind kind;
    struct log_rate rate;
    struct left_out *last; /* NULL: none was left out, or no memory for it */
};

static struct entry *entry_of(struct table_entry *t)
{
    return t ? container_of(t, struct entry, by_kind) : NULL;
}

void log_rates_init(struct log_rates *all, const uint8_t hash_key[16])
{
    *all = (struct log_rates){0};
    list_init(&all->used);
    table_init(&all->table, sizeof(struct kind),
               (ptrdiff_t)offsetof(struct entry, kind) - (ptrdiff_t)offsetof(struct entry, by_kind),
               hash_key);
}

/* Logs the last line that was left out, for those before it too. */
static void tell(struct entry *e)
{
    unsigned long count = e->rate.left_out;
    if (count > 0 && e->last)
        log_left_out(count - 1, e->last->level, &e->last->fields, e->last->text);
    else if (count > 0)
        log_warning("%lu lines left out, " NO_MEMORY_TEXT, count);
    e->rate.left_out = 0;
    free(e->last);
    e->last = NULL;
}

static void forget(struct log_rates *all, struct entry *e)
{
    tell(e);
    table_remove(&all->table, &e->by_kind);
    list_remove(&e->place);
    free(e);
}

static struct entry *add(struct log_rates *all, const struct kind *kind)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->kind = *kind;
    if (!table_insert(&all->table, &e->by_kind)) {
        free(e);
        return NULL;
    }
    list_append(&all->used, &e->place);
    if (all->table.count > LOG_RATES_MAX)
        forget(all, container_of(all->used.next, struct entry, place));
    return e;
}

static struct entry *use(struct log_rates *all, const uint8_t party[LOG_PARTY_BYTES],
                         const char *format)
{
    struct kind kind = {.format = format};
    struct entry *e;
    memcpy(kind.party, party, LOG_PARTY_BYTES);
    e = entry_of(table_find(&all->table, &kind));
    if (!e)
        return add(all, &kind);
    list_move(&all->used, &e->place);
    return e;
}

/* Keeps what the rate has left out: if no other comes, it is told later. */
static void keep(struct entry *e, enum log_level level, const struct log_fields *fields,
                 const char *text)
{
    static const struct log_fields none;
    struct left_out *last = e->last ? e->last : malloc(sizeof *last);
    e->last = last;
    if (!last)
        return;
    last->level = level;
    snprintf(last->text, sizeof last->text, "%.*s", LAST_BYTES - 1, text);
    log_fields_keep(&last->fields, last->store, sizeof last->store, fields ? fields : &none);
}

struct log_fields log_party_fields(const struct log_party *by, const char *event)
{
    struct log_fields f = {0};
    if (by->fields)
        f = *by->fields;
    f.event = event;
    return f;
}

void log_caused_event(struct log_rates *all, const uint8_t party[LOG_PARTY_BYTES], uint64_t now_us,
                      enum log_level level, const struct log_fields *fields, const char *format,
                      ...)
{
    char text[TEXT_BYTES] = "";
    struct entry *e;
    unsigned long left_out;
    va_list args;
    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    e = use(all, party, format);
    left_out = e ? e->rate.left_out : 0;
    log_rated_event(e ? &e->rate : &all->unaccounted, now_us, level, fields, "%s", text);
    if (e && e->rate.left_out > left_out)
        keep(e, level, fields, text);
}

void log_rates_sweep(struct log_rates *all, uint64_t now_us)
{
    list_each (link, &all->used) {
        struct entry *e = container_of(link, struct entry, place);
        if (e->rate.left_out && rate_take(&e->rate.rate, now_us, LOG_RATE_PER_S, LOG_RATE_BURST))
            tell(e);
        else if (!e->rate.left_out && e->rate.rate.full_us <= now_us)
            forget(all, e);
    }
}

void log_rates_free(struct log_rates *all)
{
    list_each (link, &all->used)
        forget(all, container_of(link, struct entry, place));
    table_free(&all->table);
}
