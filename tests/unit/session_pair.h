/* Sessions for tests, in one process, without sockets: a client's and an agent's engine joined by
 * pipes in memory, with applications in memory; or one engine against a peer that says what the
 * test wants. After each step every invariant of the session headers is checked. */
#ifndef SPX_TESTS_SESSION_PAIR_H
#define SPX_TESTS_SESSION_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "session/circuit.h"
#include "session/session.h"
#include "session/state.h"
#include "session/stream.h"
#include "wire/frames.h"

enum { CLIENT = 0, AGENT = 1 };

#define EVERYTHING UINT64_MAX

struct side;

enum app_event { APP_PULL, APP_PUSH, APP_OPENED, APP_EOF, APP_RESET, APP_DONE };

/* An application on one side of a stream: a source and a sink. Byte i that the application of side
 * d sends on stream number n is app_byte(n, d, i). */
struct app {
    struct list link;
    struct side *side;
    struct stream *stream; /* NULL: gone */
    unsigned number;       /* out of the target; the same on both sides */
    /* Called first in each event; false (APP_PULL, APP_PUSH): the hook has reset the stream. */
    bool (*hook)(struct app *app, enum app_event event);
    /* Source. */
    uint64_t available, sent; /* to send now; sent so far */
    bool closing;             /* EOF after what is available */
    size_t slice;             /* most bytes of one pull; 0: any */
    unsigned pulls;
    /* Datagrams: how many came; called with each when not NULL. */
    unsigned datagrams;
    void (*on_datagram)(struct app *app, struct view datagram);
    /* Sink. */
    uint64_t appetite, received; /* takes so many more */
    size_t bite;                 /* most bytes of one push; 0: any */
    /* All that came. */
    unsigned opened, eofs, resets, dones;
    enum reset_code reset_code;
    char reset_text[TEXT_MAX_BYTES + 1];
    char address[ADDRESS_MAX_BYTES + 1];
};

enum open_answer { OPEN_ACCEPT, OPEN_HOLD, OPEN_REFUSE };

/* How a stream ended, as on_stream tells. */
struct stream_end {
    uint32_t id; /* 0: none yet */
    bool clean, by_peer;
    uint64_t sent, acknowledged, received;
};
#define STREAM_ENDS 256 /* of which those of a side are kept, by id */

struct side {
    struct session *s;
    struct stream_end ends[STREAM_ENDS];
    unsigned reports[3];      /* of each step */
    int which;                /* CLIENT or AGENT */
    const struct side *other; /* NULL: the peer is a test */
    struct list apps;
    enum open_answer answer; /* to the peer's OPEN */
    struct app model;        /* what an application for the peer's OPEN is like */
    unsigned opens, rooms, moves, silences, stalls, accesses, heads;
    uint8_t head[HEAD_MAX_BYTES];
    size_t head_len;
    uint8_t access_state; /* as told last, with what follows */
    uint64_t access_until_s;
    char access_text[TEXT_MAX_BYTES + 1];
    uint64_t stalled_since; /* as told last */
    void (*on_room)(struct side *side);
    /* NULL: app_answer. */
    void (*on_open)(struct side *side, struct stream *stream, struct view target);
    /* NULL: refused; not expected. */
    void (*on_listen)(struct side *side, struct stream *listener, struct view address);
    void (*on_connection)(struct side *side, struct stream *stream, struct stream *listener,
                          struct view peer);
    bool woken, no_growth;  /* no_growth: its ring may not become larger */
    uint64_t last_received; /* position, at the last check */
    uint64_t last_tail;
};

/* One circuit. pipe[i]: bytes that end[i] has written and the other end has not read. */
struct conn {
    struct list link;
    struct pair *pair;
    struct circuit end[2];
    struct fifo pipe[2];
    uint64_t carried[2];
};

#define SLICE_RANDOM SIZE_MAX

struct pair {
    struct side side[2];
    struct list conns;
    struct conn *conn; /* the newest */
    uint64_t now;
    uint64_t random;
    size_t slice;      /* bytes delivered at once; 0: all; SLICE_RANDOM */
    size_t pipe_bytes; /* what a pipe takes before it blocks */
};

/* Engines with these settings (NULL: the default), not connected. */
struct pair *pair_new(const struct session_settings *client, const struct session_settings *agent);
void pair_free(struct pair *p);

/* A number below bound, the same ones in each run. */
uint64_t pair_random(struct pair *p, uint64_t bound);

/* The handshake payloads of a circuit, through their encoding; then the circuit. */
struct greeting {
    struct session_hello hello;
    struct session_welcome welcome;
};
void pair_greet(struct pair *p, struct greeting *g);
struct conn *pair_attach(struct pair *p, const struct greeting *g);
struct conn *pair_connect(struct pair *p);

/* The circuit ends at both sides; bytes in its pipes are lost. */
void conn_drop(struct conn *c);

/* Writes what end i has to say, as far as the pipe takes it; whether anything was. */
bool conn_flush(struct conn *c, int i);

/* Delivers up to max bytes that end i wrote; how many. */
size_t conn_deliver(struct conn *c, int i, size_t max);

/* One round over all circuits: flush and deliver once each way; whether anything moved. */
bool pair_step(struct pair *p);

/* Rounds until nothing moves; then nothing may be left to say. */
void pair_run(struct pair *p);

/* Lets time pass, ticking at each deadline. */
void pair_wait(struct pair *p, uint64_t us);

/* Checks every invariant of both sides. */
void pair_check(struct pair *p);

/* No stream is left anywhere, everything was given back. */
void pair_check_empty(struct pair *p);

uint8_t app_byte(unsigned number, int direction, uint64_t i);

/* Opens stream `number` (target "tcp:app:NUMBER"). NULL as stream_open. */
struct app *app_open(struct side *side, unsigned number);

/* The same for datagrams (target "udp:app:NUMBER"). */
struct app *app_open_datagrams(struct side *side, unsigned number);

/* Opens stream `number` for a listener (its peer is "tcp:app:NUMBER"). NULL as stream_open_for. */
struct app *app_open_for(struct side *side, struct stream *listener, unsigned number);

/* Answers the peer's OPEN of stream "tcp:app:NUMBER" (or "udp:…") as side->answer says. */
void app_answer(struct side *side, struct stream *stream, struct view target);

/* The side's application of stream `number`, or NULL. */
struct app *app_find(struct side *side, unsigned number);

/* Adds bytes to send, or the end after them. */
void app_write(struct app *app, uint64_t bytes);
void app_close(struct app *app);

/* Takes so many bytes more (EVERYTHING: all that ever come). */
void app_take(struct app *app, uint64_t bytes);

/* Answers what OPEN_HOLD left open. */
void app_accept(struct app *app, const char *address);
void app_reset(struct app *app, enum reset_code code, const char *text);

/* One engine against a peer that the test plays frame by frame. */
struct raw {
    struct side side;
    struct session *s; /* side.s */
    struct circuit c;
    struct cipher send, receive; /* the peer's */
    uint64_t now;
    uint64_t sequenced; /* bytes the peer has sent by raw_send */
};

#define RAW_EARLY_CREDIT 8192
#define RAW_RING (64U << 10)

/* An engine with settings (NULL: the default) on circuit 1. Its peer told 1,024 streams, RAW_RING
 * and, as an agent, RAW_EARLY_CREDIT. */
struct raw *raw_new(bool client, const struct session_settings *settings);
void raw_free(struct raw *r);

/* Another circuit, beside; the peer told position. c is the caller's. send, receive: the peer's
 * ciphers. */
void raw_circuit(struct raw *r, struct circuit *c, struct cipher *send, struct cipher *receive,
                 uint32_t number, uint64_t told);

/* Appends a frame to a record's plaintext. */
struct record {
    uint8_t bytes[2 + RECORD_MAX];
    size_t len; /* of the plaintext, which starts at bytes + 2 */
};
void record_frame(struct record *record, unsigned type, uint32_t stream, const void *payload,
                  size_t len);

/* Seals a record with the peer's key; how long it is with its length and tag. */
size_t record_seal(struct record *record, struct cipher *cipher);

/* Gives circuit c bytes of its peer. */
void raw_feed(struct raw *r, struct circuit *c, const uint8_t *bytes, size_t len);

/* The peer sends one record with one frame on the first circuit. */
void raw_send(struct raw *r, unsigned type, uint32_t stream, const void *payload, size_t len);
void raw_send_position(struct raw *r, unsigned type, uint64_t position);
void raw_send_open(struct raw *r, uint32_t stream, uint32_t window); /* of application `stream` */
void raw_send_opened(struct raw *r, uint32_t stream, uint32_t window);
void raw_send_data(struct raw *r, uint32_t stream, uint64_t from,
                   size_t len); /* as app_byte says */
void raw_send_code(struct raw *r, unsigned type, uint32_t stream, unsigned code, const char *text);
void raw_send_window(struct raw *r, uint32_t stream, uint32_t credit);

/* START(0) of the peer, and everything of the engine read away. */
void raw_start(struct raw *r);

/* The frames the engine sends now, in order. */
struct sent {
    unsigned count;
    size_t records, largest; /* plaintext */
    struct {
        uint8_t type;
        uint32_t stream;
        size_t len;
        uint8_t payload[64]; /* its beginning */
    } frame[4096];
};
const struct sent *raw_output(struct raw *r);

/* The same on another circuit. */
const struct sent *raw_output_on(struct raw *r, struct circuit *c, struct cipher *receive);

/* How many frames of a type. */
unsigned sent_count(const struct sent *sent, unsigned type);

/* Checks every invariant of one engine. */
void session_check(const struct session *s);

#endif
