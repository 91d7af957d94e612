/* `spx permit revoke`. */
#ifndef SPX_AUTHORITY_REVOKE_H
#define SPX_AUTHORITY_REVOKE_H

#include "permit/revocations.h"

/* From the command line. */
struct revoke_order {
    const char *authority; /* the file of its private key */
    const char *list;      /* the file of the list before; NULL: this is the first */
    const char *before;
    uint8_t permits[REVOCATIONS_MAX][PERMIT_ID_BYTES];
    uint8_t keys[REVOCATIONS_MAX][KEY_BYTES];
    size_t permit_count, key_count;
};

/* Adds what --permit and --key name. Errors are FAILURE_USAGE. */
bool revoke_add_permit(struct revoke_order *o, const char *value, struct error *e);
bool revoke_add_key(struct revoke_order *o, const char *value, struct error *e);

/* True if nothing is missing. */
bool revoke_settle(const struct revoke_order *o, struct error *e);

/* Signs and prints the list before with what is added to it. */
bool revoke_print(struct revoke_order *o, struct error *e);

#endif
