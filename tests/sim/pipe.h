/* One direction of a connection: bytes in order, after a delay, at a rate, out of bounded buffers.
 */
#ifndef SPX_SIM_PIPE_H
#define SPX_SIM_PIPE_H

#include "timeline.h"

struct pipe_settings {
    uint64_t rate; /* bytes a second */
    uint64_t delay_us;
    size_t unsent_bytes;   /* a write is taken while fewer wait to be sent */
    size_t capacity_bytes; /* at most between writer and reader */
};

#define PIPE_SEGMENTS 1024

struct segment {
    uint64_t end; /* counted bytes */
    uint64_t at_us;
};

/* read <= arrived <= written; segments lie between arrived and written. */
struct pipe {
    struct timeline *t;
    struct pipe_settings settings;
    void (*on_readable)(struct pipe *p);
    void (*on_writable)(struct pipe *p); /* after a write was not taken whole */
    uint64_t written, arrived, read;
    uint64_t cut_at;  /* no byte from here on gets through */
    uint64_t idle_us; /* the link is free from then on */
    uint64_t stalled_until_us;
    bool blocked; /* the writer waits */
    struct segment segments[PIPE_SEGMENTS];
    uint64_t first, last; /* segments[first % SEGMENTS] to before last */
    struct event arrive, drain;
    uint8_t *data;
    size_t size; /* of data: a power of two */
};

/* Opens it; the buffer of a use before is used again. The callbacks stay. */
void pipe_open(struct pipe *p, struct timeline *t, const struct pipe_settings *settings);
void pipe_close(struct pipe *p);
void pipe_free(struct pipe *p);

/* How many of the bytes were taken. */
size_t pipe_write(struct pipe *p, const uint8_t *data, size_t len);
size_t pipe_readable(const struct pipe *p);
size_t pipe_read(struct pipe *p, uint8_t *out, size_t max);

/* Nothing arrives before. */
void pipe_stall(struct pipe *p, uint64_t until_us);

/* Bytes from this count on are lost; writes are taken and go nowhere. */
void pipe_cut(struct pipe *p, uint64_t from);

/* When all that was written will have arrived. */
uint64_t pipe_flushed_us(const struct pipe *p);

#endif
