/* One circuit's records: bytes that come in are decrypted in place and cut into frames; liveness.
 */
#include "session/circuit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "session/internal.h"

#define READ_BYTES ((size_t)256 << 10)
#define RX_BYTES (READ_BYTES + 2 + RECORD_MAX)
#define READ_MIN_BYTES ((size_t)64 << 10)
#define FRAME_WORK 256 /* the least that a frame costs: an empty one takes time too */
#define START_US (CIRCUIT_START_S * CLOCK_US_PER_S)
#define CLIENT_SILENCE_US (3 * CLOCK_US_PER_S)
#define AGENT_SILENCE_US (4 * CLOCK_US_PER_S) /* the client's PING comes first */

bool circuit_init(struct circuit *c, struct session *s, struct cipher *send, struct cipher *receive,
                  uint32_t number, uint64_t told_position, uint64_t now_us)
{
    *c = (struct circuit){
        .session = s,
        .send = *send,
        .receive = *receive,
        .number = number,
        .told_position = told_position,
        .keepalive_us = s->settings.keepalive_us,
        .opened_us = now_us,
        .last_read_us = now_us,
        .next_ping_us = now_us + s->settings.keepalive_us,
        .rx = malloc(RX_BYTES),
        .tx = malloc(TX_BYTES),
    };
    list_append(&s->circuits, &c->link);
    cipher_wipe(send);
    cipher_wipe(receive);
    if (!c->rx || !c->tx) {
        circuit_free(c);
        return false;
    }
    session_enter(s);
    if (s->settings.client)
        session_move(s, c);
    session_leave(s);
    return true;
}

void circuit_free(struct circuit *c)
{
    if (c->session) {
        list_remove(&c->link);
        if (c->session->circuit == c) {
            c->session->circuit = NULL;
            session_drop_datagrams(c->session, NULL); /* they are for now, not for later */
        }
    }
    cipher_wipe(&c->send);
    cipher_wipe(&c->receive);
    if (c->rx)
        wipe(c->rx, RX_BYTES); /* records were decrypted where they lay */
    free(c->rx);
    free(c->tx);
    *c = (struct circuit){0};
}

bool circuit_fail(struct circuit *c, enum code code, const char *text)
{
    return wire_error_set(&c->failed, code, "%s", text);
}

uint8_t *circuit_input_space(struct circuit *c, size_t *len)
{
    size_t end = c->rx_start + c->rx_len;
    if (!c->rx_len) {
        c->rx_start = end = 0;
    } else if (RX_BYTES - end < READ_MIN_BYTES) {
        memmove(c->rx, c->rx + c->rx_start, c->rx_len);
        c->rx_start = 0;
        end = c->rx_len;
    }
    *len = RX_BYTES - end;
    return c->rx + end;
}

/* True if bytes that come in are still of use. */
static bool is_open(const struct circuit *c)
{
    return c->session && c->session->state != SESSION_ENDED && !c->failed.code;
}

/* Whole records only: the first one's length, 0 while its end has not come. */
static size_t first_record(const struct circuit *c)
{
    size_t len = c->rx_len >= 2 ? load_be16(c->rx + c->rx_start) : 0;
    return len && c->rx_len >= 2 + len ? len : 0;
}

/* Decrypts the first record where it lies; its frames are then taken one by one. */
static bool open_record(struct circuit *c, size_t len)
{
    uint8_t *data = c->rx + c->rx_start + 2;
    if (!cipher_open(&c->receive, view_of(NULL, 0), data, len - TAG_BYTES, data + len - TAG_BYTES))
        return circuit_fail(c, CODE_PROTOCOL,
                            "a record failed its check: the bytes were changed on the way");
    c->frames_left = len - TAG_BYTES;
    return true;
}

static void drop_record(struct circuit *c, size_t len)
{
    c->rx_start += 2 + len;
    c->rx_len -= 2 + len;
}

/* The next frame of the first record, which is open; its cost as work, 0: session or circuit has
 * failed. */
static size_t take_frame(struct circuit *c, size_t len, uint64_t now_us)
{
    const uint8_t *end = c->rx + c->rx_start + 2 + len - TAG_BYTES;
    struct view rest = view_of(end - c->frames_left, c->frames_left);
    struct frame f;
    size_t cost;
    if (!frame_next(&f, &rest)) {
        session_fail(c->session, CODE_PROTOCOL, "a record does not hold whole frames");
        return 0;
    }
    cost = c->frames_left - rest.len;
    c->frames_left = rest.len;
    if (!session_take_frame(c, &f, now_us))
        return 0;
    if (!rest.len)
        drop_record(c, len);
    if (cost >= FRAME_WORK)
        return cost;
    c->petty_work += FRAME_WORK;
    return FRAME_WORK;
}

static bool too_short(const struct circuit *c)
{
    return c->rx_len >= 2 && load_be16(c->rx + c->rx_start) <= TAG_BYTES;
}

/* True if there is a frame to be taken: of a record that is open, or of one that it opens. */
static bool has_frame(struct circuit *c)
{
    if (!is_open(c) || c->frames_left)
        return is_open(c);
    if (too_short(c))
        return circuit_fail(c, CODE_PROTOCOL, "a record is too short");
    return first_record(c) && open_record(c, first_record(c));
}

size_t circuit_work(struct circuit *c, size_t work, uint64_t now_us)
{
    struct session *s = c->session;
    size_t done = 0, cost = 1;
    if (!is_open(c))
        return 0;
    session_enter(s);
    while (done < work && cost && has_frame(c)) {
        cost = take_frame(c, first_record(c), now_us);
        done += cost;
    }
    if (!is_open(c))
        c->rx_len = c->frames_left = 0;
    session_leave(s);
    return done;
}

bool circuit_has_work(const struct circuit *c)
{
    return c->frames_left || too_short(c) || first_record(c);
}

void circuit_received(struct circuit *c, size_t n, uint64_t now_us)
{
    if (!is_open(c))
        return; /* the bytes are dropped */
    c->rx_len += n;
    c->last_read_us = now_us;
    c->stall_told = false;
    c->asked_us = 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When a circuit that carried something and fell silent is asked whether the peer is there. */
static uint64_t silence_ends_us(const struct circuit *c)
{
    uint64_t silence = c->session->settings.client ? CLIENT_SILENCE_US : AGENT_SILENCE_US;
    return c->carried && !c->asked_us ? c->last_read_us + silence : CLOCK_NEVER;
}

uint64_t circuit_stalls_us(const struct circuit *c)
{
    const struct session *s = c->session;
    uint64_t since = CLOCK_NEVER;
    if (s->sent_max > s->peer_position) /* its ACK may be behind what comes */
        since = s->waiting_us > c->last_read_us ? s->waiting_us : c->last_read_us;
    if (c->asked_us)
        since = earlier(since, c->asked_us);
    return since == CLOCK_NEVER ? CLOCK_NEVER : since + session_patience_us(s);
}

/* Asks once for each time that something was carried, so that an idle session stays silent. */
static void look_for_stall(struct circuit *c, uint64_t now_us)
{
    struct session *s = c->session;
    if (now_us >= silence_ends_us(c)) {
        c->carried = false;
        c->asked_us = now_us;
        c->ping_owed = true;
        if (s->events->on_silence)
            s->events->on_silence(s);
    }
    if (c->stall_told || now_us < circuit_stalls_us(c))
        return;
    c->stall_told = true;
    if (s->events->on_stall)
        s->events->on_stall(s, c->asked_us ? c->last_read_us
                                           : circuit_stalls_us(c) - session_patience_us(s));
}

void circuit_tick(struct circuit *c, uint64_t now_us)
{
    struct session *s = c->session;
    if (!s || c->failed.code)
        return;
    if (!c->started && now_us - c->opened_us >= START_US)
        circuit_fail(c, CODE_TIMEOUT, "the other side has not begun the circuit in time");
    else if (now_us - c->last_read_us >= 2 * c->keepalive_us)
        circuit_fail(c, CODE_TIMEOUT, "no answer from the peer");
    if (s->circuit != c)
        return;
    if (now_us >= s->ack_due_us) {
        s->ack_owed = true;
        s->ack_due_us = CLOCK_NEVER;
    }
    if (now_us >= c->next_ping_us) {
        c->ping_owed = true;
        c->next_ping_us = now_us + c->keepalive_us;
    }
    look_for_stall(c, now_us);
    if (s->ack_owed || c->ping_owed)
        session_wake(s);
}

uint64_t circuit_deadline(const struct circuit *c)
{
    uint64_t due = c->last_read_us + 2 * c->keepalive_us;
    if (!c->session || c->failed.code)
        return CLOCK_NEVER;
    if (!c->started)
        due = earlier(due, c->opened_us + START_US);
    if (c->session->circuit != c)
        return due;
    due = earlier(due, earlier(c->session->ack_due_us, c->next_ping_us));
    return earlier(due,
                   earlier(silence_ends_us(c), c->stall_told ? CLOCK_NEVER : circuit_stalls_us(c)));
}
