/* `spx permit show` and `spx permit check`. */
#ifndef SPX_AUTHORITY_SHOW_H
#define SPX_AUTHORITY_SHOW_H

#include "base/error.h"

/* Prints what the permit in a file says ("-": standard input). Its signature is not looked at. */
bool show_permit(const char *path, struct error *e);

/* From the command line. */
struct check_order {
    const char *authority;           /* its public key */
    const char *agent, *scope, *key; /* of the agent; scope and key may be NULL */
};

/* True if all that it names is in order. */
bool check_settle(const struct check_order *o, struct error *e);

/* Prints that a session may begin by this permit at this agent now. False, FAILURE_DENIED or
 * FAILURE_NOT_AUTHENTICATED: e says why not. */
bool check_permit(const struct check_order *o, const char *path, struct error *e);

#endif
