/* Records of ended sessions. A record holds only the session's id, its user and the reason. */
#include "agent/ended.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define ENDED_MAX 256

struct ended_session {
    struct list link;
    uint8_t id[SESSION_ID_BYTES];
    uint8_t user_key[KEY_BYTES];
    uint64_t until_us;
    struct wire_error why;
};

static void forget(struct list *all, size_t keep, uint64_t now_us)
{
    size_t count = 0;
    list_each (link, all)
        count++;
    list_each (link, all) {
        struct ended_session *ended = container_of(link, struct ended_session, link);
        if (ended->until_us > now_us && count <= keep)
            return;
        list_remove(&ended->link);
        free(ended);
        count--;
    }
}

void ended_remember(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                    const uint8_t user_key[KEY_BYTES], enum code code, const char *why,
                    uint64_t now_us)
{
    struct ended_session *ended = calloc(1, sizeof *ended);
    forget(all, ENDED_MAX - 1, now_us);
    if (!ended)
        return;
    memcpy(ended->id, id, sizeof ended->id);
    memcpy(ended->user_key, user_key, sizeof ended->user_key);
    ended->until_us = now_us + ENDED_KEPT_S * CLOCK_US_PER_S;
    wire_error_set(&ended->why, code, "%s", why);
    list_append(all, &ended->link);
}

const struct wire_error *ended_why(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                                   const uint8_t user_key[KEY_BYTES], uint64_t now_us)
{
    forget(all, ENDED_MAX, now_us);
    list_each (link, all) {
        struct ended_session *ended = container_of(link, struct ended_session, link);
        if (memcmp(ended->id, id, SESSION_ID_BYTES) == 0 &&
            memcmp(ended->user_key, user_key, KEY_BYTES) == 0)
            return &ended->why;
    }
    return NULL;
}

void ended_free(struct list *all)
{
    forget(all, 0, 0);
}
