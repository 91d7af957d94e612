/* The names that this machine knows by itself: /etc/hosts and localhost. */
#ifndef SPX_NET_HOSTS_H
#define SPX_NET_HOSTS_H

#include <stdbool.h>

#include "net/address.h"

/* The addresses, with port 0, that /etc/hosts has for the name, on all of its lines, as it stands
 * now; for localhost and names under it (RFC 6761 section 6.3), when the file has none, those of
 * loopback. Letters are the same in either case, a final dot says nothing. Returns how many, at
 * most max. */
unsigned hosts_find(struct address *out, unsigned max, const char *name);

/* True if a line of the file, which is cut up, gives the name an address. */
bool hosts_line(struct address *out, char *line, const char *name);

#endif
