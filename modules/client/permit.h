/* The user's permit: a file that is read anew for every connect, so that another program renews it.
 */
#ifndef SPX_CLIENT_PERMIT_H
#define SPX_CLIENT_PERMIT_H

#include "base/stamp.h"
#include "permit/permit.h"

struct client_permit {
    const char *path;   /* NULL: none */
    const uint8_t *own; /* the user's public key */
    struct file_stamp stamp;
    size_t len;
    uint8_t bytes[PERMIT_MAX_BYTES];
};

/* Reads it, and tells until when it is good. path and own outlive it. False, FAILURE_CONFIG: it is
 * none, or for another key. */
bool client_permit_start(struct client_permit *p, const char *path, const uint8_t own[KEY_BYTES],
                         struct error *e);

/* The part for relays, of the file as it is now; while that is not right, of what it was, and the
 * log says so. Empty without a permit. Valid until the next call. */
struct view client_permit_outer(struct client_permit *p);

/* All of it, as client_permit_outer last read it. */
struct view client_permit_whole(const struct client_permit *p);

#endif
