/* A user by a permit: what permit and [Authority] allow together, and never more. */
#ifndef SPX_AGENT_GUEST_H
#define SPX_AGENT_GUEST_H

#include "base/list.h"
#include "config/config.h"
#include "permit/permit.h"

/* Of each kind, of all pairs of the permit's and the section's. */
#define GUEST_PATTERNS_MAX 256

struct guest {
    struct list place;      /* among the agent's, the one used last at the end */
    struct agent_user user; /* "alice (support, permit 3f21a0b1)", and what this user may do */
    uint8_t authority[SIGN_PUBLIC_BYTES];
    uint8_t id[PERMIT_ID_BYTES];
    char reason[REASON_MAX_BYTES + 1]; /* the permit's; "": none. Clean */
    int64_t until_s;
    unsigned sessions; /* that are by it */
    const char *why;   /* it is withdrawn; static; NULL: by the configuration */
    bool withdrawn;    /* no longer trusted: its sessions end */
    bool changed;      /* by the last reload */
    size_t len;
    uint8_t bytes[PERMIT_MAX_BYTES]; /* the permit */
};

/* To show what a section allows: a user "permits of NAME". Its lists are the section's. */
struct agent_user guest_section(const struct agent_authority *a);

/* Of a permit that its authority has signed, p read from bytes. On no list. NULL, with
 * FAILURE_DENIED or want of memory: the two do not fit together, e says why. */
struct guest *guest_new(const struct permit *p, struct view bytes, const struct agent_authority *by,
                        struct error *e);
void guest_free(struct guest *g);

/* Makes its user by the section as it is now; tells in `changed` if that is something else. False:
 * as it was, e says why. */
bool guest_renew(struct guest *g, const struct agent_authority *by, struct error *e);

/* The one of this key by this permit; by the one used last if id is NULL. NULL: none. */
struct guest *guest_find(const struct list *guests, const uint8_t key[KEY_BYTES],
                         const uint8_t *id);

#endif
