/* The content of /etc/resolv.conf, read again only when the file has changed. */
#ifndef SPX_NET_RESOLV_CONF_H
#define SPX_NET_RESOLV_CONF_H

#include <ares.h>
#include <stdbool.h>

/* Shared by the look-ups of a loop. */
struct resolv_conf;

/* A channel of c-ares as the file is now (*kept is what is known of it; NULL: nothing yet), of
 * whose name servers the first 32 count, and with the flags, time limit, tries and socket callback
 * of own, which own_mask names. False: the file cannot be read, or no memory. */
bool resolv_conf_channel(ares_channel *out, struct resolv_conf **kept,
                         const struct ares_options *own, int own_mask);

/* After all its channels; NULL is harmless. */
void resolv_conf_free(struct resolv_conf *conf);

#endif
