/* A stream's life, and what it owes its owner and its peer. Credit is window.c's, the order of
 * sending send.c's. */
#include "session/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "session/account.h"
#include "session/internal.h"

static struct stream *stream_new(struct session *s, bool own, struct view target)
{
    struct stream *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->session = s;
    st->own = own;
    if (!account_begin(st, target)) {
        free(st);
        return NULL;
    }
    list_append(&s->all, &st->all_link);
    list_init(&st->link);
    list_init(&st->owing_link);
    list_init(&st->closing_link);
    return st;
}

static unsigned *counter(struct stream *st)
{
    struct session *s = st->session;
    if (st->refused)
        return &s->refused;
    if (st->listener)
        return &s->listeners;
    return st->own ? &s->own_open : &s->peer_open;
}

/* A new one takes its place, and its window. */
static void count(struct stream *st)
{
    *counter(st) += 1;
    if (st->listener) {
        list_remove(&st->all_link);
        list_append(st->session->all.next, &st->all_link); /* before the first */
    }
    if (st->refused || st->listener)
        return;
    st->session->streams_opened++;
    st->window = window_begin(st->session);
}

bool stream_set_id(struct stream *st, uint32_t id)
{
    st->id = id;
    if (table_insert(&st->session->streams, &st->entry))
        return true;
    st->id = 0;
    return false;
}

struct stream *stream_find(struct session *s, uint32_t id)
{
    struct table_entry *e = table_find(&s->streams, &id);
    return e ? container_of(e, struct stream, entry) : NULL;
}

/* An allocated copy that the peer's decoder takes: valid, and at most max bytes. NULL without
 * memory, which is sent as an empty one. */
static char *copy_clean(const char *text, size_t max)
{
    size_t len = text ? strnlen(text, max) : 0;
    char *copy = malloc(len + 1);
    if (copy)
        text_clean(copy, len + 1, view_of(text, len));
    return copy;
}

struct session *stream_session(const struct stream *st)
{
    return st->session;
}

void *stream_owner(const struct stream *st)
{
    return st->owner;
}

uint32_t stream_id(const struct stream *st)
{
    return st->id;
}

void stream_count(struct stream *st, struct traffic *traffic)
{
    st->traffic = traffic;
}

unsigned session_places(const struct session *s)
{
    return s->peer_streams < s->own_places ? s->peer_streams : s->own_places;
}

static bool has_room(const struct session *s)
{
    return s->own_open < session_places(s);
}

bool session_is_full(const struct session *s)
{
    return s->state == SESSION_ACTIVE && !has_room(s);
}

bool session_may_open(struct session *s)
{
    bool room = has_room(s);
    if (!room)
        s->room_wanted = true;
    return room && s->state == SESSION_ACTIVE;
}

struct stream *stream_open(struct session *s, const char *target,
                           const struct stream_events *events, void *owner)
{
    struct stream *st;
    if (!session_may_open(s)) {
        errno = EAGAIN;
        return NULL;
    }
    st = stream_new_own(s, false, target, TARGET_MAX_BYTES, events, owner);
    if (st && target_takes_datagrams(view_of_string(target)))
        stream_becomes_datagram(st);
    return st;
}

struct stream *stream_new_own(struct session *s, bool listener, const char *text, size_t text_max,
                              const struct stream_events *events, void *owner)
{
    struct stream *st;
    char *copy;
    if (strlen(text) > text_max || !utf8_valid(view_of_string(text))) {
        errno = EINVAL;
        return NULL;
    }
    copy = strdup(text);
    st = copy ? stream_new(s, true, view_of_string(text)) : NULL;
    if (!st) {
        free(copy);
        errno = ENOMEM;
        return NULL;
    }
    st->text = copy;
    st->events = events;
    st->owner = owner;
    st->listener = listener;
    count(st);
    st->open_owed = true;
    stream_owe(st);
    return st;
}

struct stream *stream_new_from_peer(struct session *s, uint32_t id, bool listener,
                                    struct view target)
{
    bool over =
        listener ? s->listeners >= s->settings.listeners : s->peer_open >= s->settings.streams;
    struct stream *st;
    if (over && s->refused >= REFUSED_MAX) {
        session_fail(s, CODE_FULL, "the peer opens streams without end");
        return NULL;
    }
    st = stream_new(s, false, target);
    if (st) {
        st->listener = listener;
        st->refused = over;
        count(st);
    }
    if (!st || !stream_set_id(st, id)) {
        session_fail(s, CODE_INTERNAL, NO_MEMORY_TEXT);
        return NULL;
    }
    if (over) {
        stream_reset(st, RESET_LIMIT,
                     listener ? "too many listeners" : "too many streams are open");
        return st;
    }
    if (!listener)
        st->credit_out = early_credit_given(s);
    return st;
}

void stream_set_owner(struct stream *st, const struct stream_events *events, void *owner)
{
    st->events = events;
    st->owner = owner;
    stream_sort(st);
}

void stream_accept(struct stream *st, const char *address)
{
    if (st->dead || st->answered || st->reset_owed)
        return;
    free(st->text);
    st->text = copy_clean(address, ADDRESS_MAX_BYTES);
    st->opened_owed = true;
    st->answered = true;
    account_opened(st, view_of_string(st->text ? st->text : ""));
    stream_owe(st);
    stream_writable(st); /* early data waits for the owner */
}

static bool may_send(const struct stream *st)
{
    return st->data_ready && st->sending && st->send_credit > 0 && st->events && !st->eof_owed &&
           !st->eof_sent && !st->reset_owed && !st->reset_sent;
}

void stream_sort(struct stream *st)
{
    if (st->dead)
        return;
    if (!may_send(st))
        list_remove(&st->link);
    else if (!list_linked(&st->link))
        list_append(&st->session->ready_small, &st->link);
}

void stream_owe(struct stream *st)
{
    if (!list_linked(&st->owing_link))
        list_append(&st->session->owing, &st->owing_link);
    session_wake(st->session);
}

void stream_readable(struct stream *st)
{
    st->data_ready = !st->datagrams;
    stream_sort(st);
    if (!st->dead && list_linked(&st->link))
        session_wake(st->session);
}

/* Gives held bytes to the owner as long as it takes them. */
static void push_held(struct stream *st)
{
    while (st->held.bytes && st->events && !st->dead) {
        struct view front = fifo_front(&st->held);
        size_t taken = st->events->push(st->owner, front.data, front.len);
        if (!st->events || st->dead || !taken)
            return;
        fifo_drop(&st->held, taken);
        st->taken_bytes += taken;
        if (taken < front.len)
            return;
    }
}

void stream_writable(struct stream *st)
{
    struct session *s = st->session;
    if (s->state != SESSION_ACTIVE)
        return;
    session_enter(s);
    push_held(st);
    if (!st->dead && st->events) {
        stream_consumed(st);
        stream_settle(st);
    }
    session_leave(s);
}

bool stream_receive(struct stream *st, struct view data, uint64_t now_us)
{
    struct session *s = st->session;
    size_t taken = 0;
    if (st->reset_owed || st->reset_sent)
        return true; /* this side has given up; the bytes were on their way */
    if (data.len > st->credit_out)
        return session_fail(s, CODE_PROTOCOL, "stream %u: %zu bytes beyond its credit of %u",
                            st->id, data.len, st->credit_out);
    st->credit_out -= (uint32_t)data.len;
    s->bytes_received += data.len;
    if (st->traffic)
        st->traffic->received += data.len;
    account_received(st, data.len);
    if (!st->taken_bytes)
        st->taken_since_us = now_us;
    if (st->events && st->answered && !st->held.bytes)
        taken = st->events->push(st->owner, data.data, data.len);
    if (st->dead || st->reset_owed)
        return true;
    if (taken < data.len && !fifo_append(&st->held, data.data + taken, data.len - taken))
        return session_fail(s, CODE_INTERNAL, NO_MEMORY_TEXT);
    st->taken_bytes += taken;
    window_grow(st, now_us);
    stream_consumed(st);
    return true;
}

void stream_settle(struct stream *st)
{
    if (st->dead || !st->events || !st->answered)
        return;
    if (st->eof_received && !st->eof_told && !st->held.bytes) {
        st->eof_told = true;
        st->events->on_eof(st->owner);
    }
    if (st->eof_told && st->eof_acked && st->events && !st->dead) {
        const struct stream_events *events = st->events;
        void *owner = st->owner;
        account_ended(st, RESET_NONE, "", false);
        st->events = NULL;
        st->traffic = NULL;
        stream_kill(st);
        events->on_done(owner);
    }
}

static void owe_reset(struct stream *st, enum reset_code code, const char *text)
{
    st->reset_code = code;
    free(st->text);
    st->text = copy_clean(text, TEXT_MAX_BYTES);
    st->reset_owed = true;
    st->opened_owed = st->eof_owed = st->window_owed = false;
    stream_sort(st);
    stream_owe(st);
}

void stream_reset(struct stream *st, enum reset_code code, const char *text)
{
    struct session *s = st->session;
    if (st->dead)
        return;
    session_enter(s);
    account_ended(st, code, text, false);
    st->events = NULL;
    st->owner = NULL;
    st->traffic = NULL;
    fifo_clear(&st->held);
    session_drop_datagrams(s, st);
    if (st->open_owed)
        stream_kill(st); /* the peer never saw it */
    else if (!st->reset_sent && !st->reset_owed)
        owe_reset(st, code, text);
    session_leave(s);
}

void stream_cut(struct stream *st, enum reset_code code, const char *text)
{
    const struct stream_events *events = st->events;
    void *owner = st->owner;
    stream_reset(st, code, text);
    if (events)
        events->on_reset(owner, code, text);
}

void stream_ended_by_peer(struct stream *st, enum reset_code code, const char *text)
{
    const struct stream_events *events = st->events;
    void *owner = st->owner;
    account_ended(st, code, text, true);
    st->events = NULL;
    st->traffic = NULL;
    stream_kill(st);
    if (events)
        events->on_reset(owner, code, text);
}

void stream_kill(struct stream *st)
{
    struct session *s = st->session;
    if (st->dead)
        return;
    st->dead = true;
    if (st->id)
        table_remove(&s->streams, &st->entry);
    list_remove(&st->all_link);
    list_remove(&st->owing_link);
    list_remove(&st->closing_link);
    list_move(&s->dead, &st->link);
    session_drop_datagrams(s, st);
    window_end(st);
    *counter(st) -= 1;
    fifo_clear(&st->held);
}

static void bury(struct session *s)
{
    list_each (link, &s->dead) {
        struct stream *st = container_of(link, struct stream, link);
        list_remove(link);
        free(st->text);
        account_free(st);
        free(st);
    }
}

void session_enter(struct session *s)
{
    s->depth++;
}

void session_leave(struct session *s)
{
    if (--s->depth > 0)
        return;
    bury(s);
    if (s->room_wanted && s->state == SESSION_ACTIVE && has_room(s)) {
        s->room_wanted = false;
        if (s->events->on_room)
            s->events->on_room(s);
    }
}
