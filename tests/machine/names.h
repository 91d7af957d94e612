/* Names of simulated machines: their resolv.conf, the name server of the network, and the UDP
 * sockets on which it is asked. */
#ifndef SPX_MACHINE_NAMES_H
#define SPX_MACHINE_NAMES_H

#include <stdio.h>
#include <sys/stat.h>

#include "tcp.h"

/* The name server's way with questions for IPv6 addresses, of which no name has any. */
enum ipv6_answer { IPV6_NO_ADDRESS, IPV6_NO_NAME, IPV6_FAILURE, IPV6_SILENCE, IPV6_ANSWERS };

/* Before anything else. hosts ends with NULL: one called relay-0 is relay-0.example, and all look
 * for names there. route tells of the way to the server: to is NULL. */
void names_begin(struct host *const hosts[], route_settings *route, enum ipv6_answer ipv6);

/* Until then some questions and answers get lost. */
void names_lose_until(uint64_t until_us);

/* A file that is the same on all machines and is not on the real one's disk. NULL: another. */
FILE *names_open_file(const char *path);

/* Its state, which never changes; false: another. */
bool names_stat_file(const char *path, struct stat *out);

/* ---- For system calls; -1 with errno, as the system's. ---- */

struct udp;

struct udp *udp_new(struct host *host);
struct file *udp_file(struct udp *u);
struct udp *udp_of(struct file *f); /* NULL: it is none */
int udp_connect(struct udp *u, struct place remote);
ssize_t udp_send(struct udp *u, const void *data, size_t len);
ssize_t udp_receive(struct udp *u, void *out, size_t len, struct place *from);

#endif
