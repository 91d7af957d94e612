/* Users by permit (docs/PROTOCOL.md section 7): in the directory as others are, as long as a permit
 * of theirs lasts and they have a hop or a circuit. */
#ifndef SPX_RELAY_VISITORS_H
#define SPX_RELAY_VISITORS_H

#include "permit/permit.h"
#include "relay/directory.h"

struct relay;
struct peer;

/* A user's permits, of which the newest count together: two programs of one user may show
 * different ones. */
#define VISIT_GRANTS_MAX 4

struct visit_grant {
    uint8_t id[PERMIT_ID_BYTES];
    int64_t over_s; /* by the wall clock: neither a session by it can go on then */
    bool noted;     /* in the log */
    size_t len;
    uint8_t bytes[]; /* the permit, as HELLO had it */
};

struct visit {
    struct relay_user config;                     /* the user's; its agents are allocated */
    struct visit_grant *grants[VISIT_GRANTS_MAX]; /* the oldest first */
    size_t grant_count;
    uint64_t seen_us; /* when HELLO last had one of them */
};

/* A client whose key is no user's of the file shows a permit; vouched: its signature is good. NULL:
 * *why says why it is not let in, valid until the next call. */
struct known_user *visitors_admit(struct relay *r, const uint8_t key[KEY_BYTES], struct view permit,
                                  bool vouched, const char **why);

/* Its hop is open: log and audit tell of the permits that they do not know yet. */
void visitors_opened(struct peer *peer, struct known_user *u);

/* Reads the authorities' revocations, at the start and before a reload. False: those of an
 * authority of whom none were read before cannot be; e says why. */
bool visitors_read_revocations(struct relay *r, const struct relay_config *config, struct error *e);

/* Before directory_update: marks those who stay with this configuration. */
void visitors_reload(struct relay *r, const struct relay_config *config);

/* Forgets those who have left, reads revocations that have changed, and ends the hops and circuits
 * of those whose permits are over or taken back; call every few seconds. */
void visitors_sweep(struct relay *r);

#endif
