/* The ends that a new configuration brings. Reading the file, and keys that take effect only at the
 * next start, are the affair of server.c and config/. */
#include "relay/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "relay/authorities.h"
#include "relay/changes.h"
#include "relay/desk.h"
#include "relay/junction.h"
#include "relay/listing.h"
#include "relay/peer.h"
#include "relay/visitors.h"

#define REVOKED_US (500 * CLOCK_US_PER_MS)

static bool know(struct known_keys *known, const struct relay_config *config)
{
    bool all = true;
    known_keys_begin(known);
    for (size_t i = 0; i < config->user_count; i++)
        all &= known_keys_add(known, config->users[i].public_key);
    for (size_t i = 0; i < config->agent_count; i++)
        all &= known_keys_add(known, config->agents[i].public_key);
    known_keys_end(known);
    return all;
}

static bool still_allowed(const struct relay *r, const struct known_user *u,
                          const struct known_agent *a)
{
    return u->generation == r->directory.generation && a->generation == r->directory.generation &&
           directory_may_reach(u, a->name);
}

/* Ends the CONNECTs and circuits that are no longer permitted. */
static void end_forbidden(struct relay *r)
{
    list_each (link, &r->pendings) {
        struct pending *p = container_of(link, struct pending, all);
        if (!still_allowed(r, p->user, p->agent))
            pending_refuse(p, CODE_REVOKED, "no longer permitted by the relay", 0);
    }
    list_each (link, &r->junctions) {
        struct junction *j = container_of(link, struct junction, all);
        if (j->user && !still_allowed(r, j->user, j->agent))
            junction_end(j, "no longer permitted");
    }
}

static void end_revoked(struct peer *peer)
{
    peer_bye(peer, CODE_REVOKED, "this key is no longer in the relay's configuration", 0);
}

static void end_hops(const struct list *hops)
{
    while (!list_empty(hops))
        end_revoked(container_of(hops->next, struct peer, of_party));
}

/* Hops whose key was welcome and no longer is before they are open. An honest one opens within the
 * time, and is told why it ends; another one ends with it. */
static void end_newcomers(struct relay *r)
{
    uint64_t until_us = loop_now(r->loop) + REVOKED_US;
    list_each (link, &r->peers) {
        struct peer *peer = container_of(link, struct peer, all);
        const struct hop *h = &peer->driver.hop;
        if (h->state == HOP_WAIT_FIRST && !directory_user_by_key(&r->directory, h->peer_key) &&
            !directory_agent_by_key(&r->directory, h->peer_key))
            hop_driver_set_deadline(&peer->driver, until_us);
    }
}

static void end_gone(struct audit *audit, struct list *gone_users, struct list *gone_agents)
{
    list_each (link, gone_users) {
        struct known_user *u = container_of(link, struct known_user, all);
        changes_log_gone_user(audit, u);
        end_hops(&u->hops);
        directory_free_user(u);
    }
    list_each (link, gone_agents) {
        struct known_agent *a = container_of(link, struct known_agent, all);
        changes_log_gone_agent(audit, a);
        end_hops(&a->hops.all);
        directory_free_agent(a);
    }
}

void reload_apply(struct relay *r, const struct relay_config *config)
{
    struct list gone_users, gone_agents;
    list_init(&gone_users);
    list_init(&gone_agents);
    bool known = know(r->known, config);
    authorities_set(r->authorities, config);
    visitors_reload(r, config);
    if (!directory_update(&r->directory, config, loop_now(r->loop), &gone_users, &gone_agents) ||
        !known)
        log_error(NO_MEMORY_TEXT ": some users and agents are not known");
    end_forbidden(r);
    listing_reloaded(r, &gone_agents);
    end_gone(r->audit, &gone_users, &gone_agents);
    end_newcomers(r);
    r->party.keepalive_s = (uint16_t)config->keepalive_s;
}
