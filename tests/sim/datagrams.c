/* Sends numbered datagrams, and checks each that comes. */
#include "datagrams.h"

#include "base/clock.h"
#include "world.h"

#define LARGEST 2000

static struct timeline *time_of(const struct talk *k)
{
    return &k->world->timeline;
}

static uint8_t byte_of(const struct datagrams *d, uint64_t number, size_t at)
{
    return (uint8_t)mix64(number * 2 + (unsigned)d->side + at);
}

static void on_datagram(void *owner, struct view bytes)
{
    struct datagrams *d = owner;
    const struct datagrams *peer = &d->talk->datagrams[!d->side];
    struct world *w = d->talk->world;
    uint64_t number = bytes.len >= 8 ? load_be64(bytes.data) : 0;
    world_expect(w, d->stream && number > d->seen && number <= peer->sent,
                 "a datagram that was not sent, or came before");
    for (size_t i = 8; i < bytes.len && !w->failed; i++)
        world_expect(w, bytes.data[i] == byte_of(peer, number, i), "a datagram is not as sent");
    d->seen = number;
    d->came++;
    note(time_of(d->talk), d->party->name, "takes a datagram", number, bytes.len);
}

static void on_opened(void *owner, struct view address)
{
    (void)address;
    ((struct datagrams *)owner)->accepted = true;
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct datagrams *d = owner;
    const struct talk *k = d->talk;
    (void)text;
    world_expect(k->world,
                 k->datagrams[!d->side].ended || k->excused ||
                     (code == RESET_LIMIT && d->side == CLIENT && !d->accepted),
                 "a stream of datagrams was reset");
    d->stream = NULL;
    event_cancel(time_of(k), &d->act);
}

static const struct stream_events stream_events = {
    .on_datagram = on_datagram, .on_opened = on_opened, .on_reset = on_reset};

static void send_one(struct datagrams *d)
{
    uint8_t bytes[LARGEST];
    size_t len = (size_t)chance_scaled(time_of(d->talk), 8, sizeof bytes);
    store_be64(bytes, ++d->sent);
    for (size_t i = 8; i < len; i++)
        bytes[i] = byte_of(d, d->sent, i);
    stream_send_datagram(d->stream, view_of(bytes, len));
}

static void end(struct datagrams *d)
{
    struct stream *st = d->stream;
    note(time_of(d->talk), d->party->name, "ends its datagrams", d->sent, d->came);
    d->stream = NULL;
    d->ended = true;
    stream_reset(st, RESET_TIMEOUT, "enough");
}

/* Opens it, or tries again later when there are as many streams as there may be. */
static bool is_open(struct datagrams *d)
{
    struct timeline *t = time_of(d->talk);
    struct session *s = d->talk->session;
    if (d->stream || d->side == AGENT)
        return d->stream;
    if (s->own_open < s->peer_streams && s->own_open < s->settings.own_streams)
        d->stream = stream_open(s, "udp:app:1", &stream_events, d);
    if (!d->stream && !d->talk->world->calm)
        event_set(t, &d->act, t->now_us + chance_scaled(t, CLOCK_US_PER_MS, CLOCK_US_PER_S));
    return d->stream;
}

static void on_act(struct event *e)
{
    struct datagrams *d = container_of(e, struct datagrams, act);
    struct timeline *t = time_of(d->talk);
    if (party_puts_off(d->party, e) || !is_open(d))
        return;
    if (d->side == CLIENT && (d->talk->world->calm || d->sent >= d->planned)) {
        end(d);
        return;
    }
    if (d->side == AGENT && !d->accepted) {
        d->accepted = true;
        stream_accept(d->stream, "there");
    }
    for (uint64_t n = chance(t, 4); n > 0 && d->stream; n--)
        send_one(d);
    event_set(t, e, t->now_us + chance_scaled(t, CLOCK_US_PER_MS, CLOCK_US_PER_S));
}

static void begin_end(struct talk *k, int side, struct party *party, struct stream *stream,
                      uint64_t within_us)
{
    struct timeline *t = time_of(k);
    struct datagrams *d = &k->datagrams[side];
    d->party = party;
    d->stream = stream;
    event_set(t, &d->act, t->now_us + chance_scaled(t, 1, within_us));
}

void datagrams_begin(struct talk *k, struct party *client)
{
    for (int side = 0; side < 2; side++)
        k->datagrams[side] = (struct datagrams){.talk = k, .side = side, .act.run = on_act};
    if (k->world->heavy || chance(time_of(k), 4))
        return;
    k->datagrams[CLIENT].planned = chance_scaled(time_of(k), 1, 200);
    begin_end(k, CLIENT, client, NULL, 8 * CLOCK_US_PER_S);
}

void datagrams_answer(struct talk *k, struct party *agent, struct stream *stream)
{
    struct datagrams *d = &k->datagrams[AGENT];
    world_expect(k->world, !d->stream && d->seen == 0, "datagrams opened twice");
    stream_set_owner(stream, &stream_events, d);
    begin_end(k, AGENT, agent, stream, CLOCK_US_PER_S);
}

void datagrams_hurry(struct talk *k)
{
    struct datagrams *d = &k->datagrams[CLIENT];
    if (d->stream)
        event_set(time_of(k), &d->act, time_of(k)->now_us);
}

void datagrams_over(struct talk *k, int side)
{
    world_expect(k->world, !k->datagrams[side].stream, "nobody was told of the datagrams' end");
    event_cancel(time_of(k), &k->datagrams[side].act);
    k->world->totals.datagrams += k->datagrams[side].came;
}
