/* A running agent: what its parts share. */
#ifndef SPX_AGENT_SERVER_H
#define SPX_AGENT_SERVER_H

#include "config/config.h"
#include "forward/refusals.h"
#include "hop/hop.h"
#include "net/parting.h"

struct uplink;
struct inbound;
struct call_socket;

struct agent {
    struct loop *loop;
    const char *config_path;
    struct agent_config config;
    struct keypair key; /* the one it was started with */
    struct hop_party party;
    struct uplink **uplinks; /* one for each relay with an address */
    size_t uplink_count;
    struct inbound *inbound;         /* dial mode, or NULL */
    struct call_socket *call_socket; /* or NULL */
    struct list services;            /* the sessions, by struct service's link */
    unsigned service_count;
    struct partings partings; /* of sessions that ended for a fault of the client's */
    struct refusals refusals; /* of OFFERs */
    struct list ended;        /* sessions that ended lately (ended.h) */
    uint8_t call_severity;    /* what the storage system asks for; 0: nothing */
    char call_text[TEXT_MAX_BYTES + 1];
    struct key_stock stock; /* for answers to OFFERs */
    struct timer restock;
    struct timer stop_limit;
    bool stopping;
};

/* Starts with a configuration, which it takes over (also when it fails), and runs until SIGTERM or
 * SIGINT; SIGHUP loads path again. Returns how it ended; why is in the log. */
enum failure agent_serve(struct agent_config *config, const char *path);

/* The stock was used: it is filled when the connect that took of it is through. */
void agent_restock(struct agent *a);

/* A circuit ended: is the relay still there? */
void agent_probe_relays(struct agent *a);

/* The user with this key, or NULL. */
const struct agent_user *agent_find_user(const struct agent *a, const uint8_t key[KEY_BYTES]);

/* The relay with this key, or NULL. */
const struct agent_relay *agent_find_relay(const struct agent *a, const uint8_t key[KEY_BYTES]);

#endif
