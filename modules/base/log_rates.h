/* The rates of log lines by who causes them: each party has one of its own for every kind of line,
 * which outlives its connections and sessions, so that coming again gives no new allowance, and no
 * party's lines push out another's. Bounded: of more kinds of lines than LOG_RATES_MAX the one that
 * was logged or left out longest ago is forgotten. */
#ifndef SPX_BASE_LOG_RATES_H
#define SPX_BASE_LOG_RATES_H

#include "base/list.h"
#include "base/log_rate.h"
#include "base/table.h"

#define LOG_RATES_MAX 4096
#define LOG_PARTY_BYTES 32 /* as a public key has */

struct log_rates {
    struct table table;
    struct list used;            /* in it, what was used longest ago first */
    struct log_rate unaccounted; /* for want of memory */
};

/* Who causes lines, for those who know no parties: all, the key and the fields that each of the
 * lines has (NULL: none) are the owner's. */
struct log_party {
    struct log_rates *all;
    const struct log_fields *fields;
    uint8_t key[LOG_PARTY_BYTES];
};

/* hash_key: 16 random bytes. No memory is taken before the first line. */
void log_rates_init(struct log_rates *all, const uint8_t hash_key[16]);

/* As log_rated_event, by the rate that this party has for lines of this format. format: a literal.
 */
void log_caused_event(struct log_rates *all, const uint8_t party[LOG_PARTY_BYTES], uint64_t now_us,
                      enum log_level level, const struct log_fields *fields, const char *format,
                      ...) __attribute__((format(printf, 6, 7)));

#define log_caused(all, party, now_us, level, ...) \
    log_caused_event(all, party, now_us, level, NULL, __VA_ARGS__)

/* The party's fields with this event. */
struct log_fields log_party_fields(const struct log_party *by, const char *event);

/* Call every few seconds: of each kind of line of which some were left out since, the last of them
 * is logged with the count of the others, if the rate has room for one; rates at rest are
 * forgotten. */
void log_rates_sweep(struct log_rates *all, uint64_t now_us);

/* Tells of all that was left out, and frees. */
void log_rates_free(struct log_rates *all);

#endif
