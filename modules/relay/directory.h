/* Who the relay knows: users and agents of the configuration, what each may do (policy), and the
 * presence of each agent. Knows no sockets. */
#ifndef SPX_RELAY_DIRECTORY_H
#define SPX_RELAY_DIRECTORY_H

#include "base/list.h"
#include "base/rate.h"
#include "base/table.h"
#include "config/config.h"
#include "relay/notice.h"
#include "relay/presence.h"
#include "wire/messages.h"

struct peer;
struct visit;

struct known_user {
    struct table_entry by_key;
    uint8_t public_key[KEY_BYTES];
    const struct relay_user *config;
    const struct relay_user *before; /* directory_update replaced it; valid as long as the
                                        configuration that it is of; NULL: the user is new */
    unsigned generation;
    struct visit *visit; /* of a user by permit (visitors.h), who has no other config; or NULL */
    void (*free_visit)(struct visit *v);
    bool stays; /* such a one, with the configuration that directory_update takes next */
    struct list all;
    struct list hops;       /* its open client hops, by struct peer's of_party */
    unsigned circuit_count; /* joined, to any agent */
    struct rate heads;      /* of its audits, that are taken */
    struct rate looks;      /* at agents, for LIST and WATCH */
    struct rate lists;      /* its LISTs and WATCHes of more than one agent */
};

/* The hops that an agent has at this relay. */
struct agent_hops {
    struct list all;      /* every one that names the agent, by struct peer's of_party */
    struct peer *control; /* NULL: none */
    struct list parked;   /* oldest first, by struct peer's parked */
    unsigned parked_count;
};

struct known_agent {
    struct table_entry by_key, by_name;
    uint8_t public_key[KEY_BYTES];
    char name[NAME_TEXT_BYTES];       /* zeros behind the name: the table's key */
    const struct relay_agent *config; /* policy: labels, where it is dialled */
    unsigned generation;
    struct list all;
    struct presence presence;
    struct rate heads;      /* of its audit, that are taken */
    bool head_due;          /* it is owed one of the relay's */
    struct rate call_notes; /* entries about its calls in the audit */
    struct agent_hops hops;
    struct list pendings; /* CONNECTs under way, by struct pending's of_agent */
    struct notice notice;
};

/* Counted for one user at one agent. */
struct pair {
    struct table_entry entry;
    uint8_t keys[2 * KEY_BYTES]; /* the user's, the agent's */
    struct rate connects;
    unsigned pending;
    unsigned circuit_count;
    struct list junctions; /* oldest first, by struct junction's of_pair */
    struct list unused;    /* directory_sweep's */
};

struct directory {
    struct table users_by_key, agents_by_key, agents_by_name, pairs;
    struct list users, agents; /* in the configuration's order */
    unsigned generation;
    struct presence_watch *watch; /* for each agent that is added; NULL: nobody */
};

/* Knows nobody. hash_key: 16 random bytes. Takes no memory before directory_update. */
void directory_init(struct directory *d, const uint8_t hash_key[16]);

/* Takes over a configuration, which must live as long as the directory or until the next one was
 * taken. An entry whose name and key are in it stays as it is; one that is not is moved to a list
 * (heads of the caller), for the caller to end its hops and free it (directory_free_user,
 * directory_free_agent); every hop that names it is among its hops. The watch hears of each agent
 * that is new, or that AGENT tells of otherwise now. False: there was no memory for some new
 * entries, they are not known. */
bool directory_update(struct directory *d, const struct relay_config *config, uint64_t now_us,
                      struct list *gone_users, struct list *gone_agents);

/* Frees all entries; nothing of them is used any more. */
void directory_free(struct directory *d);
void directory_free_user(struct known_user *u);
void directory_free_agent(struct known_agent *a);

/* A user by permit, whose visit it owns from now on. NULL without memory: it does not. */
struct known_user *directory_add_visitor(struct directory *d, struct visit *v,
                                         const struct relay_user *config,
                                         void (*free_visit)(struct visit *v));

/* One that nothing names any more. */
void directory_remove_visitor(struct directory *d, struct known_user *u);

/* Whose key it is, or NULL. Valid until directory_update moves it to a list of those gone. */
struct known_user *directory_user_by_key(const struct directory *d, const uint8_t key[KEY_BYTES]);
struct known_agent *directory_agent_by_key(const struct directory *d, const uint8_t key[KEY_BYTES]);

/* True if one of the user's patterns allows an agent of this name, existing or not. */
bool directory_may_reach(const struct known_user *u, const char *name);

/* The same for a configuration of a user; NULL allows none. */
bool directory_allows(const struct relay_user *u, const char *name);

/* The agent of this name if the user may reach it. NULL after the same work when there is none and
 * when it is not permitted. */
struct known_agent *directory_agent_for(const struct directory *d, const struct known_user *u,
                                        struct view name);

/* NULL without memory. Valid until directory_sweep finds it unused. */
struct pair *directory_pair(struct directory *d, const struct known_user *u,
                            const struct known_agent *a);

/* Forgets pairs that limit nothing any more; call every few seconds. */
void directory_sweep(struct directory *d, uint64_t now_us);

/* Its state as AGENT tells it (docs/PROTOCOL.md section 3). */
enum agent_state known_agent_state(const struct known_agent *a, uint64_t now_us);

/* Its labels, from the configuration and from INFO (labels_merge). */
void known_agent_labels(char out[LABELS_MAX_BYTES + 1], const struct known_agent *a);

#endif
