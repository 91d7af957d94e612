/* `spx permit issue`. */
#ifndef SPX_AUTHORITY_ISSUE_H
#define SPX_AUTHORITY_ISSUE_H

#include "permit/permit.h"

/* From the command line; texts are its own, and outlive this. */
struct issue_order {
    const char *authority; /* the file of its private key */
    const char *user, *key, *scope, *reason, *from, *session, *lasts;
    struct permit permit; /* its lists, of texts that are kept here */
    char *kept[3 * PERMIT_ITEMS_MAX];
    size_t kept_count;
    uint8_t agent_keys[PERMIT_ITEMS_MAX][KEY_BYTES];
};

/* Each adds what --agents, --allow and --listen name, with commas between them, or the key of
 * --agent-key. Errors are FAILURE_USAGE. */
bool issue_add_patterns(struct issue_order *o, const char *value, struct error *e);
bool issue_add_targets(struct issue_order *o, const char *value, struct error *e);
bool issue_add_places(struct issue_order *o, const char *value, struct error *e);
bool issue_add_key(struct issue_order *o, const char *value, struct error *e);

/* True if nothing is missing, and all that needs no file is in order. */
bool issue_settle(struct issue_order *o, struct error *e);

/* Signs it and prints it. */
bool issue_print(struct issue_order *o, struct error *e);

/* Frees what settling has kept; the order is of no more use. */
void issue_free(struct issue_order *o);

#endif
