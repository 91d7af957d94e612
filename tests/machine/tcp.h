/* TCP between simulated hosts, as programs see Linux's: connecting, windows, FIN in order, a reset
 * that ends both directions, keepalive and user timeouts, and networks that stall, lose and cut. */
#ifndef SPX_MACHINE_TCP_H
#define SPX_MACHINE_TCP_H

#include "file.h"
#include "pipe.h"

struct place {
    uint32_t address; /* IPv4, host order */
    uint16_t port;
};

#define LOOPBACK_ADDRESS 0x7f000001U

enum tcp_state {
    TCP_UNUSED,
    TCP_LISTENS,
    TCP_CONNECTS,
    TCP_CONNECTED,
    TCP_OVER, /* reset, refused or given up */
};

/* One end of a connection, or a socket that is none yet. */
struct tcp {
    struct file file;
    struct host *host;
    struct place local, remote;
    enum tcp_state state;
    int error; /* to be told once */
    bool reset_on_close;
    bool keepalive;
    uint64_t user_timeout_us; /* 0: Linux's quarter of an hour */

    struct list of_host; /* TCP_LISTENS */
    struct list queue;   /* of queued: connections to accept */
    struct list queued;
    unsigned queue_len, backlog;

    struct list connected; /* in the world's, the end that has connected */
    struct tcp *peer;      /* the other end */
    struct pipe out;       /* to it: all bytes, then one that stands for the FIN */
    bool has_pipe, closed; /* no process has it any more */
    bool fin_wanted, fin_sent;
    uint64_t fin_at;      /* where the FIN stands in out */
    bool lost;            /* nothing passes between the two any more */
    unsigned tries;       /* SYNs sent */
    struct event step;    /* of connecting */
    struct event reset;   /* a RST arrives */
    struct event give_up; /* the kernel does */
};

/* How a connection between two hosts behaves; filled in by whoever made the world. */
typedef void route_settings(const struct host *from, const struct host *to,
                            struct pipe_settings *settings);

/* Before anything else. hosts ends with NULL. */
void tcp_begin(struct host *const hosts[], route_settings *route);

/* ---- For system calls and for applications. -1 with errno, as the system's. ---- */

struct tcp *tcp_new(struct host *host);
struct tcp *tcp_of(struct file *f); /* NULL with ENOTSOCK */
/* How many a process has. */
unsigned tcp_sockets(const struct process *p);
int tcp_bind(struct tcp *t, struct place local);
int tcp_listen(struct tcp *t, unsigned backlog);
struct tcp *tcp_accept(struct tcp *listener);
int tcp_connect(struct tcp *t, struct place remote); /* EINPROGRESS */
ssize_t tcp_receive(struct tcp *t, void *out, size_t len);
ssize_t tcp_send(struct tcp *t, const void *data, size_t len);
int tcp_shutdown(struct tcp *t, int how); /* SHUT_WR */
size_t tcp_readable(const struct tcp *t);
int tcp_take_error(struct tcp *t);
uint64_t tcp_round_trip_us(const struct tcp *t);
void tcp_close(struct tcp *t);

/* ---- Trouble. ---- */

/* The connections between two different hosts that are up: their number, and one of them. */
unsigned tcp_count(void);
struct tcp *tcp_pick(unsigned index);

/* Nothing arrives either way before. */
void tcp_stall(struct tcp *t, uint64_t until_us);

/* Something on the way forgets the connection: in each direction what is after so many more bytes
 * is lost; if both ends are told, they get a reset then. */
void tcp_cut(struct tcp *t, uint64_t after_us, uint64_t more_bytes, bool told);

/* The host's network is down until then. */
void host_outage(struct host *h, uint64_t until_us);

/* Its power fails; its processes must have vanished. And is back: who still sends is reset. */
void host_off(struct host *h);
void host_on(struct host *h);

#endif
