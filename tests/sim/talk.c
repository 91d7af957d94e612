/* The applications' streams: each byte's value follows from its stream and position. */
#include "talk.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "session/listen.h"
#include "world.h"

static struct timeline *time_of(const struct talk *k)
{
    return &k->world->timeline;
}

static struct app *peer_of(const struct app *a)
{
    return &a->talk->app[a->number][!a->side];
}

static bool is_opener(const struct app *a)
{
    return a->side == (a->number < TALK_STREAMS ? CLIENT : AGENT);
}

static void note_app(const struct app *a, const char *what, uint64_t n)
{
    note(time_of(a->talk), a->side == CLIENT ? "client" : "agent", what, a->number, n);
    world_progress(a->talk->world);
}

/* ---- The bytes. ---- */

static void fill(const struct app *sender, uint64_t from, uint8_t *out, size_t len)
{
    uint64_t which = sender->talk->serial * 64ULL + sender->number * 2ULL + (unsigned)sender->side;
    uint64_t key = mix64(sender->talk->world->seed ^ mix64(which));
    while (len > 0) {
        uint64_t block = htole64(mix64(key + from / 8)); /* eight bytes */
        size_t at = from % 8, n = len < 8 - at ? len : 8 - at;
        if (n == 8)
            memcpy(out, &block, 8);
        else
            memcpy(out, (const uint8_t *)&block + at, n);
        out += n;
        from += n;
        len -= n;
    }
}

static bool same(const struct app *sender, uint64_t from, const uint8_t *data, size_t len)
{
    uint8_t expected[512];
    for (size_t i = 0; i < len; i += sizeof expected) {
        size_t n = len - i < sizeof expected ? len - i : sizeof expected;
        fill(sender, from + i, expected, n);
        if (memcmp(expected, data + i, n) != 0)
            return false;
    }
    return true;
}

/* ---- What the stream asks and tells. ---- */

static void give_up(struct app *a)
{
    struct stream *st = a->stream;
    note_app(a, "resets its stream", a->received);
    a->stream = NULL;
    a->state = APP_GONE;
    event_cancel(time_of(a->talk), &a->act);
    stream_reset(st, RESET_BY_TARGET, "enough");
}

static bool has_enough(const struct app *a)
{
    return a->sent + a->received >= a->reset_at;
}

static ssize_t on_pull(void *owner, struct iovec *piece, int pieces)
{
    struct app *a = owner;
    uint64_t before = a->sent;
    world_expect(a->talk->world, a->state == APP_LIVE && !a->eof_sent, "a pull from nobody");
    if (has_enough(a)) {
        give_up(a);
        return STREAM_PULL_GONE;
    }
    for (int i = 0; i < pieces; i++) {
        size_t n = piece[i].iov_len;
        if (n > a->ready - a->sent)
            n = (size_t)(a->ready - a->sent);
        fill(a, a->sent, piece[i].iov_base, n);
        a->sent += n;
    }
    if (a->sent > before) {
        note_app(a, "sends", a->sent - before);
        return (ssize_t)(a->sent - before);
    }
    if (a->sent < a->size || (a->lazy && !a->eof_seen))
        return STREAM_PULL_NONE;
    a->eof_sent = true;
    note_app(a, "sends its end", a->sent);
    return STREAM_PULL_EOF;
}

static size_t on_push(void *owner, const uint8_t *data, size_t len)
{
    struct app *a = owner;
    struct world *w = a->talk->world;
    size_t n = len < a->appetite ? len : (size_t)a->appetite;
    world_expect(w, a->state == APP_LIVE && !a->eof_seen, "bytes for nobody");
    world_expect(w, a->received + len <= peer_of(a)->sent, "bytes that were never sent");
    world_expect(w, same(peer_of(a), a->received, data, len), "bytes are not those sent");
    if (has_enough(a)) {
        give_up(a);
        return 0;
    }
    a->received += n;
    if (a->appetite != UINT64_MAX)
        a->appetite -= n;
    if (n)
        note_app(a, "takes", n);
    return n;
}

static void on_eof(void *owner)
{
    struct app *a = owner;
    const struct app *peer = peer_of(a);
    world_expect(a->talk->world, a->state == APP_LIVE && !a->eof_seen, "an end for nobody");
    world_expect(a->talk->world, peer->eof_sent && a->received == peer->sent,
                 "an end before all bytes");
    a->eof_seen = true;
    note_app(a, "sees the end", a->received);
    if (a->lazy)
        stream_readable(a->stream);
}

static void on_opened(void *owner, struct view address)
{
    struct app *a = owner;
    char text[32];
    snprintf(text, sizeof text, "at %u", a->number);
    world_expect(a->talk->world, view_equal(address, view_of_string(text)), "another's OPENED");
    world_expect(a->talk->world, !a->answered && peer_of(a)->answered, "an answer to nothing");
    a->answered = true;
    note_app(a, "is connected", 0);
}

static void end_app(struct app *a, enum app_state state)
{
    struct totals *totals = &a->talk->world->totals;
    totals->bytes += a->received;
    totals->streams_done += state == APP_DONE;
    totals->streams_reset += state != APP_DONE;
    a->state = state;
    a->stream = NULL;
    event_cancel(time_of(a->talk), &a->act);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct app *a = owner;
    /* A stream counts at its acceptor until the application there has taken all, so the opener may
     * be wrong about there being room. */
    bool no_room = code == RESET_LIMIT && peer_of(a)->state == APP_NONE;
    bool too_late = code == RESET_NOT_PERMITTED && a->side == AGENT && a->talk->listener_ended;
    (void)text;
    world_expect(a->talk->world, a->state == APP_LIVE, "a reset for nobody");
    world_expect(a->talk->world,
                 peer_of(a)->state == APP_GONE || a->talk->excused || no_room || too_late,
                 "a reset without a reason");
    note_app(a, "is reset", code);
    end_app(a, APP_RESET);
}

static void on_done(void *owner)
{
    struct app *a = owner;
    const struct app *peer = peer_of(a);
    world_expect(a->talk->world, a->state == APP_LIVE && a->eof_sent && a->eof_seen,
                 "done before both ends");
    world_expect(a->talk->world, peer->eof_sent && (peer->state != APP_NONE),
                 "done, but not at the peer");
    world_expect(a->talk->world, !peer->stream || peer->stream->eof_received,
                 "done before the peer has all");
    note_app(a, "is done", a->received);
    end_app(a, APP_DONE);
}

static const struct stream_events stream_events = {
    .pull = on_pull,
    .push = on_push,
    .on_eof = on_eof,
    .on_opened = on_opened,
    .on_reset = on_reset,
    .on_done = on_done,
};

/* ---- What it does on its own. ---- */

static void accept_stream(struct app *a)
{
    char address[32];
    snprintf(address, sizeof address, "at %u", a->number);
    a->answered = true;
    note_app(a, "accepts", 0);
    stream_accept(a->stream, address);
}

static void produce(struct app *a)
{
    uint64_t left = a->size - a->ready;
    if (left)
        a->ready += a->talk->world->calm ? left : chance_scaled(time_of(a->talk), 1, left);
    stream_readable(a->stream);
}

static void get_hungry(struct app *a)
{
    if (a->appetite != UINT64_MAX)
        a->appetite = a->talk->world->calm
                          ? UINT64_MAX
                          : a->appetite + chance_scaled(time_of(a->talk), 1, 1U << 16);
    stream_writable(a->stream);
}

static bool has_plans(const struct app *a)
{
    return !a->answered || a->ready < a->size || a->appetite != UINT64_MAX || has_enough(a);
}

static void on_act(struct event *e)
{
    struct app *a = container_of(e, struct app, act);
    struct timeline *t = time_of(a->talk);
    if (a->state != APP_LIVE || party_puts_off(a->party, e))
        return;
    if (has_enough(a))
        give_up(a);
    else if (!is_opener(a) && !a->answered)
        accept_stream(a);
    if (a->state == APP_LIVE)
        produce(a);
    if (a->state == APP_LIVE && a->answered)
        get_hungry(a);
    if (a->state == APP_LIVE && has_plans(a))
        event_set(t, e, t->now_us + chance_scaled(t, CLOCK_US_PER_MS, 4 * CLOCK_US_PER_S));
}

static uint64_t size_by_chance(struct world *w)
{
    struct timeline *t = &w->timeline;
    if (w->heavy)
        return chance_scaled(t, 64U << 10, 512U << 10);
    switch (chance(t, 8)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return chance_scaled(t, 1024, 200U << 10);
    default:
        return chance_scaled(t, 1, 8U << 10);
    }
}

static void app_plan(struct talk *k, unsigned number, int side)
{
    struct timeline *t = time_of(k);
    struct app *a = &k->app[number][side];
    *a = (struct app){.talk = k, .side = side, .number = number, .act.run = on_act};
    a->size = size_by_chance(k->world);
    a->ready = k->world->heavy || chance(t, 2) ? a->size : 0;
    a->appetite = k->world->heavy || chance(t, 3) ? UINT64_MAX : chance(t, 4096);
    a->lazy = !is_opener(a) && chance(t, 3) == 0;
    a->reset_at = chance(t, 12) ? UINT64_MAX : chance_scaled(t, 1, 64U << 10);
}

static void app_begin(struct app *a, struct party *party, struct stream *stream)
{
    a->state = APP_LIVE;
    a->party = party;
    a->stream = stream;
}

static void app_later(struct app *a)
{
    struct timeline *t = time_of(a->talk);
    event_set(t, &a->act, t->now_us + chance_scaled(t, 1, CLOCK_US_PER_S));
}

/* ---- Listeners. ---- */

static void agent_opens_no_more(struct talk *k)
{
    struct opener *o = &k->opener[AGENT];
    k->listener[AGENT] = NULL;
    o->end = o->next;
    event_cancel(time_of(k), &o->open_more);
}

static void on_listening(void *owner, struct view address)
{
    struct talk *k = owner;
    world_expect(k->world, view_equal(address, view_of_string("there")), "another's LISTENING");
}

static void on_listener_reset(void *owner, enum reset_code code, const char *text)
{
    struct talk *k = owner;
    (void)text;
    k->listener[CLIENT] = NULL;
    world_expect(k->world, k->excused || code == RESET_NOT_PERMITTED, "a listener was reset");
}

static void on_listener_ended(void *owner, enum reset_code code, const char *text)
{
    struct talk *k = owner;
    (void)code;
    (void)text;
    world_expect(k->world, k->excused || k->listener_ended, "a listener was reset");
    agent_opens_no_more(k);
}

static const struct stream_events client_listener_events = {.on_opened = on_listening,
                                                            .on_reset = on_listener_reset};
static const struct stream_events agent_listener_events = {.on_reset = on_listener_ended};

static void ask_to_listen(struct talk *k)
{
    k->listener[CLIENT] = listen_request(k->session, "127.0.0.1:1", &client_listener_events, k);
    if (!k->listener[CLIENT])
        agent_opens_no_more(k); /* the session is ending */
}

void talk_listen(struct talk *k, struct party *agent, struct stream *listener)
{
    struct opener *o = &k->opener[AGENT];
    struct timeline *t = time_of(k);
    if (chance(t, 8) == 0) {
        agent_opens_no_more(k);
        stream_reset(listener, RESET_NOT_PERMITTED, "not here");
        return;
    }
    o->party = agent;
    k->listener[AGENT] = listener;
    stream_set_owner(listener, &agent_listener_events, k);
    stream_accept(listener, "there");
    event_set(t, &o->open_more, t->now_us + chance_scaled(t, 1, CLOCK_US_PER_S));
}

static void stop_listening(struct talk *k)
{
    note(time_of(k), "client", "listens no more", 0, 0);
    k->listener_ended = true;
    stream_reset(k->listener[CLIENT], RESET_NOT_PERMITTED, "enough");
    k->listener[CLIENT] = NULL;
}

/* ---- Opening and answering. ---- */

void talk_answer(struct talk *k, int side, struct party *party, struct stream *stream,
                 struct view name)
{
    const struct opener *o = &k->opener[!side];
    struct app *a;
    char text[32];
    unsigned number = ALL_STREAMS;
    text_clean(text, sizeof text, name);
    if (side == AGENT && strncmp(text, "udp:", 4) == 0) {
        datagrams_answer(k, party, stream);
        return;
    }
    world_expect(k->world,
                 sscanf(text, "tcp:app:%u", &number) == 1 && number >= o->first && number < o->next,
                 "a stream nobody has opened");
    if (k->world->failed)
        return;
    a = &k->app[number][side];
    world_expect(k->world, a->state == APP_NONE, "opened twice");
    app_begin(a, party, stream);
    stream_set_owner(stream, &stream_events, a);
    if (chance(time_of(k), 16) == 0)
        give_up(a); /* refuses */
    else if (chance(time_of(k), 2))
        accept_stream(a);
    if (a->state == APP_LIVE)
        app_later(a);
    if (k->listener[CLIENT] && side == CLIENT && chance(time_of(k), 16) == 0)
        stop_listening(k);
}

static bool open_one(struct opener *o, int side)
{
    struct talk *k = o->talk;
    struct app *a = &k->app[o->next][side];
    struct session *s = side == CLIENT ? k->session : k->listener[AGENT]->session;
    struct stream *stream;
    char name[32];
    snprintf(name, sizeof name, "tcp:app:%u", o->next);
    stream = side == CLIENT ? stream_open(s, name, &stream_events, a)
                            : stream_open_for(k->listener[AGENT], name, &stream_events, a);
    if (!stream) {
        world_expect(k->world, errno == EAGAIN, "a stream could not be opened");
        o->wants_room = s->state == SESSION_ACTIVE;
        return false;
    }
    o->next++;
    app_begin(a, o->party, stream);
    note_app(a, "opens, to send", a->size);
    app_later(a);
    return true;
}

static void on_open_more(struct event *e)
{
    struct opener *o = container_of(e, struct opener, open_more);
    struct talk *k = o->talk;
    struct timeline *t = time_of(k);
    int side = o == &k->opener[AGENT];
    if (o->next >= o->end || party_puts_off(o->party, e) || !open_one(o, side) || o->next >= o->end)
        return;
    event_set(t, e,
              t->now_us + (k->world->calm
                               ? 0
                               : chance_scaled(t, 20 * CLOCK_US_PER_MS, 8 * CLOCK_US_PER_S)));
}

void talk_room(struct talk *k, int side)
{
    world_expect(k->world, k->opener[side].wants_room, "room that nobody waits for");
    k->opener[side].wants_room = false;
    event_set(time_of(k), &k->opener[side].open_more, time_of(k)->now_us);
}

/* ---- The whole. ---- */

static void plan(struct talk *k, int side, unsigned first, unsigned count)
{
    struct opener *o = &k->opener[side];
    *o = (struct opener){.talk = k, .first = first, .next = first, .end = first + count};
    o->open_more.run = on_open_more;
    for (unsigned i = first; i < o->end; i++) {
        app_plan(k, i, CLIENT);
        app_plan(k, i, AGENT);
    }
}

void talk_begin(struct talk *k, struct world *w, unsigned serial, struct party *client,
                struct session *s)
{
    struct timeline *t = &w->timeline;
    unsigned by_agent = chance(t, 3) == 0 ? (unsigned)chance_between(t, 1, AGENT_STREAMS) : 0;
    *k = (struct talk){.world = w, .serial = serial, .session = s};
    plan(k, CLIENT, 0, (unsigned)chance_scaled(t, 1, w->heavy ? 2 : TALK_STREAMS));
    plan(k, AGENT, TALK_STREAMS, by_agent);
    k->opener[CLIENT].party = client;
    datagrams_begin(k, client);
    if (by_agent)
        ask_to_listen(k);
    event_set(t, &k->opener[CLIENT].open_more, t->now_us + chance_scaled(t, 1, CLOCK_US_PER_S));
}

void talk_hurry(struct talk *k)
{
    struct timeline *t = time_of(k);
    for (unsigned i = 0; i < ALL_STREAMS; i++)
        for (int side = 0; side < 2; side++)
            if (k->app[i][side].state == APP_LIVE)
                event_set(t, &k->app[i][side].act, t->now_us);
    datagrams_hurry(k);
    for (int side = 0; side < 2; side++)
        if (k->opener[side].open_more.place)
            event_set(t, &k->opener[side].open_more, t->now_us);
}

static bool is_over(const struct app *a)
{
    return a->state != APP_NONE && a->state != APP_LIVE;
}

bool talk_finished(const struct talk *k)
{
    for (int side = 0; side < 2; side++)
        for (unsigned i = k->opener[side].first; i < k->opener[side].end; i++)
            if (!is_over(&k->app[i][side]) || k->app[i][!side].state == APP_LIVE)
                return false;
    return true;
}

void talk_over(struct talk *k, int side)
{
    for (unsigned i = 0; i < ALL_STREAMS; i++)
        world_expect(k->world, k->app[i][side].state != APP_LIVE, "nobody was told of the end");
    world_expect(k->world, !k->listener[side], "nobody was told of the listener's end");
    event_cancel(time_of(k), &k->opener[side].open_more);
    datagrams_over(k, side);
    if (side == CLIENT)
        k->session = NULL;
}

static void check_direction(struct world *w, const struct stream_end *from,
                            const struct stream_end *to)
{
    world_expect(w, from->acknowledged <= from->sent, "more acknowledged than sent");
    world_expect(w, to->received <= from->sent, "more received than sent");
    world_expect(w, !(to->clean || to->by_peer) || from->acknowledged <= to->received,
                 "more acknowledged than received");
}

void talk_tell_head(struct talk *k, int side, struct session *s)
{
    uint8_t head[8];
    store_be64(head, ++k->heads_told[side]);
    session_tell_head(s, view_of(head, sizeof head));
}

void talk_hear_head(struct talk *k, int side, struct view head)
{
    uint64_t number = head.len == 8 ? load_be64(head.data) : 0;
    world_expect(k->world, number > k->heads_heard[side] && number <= k->heads_told[!side],
                 "a head that was not told, or out of turn");
    k->heads_heard[side] = number;
    k->world->totals.heads++;
}

void talk_report(struct talk *k, int side, const struct stream_report *r)
{
    struct stream_end *own = &k->ends[side][r->id % STREAM_ENDS];
    const struct stream_end *other = &k->ends[!side][r->id % STREAM_ENDS];
    if (r->step != STREAM_ENDED)
        return;
    *own = (struct stream_end){.id = r->id,
                               .clean = r->code == RESET_NONE,
                               .by_peer = r->by_peer && r->code != RESET_SESSION_OVER,
                               .sent = r->sent,
                               .acknowledged = r->acknowledged,
                               .received = r->received};
    if (other->id != r->id)
        return;
    check_direction(k->world, own, other);
    check_direction(k->world, other, own);
}
