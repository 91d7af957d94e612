/* Shares as long as a session holds them. */
#include "agent/shares.h"

#include <stdlib.h>
#include <string.h>

static struct share *find(const struct list *shares, const uint8_t user_key[KEY_BYTES])
{
    list_each (link, shares) {
        struct share *share = container_of(link, struct share, place);
        if (memcmp(share->user_key, user_key, KEY_BYTES) == 0)
            return share;
    }
    return NULL;
}

static void bury(struct deferred *burial)
{
    free(container_of(burial, struct share, burial));
}

static struct share *share_new(struct list *shares, struct loop *loop,
                               const uint8_t user_key[KEY_BYTES])
{
    struct share *share = calloc(1, sizeof *share);
    if (!share)
        return NULL;
    turns_init(&share->turns, loop);
    memcpy(share->user_key, user_key, KEY_BYTES);
    list_append(shares, &share->place);
    share->burial.run = bury;
    return share;
}

struct share *share_take(struct list *shares, struct loop *loop, const uint8_t user_key[KEY_BYTES])
{
    struct share *share = find(shares, user_key);
    if (!share)
        share = share_new(shares, loop, user_key);
    if (share)
        share->holders++;
    return share;
}

/* The last one may leave inside a turn. */
void share_leave(struct share *share)
{
    if (!share || --share->holders > 0)
        return;
    turns_end(&share->turns);
    list_remove(&share->place);
    loop_defer(share->turns.loop, &share->burial);
}
