/* Who the relay knows: users and agents of the configuration, and what is known of each agent now.
 * Knows no sockets. */
#ifndef SPX_RELAY_DIRECTORY_H
#define SPX_RELAY_DIRECTORY_H

#include "base/list.h"
#include "base/rate.h"
#include "base/table.h"
#include "config/config.h"
#include "wire/messages.h"

struct peer;

/* An agent is shown as duplicate until this long after two hops of its key last took turns. */
#define DUPLICATE_SHOWN_US (3ULL * DUPLICATE_WAIT_S * 1000000)

struct user {
    struct table_entry by_key;
    uint8_t public_key[KEY_BYTES];
    const struct relay_user *config;
    unsigned generation;
    struct list all;
    struct list peers; /* its open client hops, by struct peer's place */
    struct rate lists; /* its LISTs and WATCHes of more than one agent */
};

struct agent {
    struct table_entry by_key, by_name;
    uint8_t public_key[KEY_BYTES];
    char name[NAME_MAX_BYTES + 1]; /* zeros behind the name: the table's key */
    const struct relay_agent *config;
    unsigned generation;
    struct list all;
    struct peer *control; /* NULL: offline, or in dial mode */
    struct list parked;   /* parked hops, oldest first, by struct peer's place */
    unsigned parked_count;
    struct list pendings; /* CONNECTs under way, by struct pending's of_agent */
    char *labels;         /* from INFO; NULL: none */
    uint16_t flags;       /* from INFO */
    uint8_t severity;     /* of its call for help, 0: none */
    char *call_text;      /* NULL: none */
    uint64_t called_us;   /* 0: never */
    uint64_t since_us;    /* in this state */
    uint64_t replaced_us; /* when a control hop last took another's place; 0: never */
    uint64_t duplicate_until_us;
    struct list changed; /* watchers are still to hear of a change */
    uint64_t notice_us;  /* when they last heard; 0: never */
    uint64_t notice_due_us;
};

/* What is counted for one user at one agent. */
struct pair {
    struct table_entry entry;
    uint8_t keys[2 * KEY_BYTES]; /* the user's, the agent's */
    struct rate connects;
    unsigned pending;
    unsigned circuit_count;
    struct list circuits; /* oldest first, by struct relay_circuit's of_pair */
    struct list unused;   /* directory_sweep's */
};

struct directory {
    struct table users_by_key, agents_by_key, agents_by_name, pairs;
    struct list users, agents; /* in the configuration's order */
    unsigned generation;
};

void directory_init(struct directory *d, const uint8_t hash_key[16]);

/* Takes over a configuration, which must live as long as the directory or until the next one was
 * taken. An entry whose name and key are in it stays as it is; one that is not is moved to a list
 * (heads of the caller), for the caller to end its hops and free it (directory_free_user,
 * directory_free_agent). False: there was no memory for some new entries, they are not known. */
bool directory_update(struct directory *d, const struct relay_config *config, uint64_t now_us,
                      struct list *gone_users, struct list *gone_agents);

/* Frees all entries; nothing of them is used any more. */
void directory_free(struct directory *d);
void directory_free_user(struct user *u);
void directory_free_agent(struct agent *a);

struct user *directory_user_by_key(const struct directory *d, const uint8_t key[KEY_BYTES]);
struct agent *directory_agent_by_key(const struct directory *d, const uint8_t key[KEY_BYTES]);

/* Whether one of the user's patterns allows an agent of this name, existing or not. */
bool directory_may_reach(const struct user *u, const char *name);

/* The agent of this name if the user may reach it. NULL after the same work when there is none and
 * when it is not permitted. */
struct agent *directory_agent_for(const struct directory *d, const struct user *u,
                                  struct view name);

/* NULL without memory. Valid until directory_sweep finds it unused. */
struct pair *directory_pair(struct directory *d, const struct user *u, const struct agent *a);

/* Forgets pairs that limit nothing any more; call every few seconds. */
void directory_sweep(struct directory *d, uint64_t now_us);

/* What INFO says. Without memory its labels are left out. */
void directory_set_info(struct agent *a, const struct info *info);

/* A call for help, or its end. False: ignored, less than CALL_INTERVAL_S after the last one (or
 * without memory). */
bool directory_call(struct agent *a, const struct call *call, uint64_t now_us);

/* A control hop took another's place. True: from now on the agent is a duplicate, two hops of its
 * key take turns. */
bool directory_replaced(struct agent *a, uint64_t now_us);

enum agent_state directory_state(const struct agent *a, uint64_t now_us);

/* The configured labels, then those of INFO whose label is not configured, as far as they fit. */
void directory_labels(char out[LABELS_MAX_BYTES + 1], const struct agent *a);

/* Whether an agent answers a query: words that must all match, "label=value" one of the labels, any
 * other the name; both may be patterns with '*' and '?'. The empty query matches all. */
bool directory_query_matches(const char *query, const char *name, const char *labels);

#endif
