/* The names that this machine knows by itself: /etc/hosts and localhost. */
#ifndef SPX_NET_HOSTS_H
#define SPX_NET_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define HOSTS_FILE "/etc/hosts"

/* Of the file no more is read than this; the log says so if it has more. */
#define HOSTS_BYTES_MAX (32U << 20)
#define HOSTS_NAMES_MAX 1000000U
#define HOSTS_LINE_BYTES (16U << 10) /* longer lines are left out */

/* A table of the file's names. */
struct hosts;

/* Nothing is read yet; path is kept. NULL without memory. */
struct hosts *hosts_new(const char *path);

/* NULL is harmless. */
void hosts_free(struct hosts *h);

/* Sees whether the file has changed since it was read last; then it is to be read again. */
void hosts_check(struct hosts *h);

/* Reads on, one portion for each time now_us, so that a long file is nobody's wait. True: there is
 * nothing more to read. */
bool hosts_read(struct hosts *h, uint64_t now_us);

/* The addresses, with port 0, that the file has for the name, on all of its lines, in their order;
 * for localhost and names under it (RFC 6761 section 6.3), when the file has none, those of
 * loopback. Letters are the same in either case, a final dot says nothing. Returns how many, at
 * most max. */
unsigned hosts_find(struct hosts *h, struct address *out, unsigned max, const char *name);

/* How many names of the table all calls of hosts_find together were compared with: their work. */
uint64_t hosts_compared(const struct hosts *h);

#endif
