/* A session as a whole: its life and its end, its move from circuit to circuit, the payloads of
 * its handshake, and which bytes the peer has. Frames are made in send.c and read in receive.c. */
#include "session/session.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "session/circuit.h"
#include "session/internal.h"

#define STALL_US (3 * CLOCK_US_PER_S)

struct session_settings session_default_settings(bool client)
{
    return (struct session_settings){
        .client = client,
        .receive_limit = 64U << 20,
        .ring_bytes = client ? 8U << 20 : 1U << 20,
        .ring_doublings = client ? 2 : 5,
        .streams = client ? 0 : STREAMS_DEFAULT,
        .own_streams = client ? STREAMS_MAX : 0,
        .listeners = client ? LISTENERS_MAX : LISTENERS_DEFAULT,
        .early_credit = 8U << 10,
        .keepalive_us = KEEPALIVE_DEFAULT_S * CLOCK_US_PER_S,
        .resume_window_s = RESUME_WINDOW_DEFAULT_S,
    };
}

/* False: the settings do not do, or there is no memory; errno says which. */
static bool init_memory(struct session *s)
{
    if (!window_init(s) || s->settings.ring_bytes < 2 * RING_RESERVE) {
        errno = EINVAL;
        return false;
    }
    return ring_init(&s->ring, s->settings.ring_bytes);
}

struct session *session_new(const struct session_settings *settings,
                            const struct session_events *events, void *owner)
{
    struct session *s = calloc(1, sizeof *s);
    uint8_t hash_key[16];
    if (!s)
        return NULL;
    s->settings = *settings;
    s->events = events;
    s->owner = owner;
    if (!init_memory(s)) {
        free(s);
        return NULL;
    }
    random_bytes(hash_key, sizeof hash_key);
    table_init(&s->streams, sizeof(uint32_t),
               (ptrdiff_t)offsetof(struct stream, id) - (ptrdiff_t)offsetof(struct stream, entry),
               hash_key);
    list_init(&s->all);
    list_init(&s->owing);
    list_init(&s->ready_small);
    list_init(&s->ready_bulk);
    list_init(&s->closing);
    list_init(&s->dead);
    list_init(&s->datagrams);
    list_init(&s->circuits);
    s->ack_due_us = CLOCK_NEVER;
    s->next_id = settings->client ? 1 : 2;
    s->peer_next_id = settings->client ? 2 : 1;
    s->peer_streams = 1;
    if (!settings->client)
        random_bytes(s->id, sizeof s->id);
    return s;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    s->state = SESSION_ENDED; /* nothing is opened from here on */
    session_end_some(s, UINT_MAX);
    list_each (link, &s->circuits) {
        container_of(link, struct circuit, link)->session = NULL;
        list_remove(link);
    }
    table_free(&s->streams);
    ring_free(&s->ring);
    wipe(s->id, sizeof s->id);
    free(s);
}

void *session_owner(const struct session *s)
{
    return s->owner;
}

enum session_state session_state(const struct session *s)
{
    return s->state;
}

const uint8_t *session_id(const struct session *s)
{
    return s->id;
}

const struct wire_error *session_error(const struct session *s)
{
    return &s->error;
}

const char *session_reason(const struct session *s)
{
    return s->error.code ? s->error.text : s->close_text;
}

bool session_has_circuit(const struct session *s)
{
    return s->circuit != NULL;
}

const struct session_settings *session_settings(const struct session *s)
{
    return &s->settings;
}

size_t session_ring_bytes(const struct session *s)
{
    return s->ring.size;
}

uint32_t session_resume_window_s(const struct session *s)
{
    return s->settings.client ? s->peer_resume_window_s : s->settings.resume_window_s;
}

struct session_summary session_summary(const struct session *s)
{
    return (struct session_summary){
        .bytes_sent = s->bytes_sent,
        .bytes_received = s->bytes_received,
        .streams_opened = s->streams_opened,
        .own_open = s->own_open,
        .rtt_us = s->rtt_us,
    };
}

void session_abandon(struct session *s, enum code code, const char *text)
{
    wire_error_set(&s->error, code, "%s", text);
    s->state = SESSION_ENDED;
}

bool session_fail(struct session *s, enum code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wire_error_vset(&s->error, code, format, args);
    va_end(args);
    s->farewell_owed = s->state == SESSION_ACTIVE;
    s->state = SESSION_ENDED;
    return false;
}

void session_end_streams(struct session *s, const char *text)
{
    session_enter(s);
    while (!list_empty(&s->all))
        stream_ended_by_peer(container_of(s->all.next, struct stream, all_link), RESET_SESSION_OVER,
                             text);
    session_leave(s);
}

void session_streams_over(struct session *s, const char *text)
{
    s->end_text = text;
    session_drop_datagrams(s, NULL);
    if (!s->settings.ends_in_portions)
        session_end_streams(s, text);
}

/* The listeners are the first on the list. */
static bool ends_now(const struct session *s, unsigned ended, unsigned most)
{
    if (list_empty(&s->all))
        return false;
    return ended < most || container_of(s->all.next, struct stream, all_link)->listener;
}

bool session_end_some(struct session *s, unsigned most)
{
    if (s->state == SESSION_ACTIVE)
        s->state = SESSION_ENDED;
    if (!s->end_text)
        s->end_text = s->error.code ? s->error.text : "the session has ended";
    session_enter(s);
    for (unsigned ended = 0; ends_now(s, ended, most); ended++)
        stream_ended_by_peer(container_of(s->all.next, struct stream, all_link), RESET_SESSION_OVER,
                             s->end_text);
    session_leave(s);
    return list_empty(&s->all);
}

void session_wake(struct session *s)
{
    if (s->circuit && s->events->on_wake)
        s->events->on_wake(s);
}

void session_fill_hello(struct session *s, struct session_hello *hello)
{
    memcpy(hello->session_id, s->id, sizeof s->id);
    hello->circuit = ++s->circuit_number;
    hello->receive_position = s->receive_position;
    hello->receive_limit = s->settings.receive_limit;
    hello->ring = (uint32_t)s->ring.size;
    hello->streams = s->settings.streams;
    hello->takes = HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING;
}

void session_fill_welcome(const struct session *s, struct session_welcome *welcome)
{
    memcpy(welcome->session_id, s->id, sizeof s->id);
    welcome->receive_position = s->receive_position;
    welcome->receive_limit = s->settings.receive_limit;
    welcome->ring = (uint32_t)s->ring.size;
    welcome->streams = s->settings.streams;
    welcome->early_credit = s->settings.early_credit;
    welcome->resume_window_s = s->settings.resume_window_s;
    welcome->waits = s->waits;
}

bool session_may_resume(const struct session *s, uint32_t number)
{
    return number > s->moved_number && number >= s->circuit_number;
}

void session_take_hello(struct session *s, const struct session_hello *hello)
{
    if (s->circuit_number < hello->circuit)
        s->circuit_number = hello->circuit;
    if (s->moved_number)
        return;
    s->peer_receive_limit = hello->receive_limit;
    s->peer_ring = hello->ring;
    s->peer_streams = hello->streams;
    s->peer_takes_access = (hello->takes & HELLO_TAKES_ACCESS) != 0;
    s->peer_can_wait = s->peer_takes_access && (hello->takes & HELLO_TAKES_WAITING) != 0;
}

bool session_take_welcome(struct session *s, const struct session_welcome *welcome)
{
    bool first = bytes_are_zero(s->id, sizeof s->id);
    if (!first && memcmp(s->id, welcome->session_id, sizeof s->id) != 0)
        return session_fail(s, CODE_PROTOCOL, "the agent answered for another session");
    if (bytes_are_zero(welcome->session_id, sizeof s->id) || welcome->early_credit > CREDIT_MAX)
        return session_fail(s, CODE_PROTOCOL, "the agent's answer makes no sense");
    memcpy(s->id, welcome->session_id, sizeof s->id);
    s->peer_receive_limit = welcome->receive_limit;
    s->peer_ring = welcome->ring;
    s->peer_streams = welcome->streams;
    if (first) { /* OPENs not answered yet count on it */
        s->peer_early_credit = welcome->early_credit;
        s->waits = welcome->waits;
        window_add_places(s, welcome->streams);
    }
    s->peer_resume_window_s = welcome->resume_window_s;
    session_enter(s);
    session_leave(s); /* there may be room for streams now */
    return true;
}

bool session_move(struct session *s, struct circuit *c)
{
    uint64_t from = c->told_position > s->peer_position ? c->told_position : s->peer_position;
    if (c->number <= s->moved_number)
        return circuit_fail(c, CODE_STALE, "a newer circuit has taken the session");
    if (from > s->sent_max)
        return session_fail(s, CODE_PROTOCOL,
                            "the peer told a position (%llu) above what was sent (%llu)",
                            (unsigned long long)from, (unsigned long long)s->sent_max);
    if (s->circuit)
        circuit_fail(s->circuit, CODE_REPLACED, "the session moved to a newer circuit");
    s->circuit = c;
    s->resend = from;
    s->moved_number = c->number;
    s->waiting_us = c->last_read_us;
    s->rtt_us = 0; /* another path */
    pace_init(&s->pace, from, c->last_read_us);
    if (s->circuit_number < c->number)
        s->circuit_number = c->number;
    s->acked_position = s->receive_position; /* told in the handshake, or by the ACK owed */
    s->ack_owed = true;
    c->start_owed = true;
    c->ping_owed = true;
    if (s->events->on_move)
        s->events->on_move(s, c);
    session_discard(s);
    return session_acknowledged(s, from);
}

/* A stream whose EOF or RESET the peer now has. */
static void end_acknowledged(struct stream *st)
{
    list_remove(&st->closing_link);
    if (st->reset_sent) {
        stream_kill(st);
        return;
    }
    st->eof_acked = true;
    stream_settle(st);
}

size_t session_frame_bytes(const struct session *s, uint64_t pos)
{
    uint8_t header[FRAME_HEADER_BYTES];
    ring_get(&s->ring, pos, header, sizeof header);
    return sizeof header + frame_payload_len(header);
}

/* True if a position beyond the one acknowledged lies between two frames. Frames that were looked
 * at before are not looked at again: a circuit that takes nothing keeps them all in the ring. */
static bool between_frames(const struct session *s, uint64_t position)
{
    uint64_t pos = s->peer_position;
    while (pos < position)
        pos += session_frame_bytes(s, pos);
    return pos == position;
}

void session_discard(struct session *s)
{
    uint64_t to = s->peer_position < s->resend ? s->peer_position : s->resend;
    if (to > s->ring.tail)
        ring_discard(&s->ring, to);
}

bool session_acknowledged(struct session *s, uint64_t position)
{
    if (position > s->sent_max)
        return session_fail(s, CODE_PROTOCOL,
                            "the peer acknowledged position %llu, above what was sent (%llu)",
                            (unsigned long long)position, (unsigned long long)s->sent_max);
    if (position <= s->peer_position)
        return true;
    if (!between_frames(s, position))
        return session_fail(s, CODE_PROTOCOL, "the peer acknowledged part of a frame (%llu)",
                            (unsigned long long)position);
    s->peer_position = position;
    session_discard(s);
    if (s->circuit) {
        s->waiting_us = s->circuit->last_read_us;
        s->circuit->carried = true;
        s->circuit->stall_told = false;
        pace_acknowledged(&s->pace, position, s->sent_max, s->waiting_us);
    }
    while (s->state == SESSION_ACTIVE &&
           !list_empty(&s->closing)) { /* an owner's event may take any off the list */
        struct stream *st = container_of(s->closing.next, struct stream, closing_link);
        if (st->end_position > position)
            break;
        end_acknowledged(st);
    }
    if (s->close_position && position >= s->close_position) {
        wire_error_set(&s->error, s->close_code, "%s", s->close_text);
        s->state = SESSION_ENDED;
    }
    return true;
}

void session_set_waiting(struct session *s, bool waiting)
{
    s->grant_owed = s->waits && !waiting;
    s->waits = waiting;
}

bool session_waits(const struct session *s)
{
    return s->waits;
}

bool session_can_wait(const struct session *s)
{
    return s->peer_can_wait;
}

void session_tell_access(struct session *s, const struct access_frame *access)
{
    if (s->state != SESSION_ACTIVE || !s->peer_takes_access)
        return;
    s->access_owed = true;
    s->access_state =
        s->grant_owed && access->state == ACCESS_ENDING ? ACCESS_GRANTED : access->state;
    s->access_until_s = access->until_s;
    text_clean(s->access_text, sizeof s->access_text, access->text);
    session_wake(s);
}

void session_tell_head(struct session *s, struct view head)
{
    if (s->state != SESSION_ACTIVE || head.len == 0 || head.len > sizeof s->head)
        return;
    memcpy(s->head, head.data, head.len);
    s->head_len = head.len;
    s->head_owed = true;
    session_wake(s);
}

void session_close(struct session *s, enum code code, const char *text)
{
    if (s->state != SESSION_ACTIVE)
        return;
    s->state = SESSION_CLOSING;
    s->close_code = code ? code : CODE_DONE;
    text_clean(s->close_text, sizeof s->close_text, view_of_string(text));
    s->close_owed = true;
    /* CLOSE ends them all at the peer; frames that are owed or sent already need no answer any
     * more. */
    session_streams_over(s, s->close_text);
    session_wake(s);
}

uint64_t session_patience_us(const struct session *s)
{
    return 4 * s->rtt_us > STALL_US ? 4 * s->rtt_us : STALL_US;
}

bool session_stalled(const struct session *s, uint64_t now_us)
{
    return s->circuit && now_us >= circuit_stalls_us(s->circuit);
}
