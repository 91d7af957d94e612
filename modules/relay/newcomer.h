/* Hops that are not open yet: the crowd of those that have proven nothing, HELLO and its answer
 * (docs/PROTOCOL.md sections 2 and 6). */
#ifndef SPX_RELAY_NEWCOMER_H
#define SPX_RELAY_NEWCOMER_H

#include "net/address.h"

struct carrier;
struct relay;

/* Takes a carrier just accepted. */
void newcomer_take(struct relay *r, struct carrier *carrier, const struct address *address);

/* Descriptors or memory are short: ends the oldest silent one. False: there is none. */
bool newcomer_end_oldest(struct relay *r);

#endif
