/* The state that the parts of a running agent share. A part calls those above it through the
 * function pointers here. */
#ifndef SPX_AGENT_STATE_H
#define SPX_AGENT_STATE_H

#include "agent/approvals.h"
#include "agent/attempts.h"
#include "agent/meters.h"
#include "agent/seats.h"
#include "audit/counts.h"
#include "base/log_rates.h"
#include "config/config.h"
#include "hop/hop.h"
#include "net/loop.h"
#include "net/parting.h"
#include "policy/rules.h"

/* In a refusal, which may come to the client by way of the relay and is to say whose fault it is.
 */
#define AGENT_NO_MEMORY_TEXT "the agent is " NO_MEMORY_TEXT
#define AGENT_ENDING_TEXT "the agent is ending"

struct uplink;
struct inbound;
struct call_desk;
struct code_desk;
struct permits;
struct agent_control;
struct agent_lock;
struct approval_desk;
struct own_calls;
struct policy;
struct requests;
struct teller;

struct agent {
    struct loop *loop;
    const char *config_path;
    struct agent_config config;
    struct keypair key; /* the one at start: a reload does not change it */
    struct hop_party party;
    const struct policy *policy; /* who may begin a session */
    struct uplink **uplinks;     /* one for each relay with an address */
    size_t uplink_count;
    struct inbound *inbound;     /* dial mode, or NULL */
    struct call_desk *call_desk; /* takes calls for help */
    int state_held;              /* the lock of the state directory; -1: it has none */
    struct agent_lock *lock;
    struct code_desk *codes;             /* for emergencies */
    bool is_locked;                      /* nobody may have a session (lock.h) */
    struct agent_control *control;       /* or NULL */
    struct seats seats;                  /* of the sessions (service.h) */
    struct permits *permits;             /* by which users have sessions that no [User] names */
    struct list guests;                  /* those users (guest.h) */
    struct requests *requests;           /* of those that wait for approval */
    struct approvals approvals;          /* for a time */
    struct approval_desk *approval_desk; /* takes decisions on them */
    uint32_t sessions_started;
    struct partings partings; /* of sessions that ended for a fault of the client's */
    struct list shares;       /* of the loop, each of a user's sessions (shares.h) */
    struct list over;         /* sessions that ended, and whose streams have to end yet */
    struct list meters;       /* of users, of what they take of the audit (meters.h) */
    struct deferred quota;    /* one has taken too much of it */
    struct list attempts;     /* session messages 1 that came, for each relay */
    struct list ended;        /* sessions that ended recently (ended.h) */
    struct own_calls *calls;  /* the storage system's calls for help */
    struct audit *audit;      /* or NULL */
    struct teller *teller;    /* of events, to a program (events.h), or NULL */
    char **listen_paths;      /* of users' -R, those that it was started with (guard.h) */
    size_t listen_path_count;
    struct audit_counts counts; /* of what is not worth a line each in it */
    struct log_rates log;       /* of the lines that users and relays cause, by their keys */
    struct timer log_sweep;
    struct key_stock stock; /* for answers to OFFERs */
    struct timer restock;
    struct timer stop_limit;
    struct timer heads; /* of the audit, when sessions are owed one again */
    struct timer terms; /* when sessions are next held against their users' rules */
    bool stopping;
    const char *why; /* it ends */
    /* True if an address is one of the agent's own: a user must not reach what decides about them.
     * NULL: none is. */
    bool (*is_own)(const struct agent *a, const struct address *address);
    /* A circuit has ended or is silent: probe the relays. */
    void (*on_path_in_doubt)(struct agent *a);
    /* The calls for help have changed, and that is on disk: the relays are told. */
    void (*on_calls_stored)(struct agent *a);
    /* A relay has heard the calls for help, or is not there any more. */
    void (*on_calls_heard)(struct agent *a);
    /* Permits have been revoked: sessions by them end. */
    void (*on_revoked)(struct agent *a);
    /* The last session has ended. */
    void (*on_no_session)(struct agent *a);
};

/* The stock was used: refills it a little later, not during a connect. */
void agent_restock(struct agent *a);

/* The facts of now that the rules for sessions are held against. */
struct circumstances agent_circumstances(const struct agent *a);

/* The user with this key, or NULL. */
const struct agent_user *agent_find_user(const struct agent *a, const uint8_t key[KEY_BYTES]);

/* The name of the user with this key, also of one by a permit, to show; "": there is none. */
const char *agent_user_name(const struct agent *a, const uint8_t key[KEY_BYTES]);

/* The relay with this key, or NULL. */
const struct agent_relay *agent_find_relay(const struct agent *a, const uint8_t key[KEY_BYTES]);

/* Whose line it is in the log (log_caused) when a relay does something in a user's name that the
 * user has not proven to want: that relay's, for each of the configuration's users another. */
void agent_party(const struct agent *a, uint8_t out[LOG_PARTY_BYTES],
                 const uint8_t relay_key[KEY_BYTES], const uint8_t user_key[KEY_BYTES]);

/* From now on what the log has left out is told every few seconds. */
void agent_sweep_log(struct agent *a);

#endif
