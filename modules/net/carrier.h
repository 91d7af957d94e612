/* A carrier: the reliable, ordered pipe of bytes that a hop runs over and, after it, a circuit
 * (docs/PROTOCOL.md section 2). It moves whole from the one to the other, with what is still to be
 * written and what was read ahead.
 *
 * Its users (the drivers of hops and of circuits, the relay's junction) know only this header, and
 * get carriers from net/carriers.h. A kind of carrier is one file: a struct that embeds struct
 * carrier, the functions of struct carrier_kind, and a function that makes one (tcp_carrier.h); and
 * carriers.c picks it. */
#ifndef SPX_NET_CARRIER_H
#define SPX_NET_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/fifo.h"
#include "net/loop.h"

struct carrier;

/* The operations of a kind. Non-blocking; EINTR is met inside. */
struct carrier_kind {
    /* As recv(2): the number of bytes, 0 at the end, -1 with errno. When there is no more, neither
     * in the descriptor nor in memory of its own, it has said io_read_drained of c->io: the next
     * edge tells of more. As long as it has not, it is asked again. */
    ssize_t (*read)(struct carrier *c, void *data, size_t len);
    /* As send(2), without SIGPIPE. After EAGAIN it has said io_write_blocked of c->out. */
    ssize_t (*write)(struct carrier *c, const void *data, size_t len);
    /* Nothing more is written: the peer meets the end once it has read all. */
    void (*end)(struct carrier *c);
    /* The peer is worth the carrier's socket options (docs/PROTOCOL.md section 4). */
    void (*set_options)(struct carrier *c);
    /* Closes the descriptors and frees the memory that the kind has allocated. */
    void (*close)(struct carrier *c);
};

/* Its present user. Called from the loop once for each carrier_want_*, never inside a carrier_
 * call; may move or close the carrier. A call that was not asked for is harmless: a kind that must
 * write in order to read, or read in order to write, asks the loop itself. */
struct carrier_user {
    void (*on_read)(struct carrier *c);
    void (*on_write)(struct carrier *c);
};

/* Invariants: 1. bytes in `unsent` go out before any that are written later, bytes in `unread` are
 * read before any that come later, through the kernel's pipes too. 2. in a loop it has a user. */
struct carrier {
    const struct carrier_kind *kind;
    struct io io;   /* its descriptor, or the one that is read */
    struct io *out; /* the one that is written: &io, or the kind's own */
    /* The descriptors that give and take exactly the carrier's bytes, so that the kernel may move
     * them (splice(2)); -1: only read and write do. */
    int raw_in, raw_out;
    struct fifo unsent, unread;
    int lost; /* errno: reading fails, for bytes that were read ahead could not be kept */
    bool readable, writable; /* out of a loop: what the io were when it left the last one */
    const struct carrier_user *user;
    void *owner; /* the user's own */
};

/* For a kind: sets up a carrier of one descriptor whose bytes are not the carrier's own. The kind
 * may then put callbacks of its own in the place of io's, to be called before the user's. */
void carrier_init(struct carrier *c, const struct carrier_kind *kind, int fd);

/* For a kind: it can be written to. Writes what is unsent, then tells the user. */
void carrier_writable(struct carrier *c);

/* Puts it into a loop, for a user; what is unsent goes out from now on. False with errno: it is in
 * none. */
bool carrier_enter(struct carrier *c, struct loop *loop, const struct carrier_user *user,
                   void *owner);

/* Takes it out, to go into another (also of another thread): no callback comes any more. Harmless
 * when it is in none. */
void carrier_leave(struct carrier *c);

/* Leaves the loop and closes: the peer sees an end of file, or a reset if it sent what was not
 * read. What is unsent is dropped. NULL is harmless. */
void carrier_close(struct carrier *c);

/* Reads: what was read ahead, then from the kind. As recv(2). */
ssize_t carrier_read(struct carrier *c, void *data, size_t len);

/* Writes, after what is unsent: as send(2). EAGAIN: ask for carrier_want_write. */
ssize_t carrier_write(struct carrier *c, const void *data, size_t len);

/* Writes what is unsent. True: all of it. False with errno. */
bool carrier_flush(struct carrier *c);

/* Ends the sending half, once all that was unsent is written (carrier_flush). */
void carrier_end(struct carrier *c);

/* Its peer has proven itself: the socket gets the options of a carrier, if its kind has any. */
void carrier_set_options(struct carrier *c);

/* Owes bytes that another has still to write: before the move to the next user. Takes them over. */
void carrier_owe(struct carrier *c, struct fifo *bytes);

/* Gives back bytes that were read and are for the next user. Without memory its reading fails. */
void carrier_unread(struct carrier *c, struct view bytes);

static inline void carrier_want_read(struct carrier *c)
{
    io_want_read(&c->io);
}

static inline void carrier_want_write(struct carrier *c)
{
    io_want_write(c->out);
}

static inline void carrier_stop_read(struct carrier *c)
{
    io_stop_read(&c->io);
}

static inline void carrier_stop_write(struct carrier *c)
{
    io_stop_write(c->out);
}

/* Reading (writing) may be tried: it has not said that there is no more (no room). */
static inline bool carrier_can_read(const struct carrier *c)
{
    return io_can_read(&c->io);
}

static inline bool carrier_can_write(const struct carrier *c)
{
    return io_can_write(c->out);
}

#endif
