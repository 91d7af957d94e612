/* A head that is owed is noted at the agent, and paid when the next head is signed. */
#include "relay/heads.h"

#include "audit/exchange.h"
#include "base/clock.h"
#include "relay/desk.h"
#include "relay/junction.h"

#define HEAD_US (300 * CLOCK_US_PER_S)

void heads_sweep(struct relay *r, uint64_t now_us)
{
    if (!r->audit || now_us < r->heads_us)
        return;
    r->heads_us = now_us + HEAD_US;
    if (list_empty(&r->junctions))
        return;
    list_each (link, &r->junctions) {
        const struct junction *j = container_of(link, struct junction, all);
        if (j->agent)
            j->agent->head_due = true;
    }
    audit_want_head(r->audit);
}

void heads_signed(void *relay, struct view head)
{
    struct relay *r = relay;
    list_each (link, &r->directory.agents) {
        struct known_agent *a = container_of(link, struct known_agent, all);
        if (!a->head_due || !a->hops.control)
            continue;
        a->head_due = false;
        peer_send(a->hops.control, MESSAGE_HEAD, head);
    }
}

void heads_greet(struct peer *client)
{
    uint8_t head[SIGNED_HEAD_BYTES];
    if (audit_last_head(client->relay->audit, head))
        hop_send(&client->driver.hop, MESSAGE_HEAD, view_of(head, sizeof head));
}

static void take(struct peer *peer, struct rate *rate, const uint8_t key[KEY_BYTES],
                 struct audit_entry of, struct view body)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(fingerprint, key);
    of.key = fingerprint;
    of.address = peer->address;
    audit_take_head(peer->relay->audit, rate, &of, key, body);
}

bool heads_read_of_user(struct peer *peer, struct view body)
{
    struct known_user *u = peer->user;
    take(peer, &u->heads, u->public_key,
         (struct audit_entry){.user = u->config->name, .by = "client"}, body);
    return true;
}

bool heads_read_of_agent(struct peer *peer, struct view body)
{
    struct known_agent *a = peer->agent;
    take(peer, &a->heads, a->public_key, (struct audit_entry){.agent = a->name, .by = "agent"},
         body);
    return true;
}
