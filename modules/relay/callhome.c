#include "relay/callhome.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/connect.h"
#include "relay/peer.h"
#include "relay/server.h"

#define PARKED_MAX 4

/* A parked hop this much older than a control hop that takes another's place was parked beside the
 * one replaced, and is most likely as dead. */
#define PARKED_BESIDE_US (5 * CLOCK_US_PER_S)

#define DIALLED_IDLE_US (60 * CLOCK_US_PER_S)

static void end_old_parked(struct agent *a, uint64_t now_us)
{
    list_each (link, &a->parked) {
        struct peer *peer = container_of(link, struct peer, place);
        if (peer->driver.hop.opened_us + PARKED_BESIDE_US < now_us)
            peer_bye(peer, CODE_DONE, "parked beside a control hop that was replaced", 0);
    }
}

static void replace(struct agent *a, struct peer *newer)
{
    struct peer *older = a->control;
    uint64_t now = loop_now(newer->relay->loop);
    a->control = NULL; /* the older one's end is not the agent's */
    if (directory_replaced(a, now)) {
        log_warning("agent %s: two agents with its key take turns (now from %s, before from %s): "
                    "is it running twice, or was its key copied?",
                    a->name, newer->address, older->address);
        a->since_us = now;
    }
    peer_bye(older, CODE_REPLACED, "a newer control hop of the same key took its place", 0);
    end_old_parked(a, now);
}

void callhome_control_came(struct peer *peer, struct agent *a, const struct info *info)
{
    struct relay *r = peer->relay;
    peer->kind = PEER_CONTROL;
    peer->agent = a;
    if (a->control)
        replace(a, peer);
    else
        a->since_us = loop_now(r->loop);
    a->control = peer;
    directory_set_info(a, info);
    log_info("agent %s online from %s", a->name, peer->address);
    listing_changed(r, a);
    pending_control_came(a);
}

void callhome_control_gone(struct peer *peer, const char *why)
{
    struct agent *a = peer->agent;
    if (a->control != peer)
        return;
    a->control = NULL;
    a->since_us = loop_now(peer->relay->loop);
    log_info("agent %s offline: %s", a->name, why);
    listing_changed(peer->relay, a);
}

void callhome_park(struct peer *peer)
{
    struct agent *a = peer->agent;
    if (a->parked_count >= PARKED_MAX) {
        struct peer *oldest = container_of(a->parked.next, struct peer, place);
        peer_bye(oldest, CODE_DONE, "newer hops of the same key are parked", 0);
    }
    list_append(&a->parked, &peer->place);
    a->parked_count++;
    if (peer->driver.hop.initiator) {
        /* Nobody asked for it to stay: it was dialled for a CONNECT that was refused. */
        hop_driver_set_deadline(&peer->driver, loop_now(peer->relay->loop) + DIALLED_IDLE_US);
    }
    pending_parked_came(a);
}

void callhome_unpark(struct peer *peer)
{
    if (list_linked(&peer->place)) {
        list_remove(&peer->place);
        peer->agent->parked_count--;
    }
}

bool callhome_call(struct peer *peer, struct view body)
{
    struct call call;
    struct agent *a = peer->agent;
    if (!call_decode(&call, body))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed CALL");
    if (a->control != peer || !directory_call(a, &call, loop_now(peer->relay->loop)))
        return true;
    if (a->severity > 0) {
        log_info("agent %s calls for help, severity %u: %s", a->name, a->severity,
                 a->call_text ? a->call_text : "");
    } else {
        log_info("agent %s no longer calls for help", a->name);
    }
    listing_changed(peer->relay, a);
    return true;
}
