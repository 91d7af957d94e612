/* Labels of agents, and the queries of LIST and WATCH (docs/PROTOCOL.md section 3): texts alone. */
#ifndef SPX_RELAY_LABELS_H
#define SPX_RELAY_LABELS_H

#include <stdbool.h>

#include "wire/limits.h"

/* The configured labels, then those that the agent tells and whose label is not configured, as far
 * as they fit. NULL: none. */
void labels_merge(char out[LABELS_MAX_BYTES + 1], const char *configured, const char *told);

/* True if both are the same text; NULL: none. */
bool labels_same(const char *a, const char *b);

/* True if an agent answers a query: words that must all match, "label=value" one of the labels, any
 * other the name; both may be patterns with '*' and '?'. The empty query matches all. labels NULL:
 * true if there are labels with which it would. */
bool query_matches(const char *query, const char *name, const char *labels);

#endif
