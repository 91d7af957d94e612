/* Bytes from one carrier to another: through a pipe in the kernel where both have a descriptor of
 * just their bytes and a pipe is available, otherwise by copying. */
#ifndef SPX_NET_SPLICE_H
#define SPX_NET_SPLICE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/carrier.h"

/* Pipes kept for use by any direction; at most 64 stay open empty. */
struct pipe_pool;

/* pipe_bytes: capacity asked for each (the kernel may give less); at most max_pipes are open at
 * once; 0: always copy. NULL without memory. */
struct pipe_pool *pipe_pool_new(size_t pipe_bytes, unsigned max_pipes);

/* Every direction ended before. NULL is harmless. */
void pipe_pool_free(struct pipe_pool *pool);

/* One direction of a joined pair. Holds a pipe only while bytes are in it. Zeroed: empty. */
struct splice {
    int pipe[2];
    bool has_pipe;
    size_t in_pipe;
    bool bulk;        /* much came at once: the pipe is worth its system calls */
    bool copy_only;   /* the kernel refuses to splice these two (EINVAL) */
    struct fifo held; /* bytes that were read by copying, or ahead; they go before those in the pipe
                       */
};

enum splice_result {
    SPLICE_AGAIN,       /* the budget is used: call again in a later round */
    SPLICE_NEED_READ,   /* the source has no bytes now */
    SPLICE_NEED_WRITE,  /* the sink takes nothing now */
    SPLICE_END,         /* the source's end, and all before it delivered */
    SPLICE_READ_ERROR,  /* errno says */
    SPLICE_WRITE_ERROR, /* errno says */
};

/* Moves at most about budget bytes from source to sink; *moved: how many reached the sink, beside
 * what was unsent there. The source is read only when all before has been delivered, so
 * SPLICE_NEED_READ means that the source has no more (there may be an end of file behind that),
 * SPLICE_NEED_WRITE that the sink takes no more: ask for carrier_want_read or _write. A sink that
 * is closed may raise SIGPIPE (splice(2) cannot suppress it): ignore that signal. */
enum splice_result splice_run(struct splice *s, struct pipe_pool *pool, struct carrier *source,
                              struct carrier *sink, size_t budget, size_t *moved);

/* Gives back what it holds (a pipe with bytes in it is closed, not reused). */
void splice_end(struct splice *s, struct pipe_pool *pool);

#endif
