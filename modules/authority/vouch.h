/* `spx permit agent`. */
#ifndef SPX_AUTHORITY_VOUCH_H
#define SPX_AUTHORITY_VOUCH_H

#include "base/error.h"

/* From the command line. */
struct vouch_order {
    const char *authority; /* the file of its private key */
    const char *agent, *key, *lasts;
};

/* True if nothing is missing, and names and key are in order. */
bool vouch_settle(const struct vouch_order *o, struct error *e);

/* Signs and prints the statement. */
bool vouch_print(const struct vouch_order *o, struct error *e);

#endif
