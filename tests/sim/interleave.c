/* interleave [NAME]: all plans, or those with this in their name.
 *
 * Every order of events of a small session that changes circuits: units of data sent, the next
 * circuit begun, records and handshake messages delivered, each circuit at its own pace. The
 * engines are the real ones; the search runs from the beginning along each path of choices and goes
 * no further where it meets a state again. What is checked: all bytes in order and once, every
 * invariant, and that in the end everything has come.
 *
 * The same search must find a failure when what passes between the engines is altered so that a
 * rule of docs/PROTOCOL.md section 5 does not hold: that shows that the rule is needed, that an
 * engine does not let a peer get away with it, and that the search would see it broken. */
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "session/session.h"
#include "session/stream.h"
#include "session_short.h"
#include "session_walk.h"
#include "timeline.h"
#include "wire/frames.h"

enum { CLIENT = 0, AGENT = 1 };

#define CIRCUITS_MAX 4
#define LINE_RECORDS 64
#define RECORD_BYTES (17U << 10)
#define STEPS_MAX 128
#define UNIT_BYTES 5
#define LARGE_UNIT_BYTES 12000 /* goes in a record alone */
#define STEP_US 30000          /* longer than an ACK may wait */

enum alteration {
    ALTER_NOTHING,
    ALTER_NO_START,      /* the client's START is taken out */
    ALTER_START_ASSUMED, /* it tells what the agent has: as if bytes simply went on from there */
    ALTER_START_LATE,    /* it tells the end of all that was ever sent */
    ALTER_START_ABOVE,   /* it tells more than that */
    ALTER_START_INSIDE,  /* it tells a position inside a frame */
    ALTER_START_TWICE,
    ALTER_NUMBER,            /* each circuit has a higher number than any before */
    ALTER_TOLD_ABOVE,        /* message 1 tells more than was ever sent */
    ALTER_TOLD_INSIDE,       /* message 1 tells a position inside a frame */
    ALTER_ACK_ABOVE,         /* more than was ever sent is acknowledged */
    ALTER_ACK_INSIDE,        /* a part of a frame is acknowledged */
    ALTER_CREDIT,            /* more is sent than the agent has given credit for */
    ALTER_DATAGRAM,          /* a datagram for a stream that is not open */
    ALTER_DATAGRAM_OF_BYTES, /* one for a stream that carries bytes */
    ALTER_ID,                /* a stream's id leaves one out */
    ALTER_ASKS,              /* a stream is asked for that the client holds back */
    ALTER_BEHIND_EOF,        /* DATA behind EOF */
    ALTER_WINDOW,            /* credit without end */
    ALTERATIONS
};

/* found: what the search must find with the alteration. */
static const struct plan {
    const char *name;
    unsigned units[2]; /* that each side sends */
    unsigned circuits;
    bool losses;      /* circuits are lost, too, with what is on its way */
    unsigned waiting; /* large units the client has sent already, not delivered */
    enum alteration alteration;
    const char *found;
    bool asks; /* the session waits for a grant, which comes at any time */
} plans[] = {
    {"3 units up, 2 circuits", {3, 0}, 2, true, 0, ALTER_NOTHING, NULL, false},
    {"2 units up, 3 circuits", {2, 0}, 3, true, 0, ALTER_NOTHING, NULL, false},
    {"3 units up, 3 circuits", {3, 0}, 3, true, 0, ALTER_NOTHING, NULL, false},
    {"3 units down, 3 circuits", {0, 3}, 3, true, 0, ALTER_NOTHING, NULL, false},
    {"2 units up, 1 down, 3 circuits", {2, 1}, 3, true, 0, ALTER_NOTHING, NULL, false},
    {"2 units up, 4 circuits", {2, 0}, 4, false, 0, ALTER_NOTHING, NULL, false},
    {"6 large units, 2 circuits, slow writer", {0, 0}, 2, true, 6, ALTER_NOTHING, NULL, false},
    {"2 units up after a grant, 2 circuits", {2, 0}, 2, true, 0, ALTER_NOTHING, NULL, true},
    {"1 unit each way after a grant, 2 circuits", {1, 1}, 2, true, 0, ALTER_NOTHING, NULL, true},
    {"asking before the grant", {1, 0}, 2, false, 0, ALTER_ASKS, "ids must grow by 2", true},
    {"without START", {1, 0}, 2, false, 0, ALTER_NO_START, "a circuit begins with START", false},
    {"START that assumes the other's position",
     {2, 0},
     2,
     false,
     0,
     ALTER_START_ASSUMED,
     "wrong bytes",
     false},
    {"START above the position told", {2, 0}, 2, false, 0, ALTER_START_LATE, "wrong bytes", false},
    {"START above all that was sent",
     {2, 0},
     2,
     false,
     0,
     ALTER_START_ABOVE,
     "bytes were lost",
     false},
    {"START inside a frame",
     {2, 0},
     2,
     true,
     0,
     ALTER_START_INSIDE,
     "starts inside a frame",
     false},
    {"START twice", {1, 0}, 2, false, 0, ALTER_START_TWICE, "not the first frame", false},
    {"without the circuit number's rule",
     {2, 0},
     3,
     false,
     0,
     ALTER_NUMBER,
     "what came was not acknowledged",
     false},
    {"a position told above what was sent",
     {0, 1},
     2,
     false,
     0,
     ALTER_TOLD_ABOVE,
     "told a position",
     false},
    {"a position told inside a frame",
     {0, 1},
     2,
     false,
     0,
     ALTER_TOLD_INSIDE,
     "part of a frame",
     false},
    {"ACK above what was sent", {0, 1}, 2, false, 0, ALTER_ACK_ABOVE, "above what was sent", false},
    {"ACK inside a frame", {0, 1}, 2, true, 0, ALTER_ACK_INSIDE, "part of a frame", false},
    {"more than the credit", {1, 0}, 2, false, 0, ALTER_CREDIT, "beyond its credit", false},
    {"a datagram for no stream",
     {1, 0},
     2,
     false,
     0,
     ALTER_DATAGRAM,
     "no such stream was opened",
     false},
    {"a datagram for a stream of bytes",
     {1, 0},
     2,
     false,
     0,
     ALTER_DATAGRAM_OF_BYTES,
     "not of datagrams",
     false},
    {"an id left out", {1, 0}, 2, false, 0, ALTER_ID, "ids must grow by 2", false},
    {"DATA behind EOF", {1, 0}, 2, false, 0, ALTER_BEHIND_EOF, "it comes after EOF", false},
    {"credit without end", {1, 0}, 2, false, 0, ALTER_WINDOW, "the credit is too large", false},
};

enum kind { KIND_MESSAGE1, KIND_MESSAGE2, KIND_RECORD };

struct record {
    enum kind kind;
    size_t len;
    uint64_t position; /* a message's */
    uint8_t plain[RECORD_BYTES];
};

/* One direction of a circuit. */
struct line {
    struct record records[LINE_RECORDS];
    unsigned first, last;
    struct cipher tap, forge; /* to look into what is sent, and to seal it again */
};

/* A circuit with both its ends. */
struct both_ends {
    struct line line[2]; /* that the side writes */
    struct circuit end[2];
    bool open[2];
    uint32_t number;
};

struct side {
    struct session *s;
    int which;
    struct stream *stream;
    uint64_t available, sent, received;
    unsigned units; /* left to send */
    bool woken;
};

static struct {
    const struct plan *plan;
    struct side side[2];
    struct both_ends circuit[CIRCUITS_MAX];
    unsigned begun; /* circuits */
    int current;    /* the client's */
    bool slow;      /* the client writes by choice only */
    bool granted;   /* or it need not be */
    uint64_t now;
    char wrong[200];
    unsigned char path[STEPS_MAX];
    uint64_t *seen; /* digests: a set */
    size_t seen_count, seen_size;
    uint64_t runs, ends;
} w;

static void is_wrong(const char *what, const char *more)
{
    if (!w.wrong[0])
        snprintf(w.wrong, sizeof w.wrong, "%s%s%s", what, more ? ": " : "", more ? more : "");
}

/* ---- The applications: one stream. ---- */

static uint8_t byte_at(int side, uint64_t i)
{
    return (uint8_t)mix64(i * 2 + (unsigned)side);
}

static ssize_t on_pull(void *owner, struct iovec *piece, int pieces)
{
    struct side *side = owner;
    size_t n = 0;
    for (int k = 0; k < pieces; k++)
        for (size_t i = 0; i < piece[k].iov_len && side->available; i++, n++, side->available--)
            ((uint8_t *)piece[k].iov_base)[i] = byte_at(side->which, side->sent++);
    return n ? (ssize_t)n : STREAM_PULL_NONE;
}

static size_t on_push(void *owner, const uint8_t *data, size_t len)
{
    struct side *side = owner;
    for (size_t i = 0; i < len; i++)
        if (data[i] != byte_at(!side->which, side->received++))
            is_wrong("wrong bytes", NULL);
    return len;
}

static void on_eof(void *owner)
{
    (void)owner;
    if (w.plan->alteration != ALTER_BEHIND_EOF)
        is_wrong("an end of file that nobody sent", NULL);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct side *side = owner;
    (void)code;
    side->stream = NULL;
    if (side->s->state != SESSION_ENDED)
        is_wrong("a reset", text);
}

static void on_done(void *owner)
{
    on_eof(owner);
}

static const struct stream_events stream_events = {
    .pull = on_pull, .push = on_push, .on_eof = on_eof, .on_reset = on_reset, .on_done = on_done};

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct side *side = s->owner;
    (void)target;
    if (!w.granted)
        is_wrong("a stream before the grant", NULL);
    side->stream = stream;
    stream_set_owner(stream, &stream_events, side);
    stream_accept(stream, "there");
}

static void on_wake(struct session *s)
{
    (void)s;
}

/* ---- Circuits. ---- */

static void drop_line(struct line *line)
{
    line->first = line->last;
}

static void close_end(struct both_ends *c, int side)
{
    if (!c->open[side])
        return;
    c->open[side] = false;
    circuit_free(&c->end[side]);
    drop_line(&c->line[!side]);
}

/* The circuit before has failed. */
static void on_move(struct session *s, struct circuit *now)
{
    int side = s->settings.client ? CLIENT : AGENT;
    (void)now;
    for (unsigned i = 0; i < w.begun; i++)
        if (w.circuit[i].end[side].failed.code)
            close_end(&w.circuit[i], side);
}

static const struct session_events session_events = {
    .on_open = on_open, .on_wake = on_wake, .on_move = on_move};

static struct record *put(struct line *line)
{
    if (line->last == LINE_RECORDS) {
        is_wrong("too many records", NULL);
        line->last = line->first = 0;
    }
    line->records[line->last].len = 0;
    line->records[line->last].position = 0;
    return &line->records[line->last++];
}

static void make_cipher(struct cipher *cipher, unsigned circuit, int side)
{
    uint8_t key[KEY_BYTES];
    memset(key, (int)(2 * circuit + (unsigned)side + 1), sizeof key);
    cipher_init(cipher, SUITE_AESGCM, key);
}

static void open_end(unsigned i, int side, uint64_t told)
{
    struct both_ends *c = &w.circuit[i];
    struct cipher send, receive;
    make_cipher(&send, i, side);
    make_cipher(&receive, i, !side);
    make_cipher(&c->line[side].tap, i, side);
    make_cipher(&c->line[side].forge, i, side);
    c->open[side] = true;
    if (!circuit_init(&c->end[side], w.side[side].s, &send, &receive, c->number, told, w.now))
        is_wrong("out of memory", NULL);
}

/* The record without its PING and PONG: they carry nothing that matters here. */
static void take_in(struct line *line, const uint8_t *sealed, size_t len)
{
    static uint8_t bytes[RECORD_BYTES];
    struct view rest = view_of(bytes, len - TAG_BYTES);
    struct record *record;
    struct frame f;
    if (len > sizeof bytes) {
        is_wrong("a record larger than expected", NULL);
        return;
    }
    memcpy(bytes, sealed, len);
    cipher_open(&line->tap, view_of(NULL, 0), bytes, len - TAG_BYTES, bytes + len - TAG_BYTES);
    record = put(line);
    record->kind = KIND_RECORD;
    while (rest.len) {
        const uint8_t *start = rest.data;
        if (!frame_next(&f, &rest))
            is_wrong("a record without whole frames", NULL);
        if (w.wrong[0])
            return;
        if (f.type == FRAME_PING || f.type == FRAME_PONG)
            continue;
        memcpy(record->plain + record->len, start, (size_t)(rest.data - start));
        record->len += (size_t)(rest.data - start);
    }
    if (!record->len)
        line->last--;
}

/* Writes at most so many times. */
static void flush(int side, unsigned most)
{
    for (unsigned i = 0; i < w.begun; i++) {
        struct both_ends *c = &w.circuit[i];
        struct view out = {0};
        if (c->open[side])
            circuit_tick(&c->end[side], w.now);
        while (c->open[side] && most && (out = circuit_output(&c->end[side], w.now)).len) {
            size_t n = out.len;
            most--;
            while (out.len) {
                size_t len = load_be16(out.data);
                if (c->open[!side] || side == CLIENT)
                    take_in(&c->line[side], out.data + 2, len);
                out = view_of(out.data + 2 + len, out.len - 2 - len);
            }
            circuit_written(&c->end[side], n);
        }
    }
}

/* ---- The choices. ---- */

/* CHOICE_DELIVER + 2 * circuit + side that wrote; CHOICE_LOSE + circuit. */
enum {
    CHOICE_CLIENT_SENDS,
    CHOICE_AGENT_SENDS,
    CHOICE_NEXT_CIRCUIT,
    CHOICE_GRANT,
    CHOICE_CLIENT_WRITES, /* once, where it does not do so by itself */
    CHOICE_DELIVER,
    CHOICE_LOSE = CHOICE_DELIVER + 2 * CIRCUITS_MAX,
    CHOICES = CHOICE_LOSE + CIRCUITS_MAX
};

static void send_unit(int side)
{
    w.side[side].units--;
    w.side[side].available += w.plan->waiting ? LARGE_UNIT_BYTES : UNIT_BYTES;
    stream_readable(w.side[side].stream);
}

static void tell_access(enum access_state state)
{
    struct access_frame access = {.state = (uint8_t)state};
    session_tell_access(w.side[AGENT].s, &access);
}

static void grant(void)
{
    w.granted = true;
    session_set_waiting(w.side[AGENT].s, false);
    tell_access(ACCESS_GRANTED);
}

static void next_circuit(void)
{
    struct session_hello hello = {0};
    struct record *message;
    session_fill_hello(w.side[CLIENT].s, &hello);
    w.circuit[w.begun].number = hello.circuit;
    message = put(&w.circuit[w.begun++].line[CLIENT]);
    message->kind = KIND_MESSAGE1;
    message->position = hello.receive_position;
}

static void agent_takes_message1(unsigned i, uint64_t position)
{
    struct session *s = w.side[AGENT].s;
    struct session_hello hello = {.circuit = w.circuit[i].number,
                                  .takes = HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING};
    struct session_welcome welcome = {0};
    struct record *message;
    if (w.plan->alteration != ALTER_NUMBER && !session_may_resume(s, hello.circuit))
        return;
    if (w.plan->alteration == ALTER_TOLD_ABOVE && i > 0)
        position = s->sent_max + 1;
    if (w.plan->alteration == ALTER_TOLD_INSIDE && i > 0 && s->sent_max > s->peer_position)
        position = s->peer_position + 1;
    session_take_hello(s, &hello);
    session_fill_welcome(s, &welcome);
    message = put(&w.circuit[i].line[AGENT]);
    message->kind = KIND_MESSAGE2;
    message->position = welcome.receive_position;
    open_end(i, AGENT, position);
}

static void client_takes_message2(unsigned i, uint64_t position)
{
    int before = w.current;
    if (i + 1 != w.begun) { /* it has begun another since */
        close_end(&w.circuit[i], AGENT);
        return;
    }
    open_end(i, CLIENT, position);
    w.current = (int)i;
    if (before >= 0)
        close_end(&w.circuit[before], CLIENT);
}

/* One frame more at the end of a record. */
static void append(struct record *record, unsigned type, uint32_t stream, const void *payload,
                   size_t len)
{
    uint8_t *at = record->plain + record->len;
    frame_header(at, type, stream, len);
    memcpy(at + FRAME_HEADER_BYTES, payload, len);
    record->len += FRAME_HEADER_BYTES + len;
}

static void append_position(struct record *record, unsigned type, uint64_t position)
{
    uint8_t payload[8];
    store_be64(payload, position);
    append(record, type, 0, payload, sizeof payload);
}

/* Frames that are appended as they stand. BEHIND_EOF has another before it. */
static const struct forged {
    unsigned type;
    uint32_t stream;
    const char *payload;
    size_t len;
} forged[ALTERATIONS] = {
    [ALTER_DATAGRAM] = {FRAME_DATAGRAM, 3, "x", 1},
    [ALTER_DATAGRAM_OF_BYTES] = {FRAME_DATAGRAM, 1, "x", 1},
    [ALTER_ID] = {FRAME_OPEN, 5, "\0\0\1\0\0\013tcp:there:1", 17},
    [ALTER_ASKS] = {FRAME_OPEN, 1, "\0\0\1\0\0\013tcp:there:1", 17},
    [ALTER_BEHIND_EOF] = {FRAME_DATA, 1, "x", 1},
    [ALTER_WINDOW] = {FRAME_WINDOW, 1, "\x7f\xff\xff\xff", 4},
};

/* The part of the client's record that it may not have. */
static void append_forged(struct record *record, enum alteration alteration)
{
    const struct session *agent = w.side[AGENT].s;
    const struct forged *f = &forged[alteration];
    if (alteration == ALTER_START_TWICE)
        append_position(record, FRAME_START, 0);
    else if (alteration == ALTER_ACK_ABOVE)
        append_position(record, FRAME_ACK, agent->sent_max + 1);
    else if (alteration == ALTER_ACK_INSIDE && agent->sent_max > agent->peer_position)
        append_position(record, FRAME_ACK, agent->peer_position + 1);
    else if (alteration == ALTER_BEHIND_EOF)
        append(record, FRAME_EOF, 1, "", 0);
    if (f->payload)
        append(record, f->type, f->stream, f->payload, f->len);
}

/* Alters the first record of a circuit of the client's, in which START comes first. */
static void alter(struct both_ends *c, struct record *record, enum alteration alteration)
{
    const struct session *agent = w.side[AGENT].s, *client = w.side[CLIENT].s;
    uint8_t *payload = record->plain + FRAME_HEADER_BYTES;
    if (alteration == ALTER_NO_START) {
        record->len -= FRAME_HEADER_BYTES + 8;
        memmove(record->plain, record->plain + FRAME_HEADER_BYTES + 8, record->len);
    } else if (alteration == ALTER_START_ASSUMED) {
        store_be64(payload, agent->receive_position);
    } else if (alteration == ALTER_START_LATE) {
        store_be64(payload, client->sent_max);
    } else if (alteration == ALTER_START_ABOVE) {
        store_be64(payload, client->sent_max + 1);
    } else if (alteration == ALTER_START_INSIDE) {
        store_be64(payload, load_be64(payload) - 1);
    } else if (alteration == ALTER_NUMBER) {
        c->end[AGENT].number = agent->moved_number + 1;
    } else if (alteration == ALTER_CREDIT && w.side[AGENT].stream) {
        w.side[AGENT].stream->credit_out = UNIT_BYTES - 1;
    }
    append_forged(record, alteration);
}

static void take_record(unsigned i, int from, struct record *record)
{
    struct both_ends *c = &w.circuit[i];
    struct line *line = &c->line[from];
    uint8_t *space;
    size_t room;
    if (!c->open[!from])
        return;
    if (from == CLIENT && i > 0 && record->plain[0] == FRAME_START)
        alter(c, record, w.plan->alteration);
    if (!record->len)
        return;
    space = circuit_input_space(&c->end[!from], &room);
    store_be16(space, (uint16_t)(record->len + TAG_BYTES));
    memcpy(space + 2, record->plain, record->len);
    cipher_seal(&line->forge, view_of(NULL, 0), space + 2, record->len, space + 2 + record->len);
    circuit_input(&c->end[!from], 2 + record->len + TAG_BYTES, w.now);
    if (c->open[!from] && c->end[!from].failed.code)
        close_end(c, !from);
}

static void deliver(unsigned i, int from)
{
    struct line *line = &w.circuit[i].line[from];
    struct record *record = &line->records[line->first++];
    if (record->kind == KIND_MESSAGE1)
        agent_takes_message1(i, record->position);
    else if (record->kind == KIND_MESSAGE2)
        client_takes_message2(i, record->position);
    else
        take_record(i, from, record);
}

static bool client_has_something_to_write(void)
{
    const struct session *s = w.side[CLIENT].s;
    return s->circuit && (s->circuit->start_owed || s->ack_owed || s->ack_due_us != CLOCK_NEVER ||
                          s->resend < s->ring.head);
}

/* Both ends learn of it at once; what was on its way is lost. */
static void lose(unsigned i)
{
    for (int side = 0; side < 2; side++) {
        close_end(&w.circuit[i], side);
        drop_line(&w.circuit[i].line[side]);
    }
    if (w.current == (int)i)
        w.current = -1;
}

static unsigned choices(unsigned char out[CHOICES])
{
    unsigned n = 0;
    if (w.wrong[0])
        return 0;
    for (int side = 0; side < 2; side++)
        if (w.side[side].units && w.side[side].s->circuit && w.side[side].stream)
            out[n++] = (unsigned char)(CHOICE_CLIENT_SENDS + side);
    if (w.begun < w.plan->circuits)
        out[n++] = CHOICE_NEXT_CIRCUIT;
    if (!w.granted)
        out[n++] = CHOICE_GRANT;
    if (w.slow && client_has_something_to_write())
        out[n++] = CHOICE_CLIENT_WRITES;
    for (unsigned i = 0; i < 2 * w.begun; i++)
        if (w.circuit[i / 2].line[i % 2].first < w.circuit[i / 2].line[i % 2].last)
            out[n++] = (unsigned char)(CHOICE_DELIVER + i);
    for (unsigned i = 0; i < w.begun && i + 1 < w.plan->circuits && w.plan->losses; i++)
        if (w.circuit[i].open[CLIENT] || w.circuit[i].open[AGENT])
            out[n++] = (unsigned char)(CHOICE_LOSE + i);
    return n;
}

static void check(void)
{
    for (int side = 0; side < 2; side++) {
        const struct session *s = w.side[side].s;
        const char *broken = session_broken(s);
        if (s->error.code)
            is_wrong(side ? "agent" : "client", s->error.text);
        if (broken)
            is_wrong("invariant", broken);
    }
}

static void apply(unsigned choice)
{
    w.now += STEP_US;
    if (choice == CHOICE_CLIENT_SENDS || choice == CHOICE_AGENT_SENDS)
        send_unit((int)choice);
    else if (choice == CHOICE_NEXT_CIRCUIT)
        next_circuit();
    else if (choice == CHOICE_GRANT)
        grant();
    else if (choice >= CHOICE_LOSE)
        lose(choice - CHOICE_LOSE);
    else if (choice != CHOICE_CLIENT_WRITES)
        deliver((choice - CHOICE_DELIVER) / 2, (choice - CHOICE_DELIVER) % 2);
    w.now += STEP_US; /* an ACK waits no longer */
    if (!w.slow)
        flush(CLIENT, UINT_MAX);
    else if (choice == CHOICE_CLIENT_WRITES)
        flush(CLIENT, 1);
    flush(AGENT, UINT_MAX);
    check();
}

/* ---- The search. ---- */

static void clean_up(void)
{
    for (unsigned i = 0; i < w.begun; i++)
        for (int side = 0; side < 2; side++)
            if (w.circuit[i].open[side])
                close_end(&w.circuit[i], side);
    for (int side = 0; side < 2; side++)
        session_free(w.side[side].s);
}

static void begin_side(int which)
{
    struct session_settings settings = session_default_settings(which == CLIENT);
    settings.ring_bytes = 128U << 10;
    settings.ring_doublings = 0;
    settings.keepalive_us = 3600 * CLOCK_US_PER_S;
    w.side[which] = (struct side){.which = which, .units = w.plan->units[which]};
    w.side[which].s = session_new(&settings, &session_events, &w.side[which]);
    if (!w.side[which].s)
        is_wrong("out of memory", NULL);
}

static void clear_circuit(struct both_ends *c)
{
    memset(c->end, 0, sizeof c->end);
    for (int side = 0; side < 2; side++) {
        c->line[side].first = c->line[side].last = 0;
        c->open[side] = false;
    }
}

/* One circuit, one stream open on it, all at rest but for what waits. */
static void begin(void)
{
    struct session_welcome welcome = {0};
    unsigned char possible[CHOICES];
    w.runs++;
    w.now = CLOCK_US_PER_S;
    w.wrong[0] = '\0';
    w.begun = 0;
    w.current = -1;
    w.slow = false;
    w.granted = !w.plan->asks;
    for (unsigned i = 0; i < CIRCUITS_MAX; i++)
        clear_circuit(&w.circuit[i]);
    begin_side(CLIENT);
    begin_side(AGENT);
    memset(w.side[AGENT].s->id, 1, SESSION_ID_BYTES);
    session_set_waiting(w.side[AGENT].s, w.plan->asks);
    session_fill_welcome(w.side[AGENT].s, &welcome);
    session_take_welcome(w.side[CLIENT].s, &welcome);
    w.side[CLIENT].stream =
        stream_open(w.side[CLIENT].s, "tcp:there:1", &stream_events, &w.side[CLIENT]);
    next_circuit();
    for (;;) {
        unsigned n = choices(possible), i = 0;
        while (i < n && possible[i] < CHOICE_DELIVER)
            i++;
        if (i == n || possible[i] >= CHOICE_LOSE)
            break;
        apply(possible[i]);
    }
    if (w.plan->asks)
        tell_access(ACCESS_WAITING);
    w.side[CLIENT].units += w.plan->waiting;
    for (unsigned i = 0; i < w.plan->waiting; i++)
        apply(CHOICE_CLIENT_SENDS);
    w.slow = w.plan->waiting > 0;
}

static void begin_again(unsigned steps)
{
    clean_up();
    begin();
    for (unsigned i = 0; i < steps; i++)
        apply(w.path[i]);
}

static uint64_t digest_session(const struct side *side, uint64_t h)
{
    const struct session *s = side->s;
    const struct stream *st = side->stream;
    const uint64_t values[] = {(uint64_t)s->state,
                               s->circuit_number,
                               s->moved_number,
                               s->resend,
                               s->sent_max,
                               s->ring.tail,
                               s->ring.head,
                               s->receive_position,
                               s->acked_position,
                               s->ack_owed,
                               s->ack_due_us != CLOCK_NEVER,
                               s->waits,
                               s->access_owed,
                               side->available,
                               side->sent,
                               side->received,
                               side->units,
                               st ? st->send_credit : 0,
                               st ? st->credit_out : 0,
                               st ? st->answered : 0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        h = mix64(h ^ values[i]);
    return h;
}

static uint64_t digest_line(const struct line *line, uint64_t h)
{
    for (unsigned i = line->first; i < line->last; i++) {
        const struct record *record = &line->records[i];
        h = mix64(h ^ (uint64_t)record->kind ^ record->position << 8 ^ record->len << 32);
        for (size_t k = 0; k < record->len; k++)
            h = (h ^ record->plain[k]) * 0x100000001b3ULL;
    }
    return mix64(h);
}

static uint64_t digest(void)
{
    uint64_t h = mix64(w.begun ^ (uint64_t)(w.current + 1) << 8);
    for (int side = 0; side < 2; side++)
        h = digest_session(&w.side[side], h);
    for (unsigned i = 0; i < w.begun; i++)
        for (int side = 0; side < 2; side++) {
            const struct circuit *c = &w.circuit[i].end[side];
            bool current = w.side[side].s->circuit == c;
            h = mix64(h ^ w.circuit[i].open[side] ^ c->started << 1 ^ c->start_owed << 2 ^
                      current << 3 ^ c->skip << 8 ^ c->told_position << 24 ^
                      (uint64_t)c->number << 48);
            h = digest_line(&w.circuit[i].line[side], h);
        }
    return h;
}

static void grow_seen(void)
{
    size_t old_size = w.seen_size;
    uint64_t *old = w.seen;
    w.seen_size = old_size ? 2 * old_size : 1U << 16;
    w.seen = calloc(w.seen_size, sizeof *w.seen);
    if (!w.seen)
        abort();
    for (size_t i = 0; i < old_size; i++) {
        size_t at = old[i] & (w.seen_size - 1);
        while (old[i] && w.seen[at])
            at = (at + 1) & (w.seen_size - 1);
        if (old[i])
            w.seen[at] = old[i];
    }
    free(old);
}

/* True if this state is new. */
static bool note_state(void)
{
    uint64_t h = digest() | 1;
    size_t at;
    if (2 * w.seen_count >= w.seen_size)
        grow_seen();
    for (at = h & (w.seen_size - 1); w.seen[at]; at = (at + 1) & (w.seen_size - 1))
        if (w.seen[at] == h)
            return false;
    w.seen[at] = h;
    w.seen_count++;
    return true;
}

static void check_end(void)
{
    w.ends++;
    for (int side = 0; side < 2; side++) {
        if (w.side[side].units)
            is_wrong("a side could never send", NULL);
        if (w.side[side].received != w.side[!side].sent)
            is_wrong("what was sent has not come", NULL);
        if (session_unacknowledged(w.side[side].s))
            is_wrong("what came was not acknowledged", NULL);
    }
}

static bool explore(unsigned depth)
{
    unsigned char possible[CHOICES];
    unsigned n;
    if (!note_state())
        return true;
    n = choices(possible);
    if (!n)
        check_end();
    if (depth == STEPS_MAX)
        is_wrong("it never ends", NULL);
    for (unsigned i = 0; i < n && !w.wrong[0]; i++) {
        if (i > 0)
            begin_again(depth);
        w.path[depth] = possible[i];
        apply(possible[i]);
        if (!w.wrong[0])
            explore(depth + 1);
    }
    return !w.wrong[0];
}

static bool run(const struct plan *plan)
{
    bool found;
    w.plan = plan;
    w.seen_count = w.runs = w.ends = 0;
    if (w.seen)
        memset(w.seen, 0, w.seen_size * sizeof *w.seen);
    begin();
    check();
    found = !explore(0);
    clean_up();
    printf("interleave: %-42s %8zu states, %s%s\n", plan->name, w.seen_count,
           found ? "found: " : "all right", found ? w.wrong : "");
    return plan->found ? found && strstr(w.wrong, plan->found) : !found;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, count = 0;
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    crypto_start(false);
    for (unsigned i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        if (argc > 1 && !strstr(plans[i].name, argv[1]))
            continue;
        count++;
        passed += run(&plans[i]);
    }
    free(w.seen);
    printf("interleave: %u passed, %u failed\n", passed, count - passed);
    return passed < count || count == 0;
}
