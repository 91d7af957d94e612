/* Makes, breaks and drives circuits, as a relay and modules/session/link.c would. */
#include "path.h"

#include "base/clock.h"
#include "session_short.h"

#define READ_LARGE (64U << 10)

uint64_t party_now(const struct party *p)
{
    return p->t->now_us - p->clock_behind_us;
}

uint64_t party_true_time(const struct party *p, uint64_t at_us)
{
    return at_us == CLOCK_NEVER ? CLOCK_NEVER : at_us + p->clock_behind_us;
}

bool party_puts_off(const struct party *p, struct event *e)
{
    if (p->asleep_until_us <= p->t->now_us)
        return false;
    event_set(p->t, e, p->asleep_until_us);
    return true;
}

/* ---- The ends. ---- */

static uint64_t now_at(const struct end *e)
{
    return party_now(e->party);
}

void end_settle(struct end *e)
{
    const struct session *s = e->circuit.session;
    if (!e->open)
        return;
    if (e->circuit.failed.code || !s || s->state == SESSION_CLOSED || s->state == SESSION_ENDED)
        e->party->on_change(e);
    else
        event_set(e->party->t, &e->tick, party_true_time(e->party, circuit_deadline(&e->circuit)));
}

static size_t ragged(const struct end *e, size_t most)
{
    struct timeline *t = e->party->t;
    return e->path->ragged && chance(t, 4) == 0 ? (size_t)chance_scaled(t, 1, most) : most;
}

static size_t end_write(struct end *e, struct view out)
{
    size_t n = ragged(e, out.len);
    n = pipe_write(e->out, out.data, n);
    if (n && e->out->written == e->out->cut_at && !e->path->broken)
        e->path->on_cut(e->path);
    return n;
}

void end_flush(struct end *e)
{
    while (e->open) {
        struct view out = circuit_output(&e->circuit, now_at(e));
        size_t n;
        if (!out.len)
            return;
        n = end_write(e, out);
        circuit_written(&e->circuit, n);
        if (n == 0)
            return; /* on_writable comes */
    }
}

static void read_all(struct end *e)
{
    while (e->open && !e->circuit.failed.code && e->circuit.session &&
           e->circuit.session->state != SESSION_ENDED && pipe_readable(e->in)) {
        size_t room, n;
        uint8_t *space = circuit_input_space(&e->circuit, &room);
        n = pipe_read(e->in, space, ragged(e, room < READ_LARGE ? room : READ_LARGE));
        circuit_input(&e->circuit, n, now_at(e));
    }
}

static void reader(struct end *e)
{
    if (!e->open || party_puts_off(e->party, &e->in->arrive))
        return;
    read_all(e);
    end_settle(e);
}

static void on_readable_0(struct pipe *p)
{
    reader(&container_of(p, struct path, pipe[0])->end[1]);
}

static void on_readable_1(struct pipe *p)
{
    reader(&container_of(p, struct path, pipe[1])->end[0]);
}

static void writer(struct end *e)
{
    if (!e->open || party_puts_off(e->party, &e->out->drain))
        return;
    end_flush(e);
    end_settle(e);
}

static void on_writable_0(struct pipe *p)
{
    writer(&container_of(p, struct path, pipe[0])->end[0]);
}

static void on_writable_1(struct pipe *p)
{
    writer(&container_of(p, struct path, pipe[1])->end[1]);
}

static void on_flush(struct event *event)
{
    struct end *e = container_of(event, struct end, flush);
    if (party_puts_off(e->party, event))
        return;
    end_flush(e);
    end_settle(e);
}

static void on_tick(struct event *event)
{
    struct end *e = container_of(event, struct end, tick);
    if (party_puts_off(e->party, event))
        return;
    circuit_tick(&e->circuit, now_at(e));
    end_settle(e);
}

static void on_told(struct event *event)
{
    struct end *e = container_of(event, struct end, told);
    if (party_puts_off(e->party, event))
        return;
    read_all(e);
    if (!e->open)
        return;
    if (!e->circuit.failed.code)
        wire_error_set(&e->circuit.failed, CODE_NETWORK, "%s", e->cause);
    end_settle(e);
}

void end_tell(struct end *e, uint64_t at_us, const char *cause)
{
    if (!e->open || (e->told.place && e->told.at_us <= at_us))
        return;
    e->cause = cause;
    event_set(e->path->t, &e->told, at_us);
}

void end_wake(struct end *e)
{
    if (e->open)
        event_set(e->party->t, &e->flush, e->party->t->now_us);
}

/* ---- The path. ---- */

void path_begin(struct path *p, struct timeline *t, const struct pipe_settings settings[2])
{
    p->t = t;
    p->broken = false;
    p->pipe[0].on_readable = on_readable_0;
    p->pipe[1].on_readable = on_readable_1;
    p->pipe[0].on_writable = on_writable_0;
    p->pipe[1].on_writable = on_writable_1;
    for (int i = 0; i < 2; i++) {
        pipe_open(&p->pipe[i], t, &settings[i]);
        p->end[i] = (struct end){
            .path = p,
            .which = i,
            .out = &p->pipe[i],
            .in = &p->pipe[!i],
            .tick.run = on_tick,
            .flush.run = on_flush,
            .told.run = on_told,
        };
    }
}

void path_free(struct path *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->end[i].open)
            end_close(&p->end[i]);
        pipe_close(&p->pipe[i]);
        pipe_free(&p->pipe[i]);
    }
}

/* Both sides make them from the path's serial: what the handshake would have agreed on. */
static void make_cipher(struct cipher *c, const struct path *p, int direction)
{
    uint8_t key[KEY_BYTES];
    for (int i = 0; i < 4; i++)
        store_be64(key + 8 * i, mix64(p->serial * 8ULL + (unsigned)(4 * direction + i)));
    cipher_init(c, p->serial & 7 ? SUITE_AESGCM : SUITE_CHACHAPOLY, key);
}

bool end_open(struct end *e, struct party *party, struct session *s, void *owner,
              uint64_t told_position)
{
    struct cipher send, receive;
    make_cipher(&send, e->path, e->which);
    make_cipher(&receive, e->path, !e->which);
    e->party = party;
    e->owner = owner;
    if (!circuit_init(&e->circuit, s, &send, &receive, e->path->number, told_position,
                      party_now(party)))
        return false;
    e->open = true;
    end_wake(e);
    return true;
}

void end_close(struct end *e)
{
    struct timeline *t = e->path->t;
    struct end *other = &e->path->end[!e->which];
    if (!e->open)
        return;
    e->open = false;
    event_cancel(t, &e->tick);
    event_cancel(t, &e->flush);
    event_cancel(t, &e->told);
    circuit_free(&e->circuit);
    pipe_close(e->in);
    e->in->cut_at = 0; /* what comes from now on goes nowhere */
    if (other->open && !e->path->broken)
        end_tell(other, pipe_flushed_us(e->out), "the connection was closed");
}

bool path_open(const struct path *p)
{
    return p->end[0].open || p->end[1].open;
}
