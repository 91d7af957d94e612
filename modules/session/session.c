#include "session/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {"active", "closing", "closed", "ended"};
    return names[state];
}

struct session_settings session_default_settings(bool client)
{
    return (struct session_settings){
        .client = client,
        .receive_limit = 16U << 20,
        .ring_bytes = 8U << 20,
        .streams = STREAMS_MAX,
        .early_credit = 8U << 10,
        .keepalive_us = KEEPALIVE_DEFAULT_S * CLOCK_US_PER_S,
    };
}

bool session_init(struct session *s, const struct session_settings *settings,
                  const struct session_events *events, void *owner)
{
    uint8_t hash_key[16];
    *s = (struct session){.settings = *settings, .events = events, .owner = owner};
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
    s->ack_due_us = CLOCK_NEVER;
    s->next_id = settings->client ? 1 : 2;
    s->peer_next_id = settings->client ? 2 : 1;
    /* Every stream is sure of its floor, so that many idle streams never starve a busy one. */
    s->pool_left = settings->receive_limit - (uint32_t)settings->streams * settings->early_credit;
    s->peer_streams = 1;
    return ring_init(&s->ring, settings->ring_bytes);
}

void session_free(struct session *s)
{
    session_end_streams(s, 0, s->error.code ? s->error.text : "the session has ended");
    if (s->circuit)
        s->circuit->session = NULL;
    s->circuit = NULL;
    table_free(&s->streams);
    ring_free(&s->ring);
    wipe(s->id, sizeof s->id);
}

bool session_fail(struct session *s, enum code code, const char *format, ...)
{
    char text[sizeof s->error.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&s->error, (int)code, "%s", text);
    s->state = SESSION_ENDED;
    return false;
}

void session_end_streams(struct session *s, unsigned code, const char *text)
{
    session_enter(s);
    while (!list_empty(&s->all))
        stream_ended_by_peer(container_of(s->all.next, struct stream, all_link), code, text);
    session_leave(s);
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
}

void session_fill_welcome(const struct session *s, struct session_welcome *welcome)
{
    memcpy(welcome->session_id, s->id, sizeof s->id);
    welcome->receive_position = s->receive_position;
    welcome->receive_limit = s->settings.receive_limit;
    welcome->ring = (uint32_t)s->ring.size;
    welcome->streams = s->settings.streams;
    welcome->early_credit = s->settings.early_credit;
}

void session_take_hello(struct session *s, const struct session_hello *hello)
{
    s->peer_receive_limit = hello->receive_limit;
    s->peer_ring = hello->ring;
    s->peer_streams = hello->streams;
}

bool session_take_welcome(struct session *s, const struct session_welcome *welcome)
{
    if (!bytes_are_zero(s->id, sizeof s->id) &&
        memcmp(s->id, welcome->session_id, sizeof s->id) != 0)
        return session_fail(s, CODE_PROTOCOL, "the agent answered for another session");
    memcpy(s->id, welcome->session_id, sizeof s->id);
    s->peer_receive_limit = welcome->receive_limit;
    s->peer_ring = welcome->ring;
    s->peer_streams = welcome->streams;
    s->peer_early_credit = welcome->early_credit;
    return true;
}

bool session_move(struct session *s, struct session_circuit *c)
{
    uint64_t from = c->told_position > s->ring.tail ? c->told_position : s->ring.tail;
    if (from > s->sent_max)
        return session_fail(s, CODE_PROTOCOL,
                            "the peer told a position (%llu) above what was sent (%llu)",
                            (unsigned long long)from, (unsigned long long)s->sent_max);
    if (s->circuit && s->circuit != c)
        error_set(&s->circuit->failed, CODE_REPLACED, "the session moved to a newer circuit");
    s->circuit = c;
    s->resend = from;
    s->circuit_number = c->number;
    s->acked_position = s->receive_position; /* told in the handshake, or by the ACK owed */
    s->ack_owed = true;
    c->start_owed = true;
    c->ping_owed = true;
    return session_acknowledged(s, from, c->last_read_us);
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

bool session_acknowledged(struct session *s, uint64_t position, uint64_t now_us)
{
    (void)now_us;
    if (position > s->sent_max)
        return session_fail(s, CODE_PROTOCOL,
                            "the peer acknowledged position %llu, above what was sent (%llu)",
                            (unsigned long long)position, (unsigned long long)s->sent_max);
    if (position <= s->ring.tail)
        return true;
    ring_discard(&s->ring, position);
    if (s->resend < position)
        s->resend = position;
    list_each(link, &s->closing)
    {
        struct stream *st = container_of(link, struct stream, closing_link);
        if (st->end_position > position)
            break;
        end_acknowledged(st);
    }
    if (s->close_position && position >= s->close_position) {
        error_set(&s->error, s->close_code, "%s", s->close_text);
        s->state = SESSION_ENDED;
    }
    return true;
}

void session_close(struct session *s, enum code code, const char *text)
{
    if (s->state != SESSION_ACTIVE)
        return;
    s->state = SESSION_CLOSING;
    s->close_code = (uint16_t)code;
    snprintf(s->close_text, sizeof s->close_text, "%s", text);
    s->close_owed = true;
    /* CLOSE ends them all at the peer; frames that are owed or sent already need no answer any
     * more. */
    session_end_streams(s, 0, text);
    session_wake(s);
}

bool session_unacknowledged(const struct session *s)
{
    return ring_used(&s->ring) > 0 || !list_empty(&s->owing) || s->close_owed;
}
