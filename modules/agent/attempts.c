/* Records of session messages 1, in memory only and by no clock but the loop's. It decides nothing:
 * agent/answer.c drops, delays and answers. */
#include "agent/attempts.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct relay_attempts *attempts_of(struct list *all, const uint8_t relay_key[KEY_BYTES])
{
    struct relay_attempts *r;
    list_each (link, all) {
        r = container_of(link, struct relay_attempts, place);
        if (memcmp(r->relay_key, relay_key, KEY_BYTES) == 0)
            return r;
    }
    r = malloc(sizeof *r);
    if (!r)
        return NULL;
    memcpy(r->relay_key, relay_key, KEY_BYTES);
    r->rate = r->notes = (struct rate){0};
    r->count = r->next = 0; /* the pages of those that are not kept yet stay untouched */
    list_append(all, &r->place);
    return r;
}

const struct attempt *attempts_find(const struct relay_attempts *r,
                                    const uint8_t ephemeral[KEY_BYTES])
{
    for (size_t i = 0; i < r->count; i++)
        if (memcmp(r->kept[i].ephemeral, ephemeral, KEY_BYTES) == 0)
            return &r->kept[i];
    return NULL;
}

void attempts_keep(struct relay_attempts *r, const struct attempt *attempt)
{
    r->kept[r->next] = *attempt;
    r->next = (r->next + 1) % ATTEMPTS_KEPT;
    if (r->count < ATTEMPTS_KEPT)
        r->count++;
}

bool attempts_take(struct relay_attempts *r, uint64_t now_us)
{
    return rate_take(&r->rate, now_us, OFFER_RATE_PER_S, OFFER_BURST);
}

bool attempts_note(struct relay_attempts *r, uint64_t now_us)
{
    return rate_take(&r->notes, now_us, 1, OFFER_BURST);
}

static void forget(struct relay_attempts *r)
{
    list_remove(&r->place);
    free(r);
}

void attempts_forget(struct list *all, bool (*wanted)(void *arg, const uint8_t key[KEY_BYTES]),
                     void *arg)
{
    list_each (link, all) {
        struct relay_attempts *r = container_of(link, struct relay_attempts, place);
        if (!wanted || !wanted(arg, r->relay_key))
            forget(r);
    }
}
