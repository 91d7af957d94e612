/* Incoming frames: which may come when and from whom, and their effect. */
#include "session/internal.h"

#include "base/clock.h"
#include "base/text.h"
#include "session/account.h"
#include "session/circuit.h"
#include "session/listen.h"

#define ACK_BYTES (256U << 10)
#define ACK_DELAY_US 25000

static bool bad_frame(struct session *s, const struct frame *f, const char *why)
{
    return session_fail(s, CODE_PROTOCOL, "%s for stream %u: %s", frame_name(f->type), f->stream,
                        why);
}

static bool unknown_frame(struct session *s, const struct frame *f)
{
    return session_fail(s, CODE_PROTOCOL, "unknown frame type 0x%02x", f->type);
}

/* The stream a frame is for. *stream NULL with true: it is closed, or all are, the frame is
 * dropped. */
static bool find_stream(struct session *s, const struct frame *f, struct stream **stream)
{
    bool own = (f->stream & 1) == (s->next_id & 1);
    uint32_t next = own ? s->next_id : s->peer_next_id;
    *stream = s->state == SESSION_ACTIVE ? stream_find(s, f->stream) : NULL;
    if (*stream || (f->stream != 0 && f->stream < next))
        return true;
    return bad_frame(s, f, "no such stream was opened");
}

/* The peer uses its next id. */
static bool take_id(struct session *s, const struct frame *f)
{
    if (f->stream != s->peer_next_id || f->stream > STREAM_ID_LAST)
        return bad_frame(s, f, "ids must grow by 2");
    s->peer_next_id += 2;
    return true;
}

/* The live listener that the agent's OPEN is for. *listener NULL with true: it has ended, the two
 * frames may have crossed. */
static bool find_listener(struct session *s, const struct frame *f, uint32_t id,
                          struct stream **listener)
{
    struct stream *st = stream_find(s, id);
    *listener = NULL;
    if ((id & 1) != (s->next_id & 1) || id >= s->next_id || (st && !st->listener))
        return bad_frame(s, f, "nothing was asked to listen for it");
    if (!st || st->reset_owed || st->reset_sent)
        return true;
    if (!st->answered)
        return bad_frame(s, f, "it comes before LISTENING");
    *listener = st;
    return true;
}

/* False: the session has failed. An honest client asks only for what it sent before it knew. */
static bool may_ask(struct session *s)
{
    if (!s->waits || s->settings.client || ++s->refused_waiting <= WAITING_REFUSED_MAX)
        return true;
    return session_fail(s, CODE_FULL, "the peer opens streams though the session waits");
}

static void refuse_while_waiting(struct stream *st)
{
    stream_reset(st, RESET_NOT_PERMITTED, "the session waits for approval");
}

static bool take_open(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct open_frame open;
    uint16_t unsupported;
    struct stream *st, *listener = NULL;
    bool client = s->settings.client;
    (void)now_us;
    if (!open_decode(&open, client, f->payload, &unsupported) && !unsupported)
        return bad_frame(s, f, "malformed");
    if (!take_id(s, f))
        return false;
    if (s->state != SESSION_ACTIVE)
        return true; /* own CLOSE answers it; nothing may follow that */
    if (!may_ask(s))
        return false;
    if (client && !find_listener(s, f, open.listener, &listener))
        return false;
    st = stream_new_from_peer(s, f->stream, false, client ? open.address : open.target);
    if (st && target_takes_datagrams(open.target))
        stream_becomes_datagram(st);
    if (!st || st->refused)
        return st != NULL;
    st->send_credit = open.window;
    if (unsupported)
        stream_reset(st, RESET_UNSUPPORTED, "an extension of OPEN is not supported");
    else if (s->waits && !client)
        refuse_while_waiting(st);
    else if (!client)
        s->events->on_open(s, st, open.target);
    else if (listener)
        s->events->on_connection(s, st, listener, open.address);
    else
        stream_reset(st, RESET_NOT_PERMITTED, "the listener has ended");
    return true;
}

static bool take_opened(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct opened_frame opened;
    struct stream *st;
    uint64_t sent;
    (void)now_us;
    if (!find_stream(s, f, &st))
        return false;
    if (!opened_decode(&opened, f->payload))
        return bad_frame(s, f, "malformed");
    if (!st)
        return true;
    if (!st->own || st->listener || st->answered)
        return bad_frame(s, f, "it was answered before, or is not to be");
    sent = s->peer_early_credit - st->send_credit;
    if (opened.window < sent)
        return bad_frame(s, f, "the window is below the early credit");
    st->answered = true;
    st->send_credit = opened.window - sent;
    stream_sort(st);
    session_wake(s);
    account_opened(st, opened.address);
    if (st->events && st->events->on_opened)
        st->events->on_opened(st->owner, opened.address);
    return true;
}

static bool take_data(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct stream *st;
    if (!find_stream(s, f, &st))
        return false;
    if (!f->payload.len)
        return bad_frame(s, f, "it is empty");
    if (!st)
        return true;
    if (st->listener || st->datagrams)
        return bad_frame(s, f, "a listener, or a stream of datagrams, carries no bytes");
    if (st->eof_received)
        return bad_frame(s, f, "it comes after EOF");
    if (st->own && !st->answered)
        return bad_frame(s, f, "it comes before OPENED");
    return stream_receive(st, f->payload, now_us);
}

static bool take_eof(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct stream *st;
    (void)now_us;
    if (!find_stream(s, f, &st))
        return false;
    if (f->payload.len)
        return bad_frame(s, f, "malformed");
    if (!st)
        return true;
    if (st->listener) {
        listen_ended_by_peer(st);
        return true;
    }
    if (st->eof_received || st->datagrams)
        return bad_frame(s, f, "it came before, or the stream is of datagrams");
    if (st->own && !st->answered)
        return bad_frame(s, f, "it comes before OPENED");
    st->eof_received = true;
    stream_settle(st);
    return true;
}

static bool take_reset(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct reset_frame reset;
    char text[TEXT_MAX_BYTES + 1];
    struct stream *st;
    (void)now_us;
    if (!find_stream(s, f, &st))
        return false;
    if (!reset_decode(&reset, f->payload))
        return bad_frame(s, f, "malformed");
    if (!st)
        return true;
    text_clean(text, sizeof text, reset.text);
    stream_ended_by_peer(st, reset.code, text);
    return true;
}

static bool take_window(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct stream *st;
    uint32_t credit;
    (void)now_us;
    if (!find_stream(s, f, &st))
        return false;
    if (!window_decode(&credit, f->payload))
        return bad_frame(s, f, "malformed");
    if (!st)
        return true;
    if (st->listener || st->datagrams || (st->own && !st->answered))
        return bad_frame(s, f, "it comes before OPENED, or for what has no credit");
    st->send_credit += credit;
    if (st->send_credit > CREDIT_MAX)
        return bad_frame(s, f, "the credit is too large");
    stream_sort(st);
    session_wake(s);
    return true;
}

static bool take_listen(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct view address;
    struct stream *st;
    (void)now_us;
    if (s->settings.client || !address_decode(&address, f->payload))
        return bad_frame(s, f, "malformed, or not for a client");
    if (!take_id(s, f))
        return false;
    if (s->state != SESSION_ACTIVE)
        return true;
    if (!may_ask(s))
        return false;
    st = stream_new_from_peer(s, f->stream, true, address);
    if (!st || st->refused)
        return st != NULL;
    if (s->waits)
        refuse_while_waiting(st);
    else if (s->events->on_listen)
        s->events->on_listen(s, st, address);
    else
        stream_reset(st, RESET_UNSUPPORTED, "this agent does not listen for clients");
    return true;
}

static bool take_listening(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct view address;
    struct stream *st;
    (void)now_us;
    if (!s->settings.client || !address_decode(&address, f->payload))
        return bad_frame(s, f, "malformed, or not for an agent");
    if (!find_stream(s, f, &st))
        return false;
    if (!st)
        return true;
    if (!st->listener || st->answered)
        return bad_frame(s, f, "it was answered before, or did not ask to listen");
    st->answered = true;
    account_opened(st, address);
    if (st->events && st->events->on_opened)
        st->events->on_opened(st->owner, address);
    return true;
}

static bool take_close(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct close_frame close;
    char text[TEXT_MAX_BYTES + 1];
    enum code code;
    (void)now_us;
    if (f->stream != 0 || !close_decode(&close, f->payload))
        return bad_frame(s, f, "malformed");
    text_clean(text, sizeof text, close.text);
    code = close.code ? close.code : CODE_DONE;
    wire_error_set(&s->error, code, "%s", text[0] ? text : code_text(code));
    s->state = SESSION_CLOSED;
    s->ack_owed = true;
    session_streams_over(s, text[0] ? s->error.text : "");
    session_wake(s);
    return true;
}

static bool take_access(struct session *s, const struct frame *f, uint64_t now_us)
{
    struct access_frame access;
    (void)now_us;
    if (!s->settings.client || f->stream != 0 || !access_decode(&access, f->payload))
        return bad_frame(s, f, "malformed, or not for an agent");
    if (s->state != SESSION_ACTIVE || (s->granted && access.state == ACCESS_WAITING))
        return true;
    if (access.state == ACCESS_WAITING || access.state == ACCESS_GRANTED)
        s->waits = access.state == ACCESS_WAITING;
    s->granted = s->granted || access.state == ACCESS_GRANTED;
    if (s->events->on_access)
        s->events->on_access(s, &access);
    session_wake(s); /* for what waited */
    return true;
}

static bool take_start(struct circuit *c, const struct frame *f)
{
    struct session *s = c->session;
    uint64_t position;
    if (c->started || f->stream != 0 || !position_decode(&position, f->payload))
        return bad_frame(s, f, "malformed, or not the first frame");
    if (!s->settings.client && !session_move(s, c))
        return false;
    if (position > s->receive_position)
        return session_fail(s, CODE_PROTOCOL,
                            "bytes were lost: the peer starts at %llu, received up to %llu",
                            (unsigned long long)position, (unsigned long long)s->receive_position);
    c->started = true;
    c->skip = s->receive_position - position;
    session_wake(s);
    return true;
}

static bool take_ack(struct circuit *c, const struct frame *f)
{
    uint64_t position;
    if (f->stream != 0 || !position_decode(&position, f->payload))
        return bad_frame(c->session, f, "malformed");
    if (!session_acknowledged(c->session, position))
        return false;
    session_wake(c->session); /* there may be room in the ring again */
    return true;
}

static bool take_ping(struct circuit *c, const struct frame *f, uint64_t now_us)
{
    struct session *s = c->session;
    if (f->stream != 0 || f->payload.len != sizeof c->pong)
        return bad_frame(s, f, "malformed");
    if (f->type == FRAME_PING) {
        memcpy(c->pong, f->payload.data, sizeof c->pong);
        c->pong_owed = true;
        c->carried = false; /* the peer is there, and has asked itself */
        session_wake(s);
    } else if (c->ping_sent_us && load_be64(f->payload.data) == c->ping_token) {
        s->rtt_us = now_us > c->ping_sent_us ? now_us - c->ping_sent_us : 1;
        pace_measured(&s->pace, s->rtt_us);
        c->ping_sent_us = 0;
    }
    return true;
}

static bool take_datagram(struct session *s, const struct frame *f)
{
    struct stream *st;
    if (!find_stream(s, f, &st))
        return false;
    if (f->payload.len > DATAGRAM_MAX)
        return bad_frame(s, f, "it is too large");
    if (!st)
        return true;
    if (!st->datagrams)
        return bad_frame(s, f, "the stream is not of datagrams");
    if (st->own && !st->answered)
        return bad_frame(s, f, "it comes before OPENED");
    stream_receive_datagram(st, f->payload);
    return true;
}

/* Malformed, it is ignored as any frame of its kind. */
static bool take_head(struct session *s, const struct frame *f)
{
    struct view head;
    if (s->state == SESSION_ACTIVE && s->events->on_head && f->stream == 0 &&
        head_decode(&head, f->payload))
        s->events->on_head(s, head);
    return true;
}

typedef bool take_function(struct session *s, const struct frame *f, uint64_t now_us);

static take_function *const sequenced[] = {
    [FRAME_OPEN] = take_open,     [FRAME_OPENED] = take_opened,       [FRAME_DATA] = take_data,
    [FRAME_EOF] = take_eof,       [FRAME_RESET] = take_reset,         [FRAME_WINDOW] = take_window,
    [FRAME_LISTEN] = take_listen, [FRAME_LISTENING] = take_listening, [FRAME_CLOSE] = take_close,
    [FRAME_ACCESS] = take_access,
};

static void note_received(struct session *s, size_t len, uint64_t now_us)
{
    uint64_t unacknowledged;
    uint32_t most = s->peer_ring / 4 < ACK_BYTES ? s->peer_ring / 4 : ACK_BYTES;
    s->receive_position += len;
    unacknowledged = s->receive_position - s->acked_position;
    if (unacknowledged >= most) {
        s->ack_owed = true;
        session_wake(s);
    } else if (s->ack_due_us == CLOCK_NEVER) {
        s->ack_due_us = now_us + ACK_DELAY_US;
    }
}

static bool take_sequenced(struct circuit *c, const struct frame *f, uint64_t now_us)
{
    struct session *s = c->session;
    size_t len = FRAME_HEADER_BYTES + f->payload.len;
    if (c->skip) {
        if (c->skip < len)
            return bad_frame(s, f, "the peer starts inside a frame");
        c->skip -= len;
        return true;
    }
    if (s->state == SESSION_CLOSED)
        return bad_frame(s, f, "it comes after CLOSE");
    if (f->type >= sizeof sequenced / sizeof sequenced[0] || !sequenced[f->type])
        return unknown_frame(s, f);
    c->carried = true;
    if (!sequenced[f->type](s, f, now_us))
        return false;
    note_received(s, len, now_us);
    return true;
}

bool session_take_frame(struct circuit *c, const struct frame *f, uint64_t now_us)
{
    struct session *s = c->session;
    if (!c->started && f->type != FRAME_START)
        return bad_frame(s, f, "a circuit begins with START");
    if (f->type == FRAME_START)
        return take_start(c, f);
    if (s->circuit != c)
        return circuit_fail(c, CODE_REPLACED, "the session moved to a newer circuit");
    if (frame_sequenced(f->type))
        return take_sequenced(c, f, now_us);
    if (f->type == FRAME_ACK)
        return take_ack(c, f);
    if (f->type == FRAME_PING || f->type == FRAME_PONG)
        return take_ping(c, f, now_us);
    if (f->type == FRAME_DATAGRAM) {
        c->carried = true;
        return take_datagram(s, f);
    }
    if (f->type == FRAME_HEAD)
        return take_head(s, f);
    if (f->type >= FRAME_PAD)
        return true;
    return unknown_frame(s, f);
}
