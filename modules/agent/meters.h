/* How much each user's sessions take of the audit, so that one user fills neither its disk nor its
 * queue. In memory only: a restart, which is the owner's, forgets it. */
#ifndef SPX_AGENT_METERS_H
#define SPX_AGENT_METERS_H

#include "base/list.h"
#include "base/rate.h"
#include "crypto/primitives.h"

/* Entries of a user: so many a second in the long run, so many at once; what causes more waits. */
#define METER_RATE_PER_S 2000
#define METER_BURST 100000

struct meter {
    struct list place;
    uint8_t user_key[KEY_BYTES];
    struct rate rate;
    struct rate heads; /* of the user's audit, that are taken */
    uint64_t day_us;   /* when the day began that `entries` are of; a day is 24 h */
    uint64_t entries;
    bool told; /* that they are too many */
};

/* The meter of this user's key, made when there is none; `all`: empty at first. It stays until
 * meters_free. NULL without memory. */
struct meter *meter_of(struct list *all, const uint8_t user_key[KEY_BYTES]);
void meters_free(struct list *all);

/* An entry more. Returns until when what causes entries has to wait, at most a second; 0: it need
 * not. */
uint64_t meter_count(struct meter *m, uint64_t now_us);

/* True if the day's entries are as many as `quota` (0: there is none), and when the day ends. */
bool meter_is_spent(const struct meter *m, uint32_t quota, uint64_t now_us);
uint64_t meter_day_ends_us(const struct meter *m);

#endif
