/* spx audit compare: the audits of two or three parties, held against each other. */
#ifndef SPX_AUDITOR_COMPARE_H
#define SPX_AUDITOR_COMPARE_H

#include "auditor/facts.h"

/* How often what one says of a thing and what another says of it agree; how often the other says
 * nothing of it, and how often something else. */
struct comparison {
    unsigned agree, not_seen, contradicted;
    /* Heads that agree, that are of what is in no file, and of other audits of the same user. */
    unsigned heads, heads_before, heads_elsewhere;
};

/* Holds the facts of two parties against each other and prints, to standard output, all but what
 * agrees. */
void compare_facts(struct comparison *c, const struct testimony *a, const struct testimony *b);

/* Verifies two or three files and compares each with each. */
enum failure compare_files(char **paths, size_t count);

#endif
