/* Ties a circuit's engine to its carrier and timer. Decides nothing. */
#include "session/link.h"

#include <errno.h>
#include <string.h>

#include "session/session.h"

/* Of one event; then the others have their turn. */
#define BUDGET_BYTES (1U << 20) /* to write */
#define TURN_WORK (256U << 10)  /* to take, as circuit_work counts */
#define TURN_US 250             /* for that */
#define PAUSE_US TURN_US        /* after one that left petty frames: half of the time is theirs */
#define STEP_WORK 1024          /* between two looks at the clock */

static void set_timer(struct link *link)
{
    timer_set(link->loop, &link->timer, circuit_deadline(&link->circuit));
}

/* Tells the owner once something has changed; the link may be gone afterwards. */
static void settle(struct link *link)
{
    struct session *s = link->circuit.session;
    enum session_state state = s ? session_state(s) : SESSION_ENDED;
    if (link->circuit.failed.code || state == SESSION_CLOSED || state == SESSION_ENDED)
        link->on_change(link);
    else
        set_timer(link);
}

static void network_failed(struct link *link, const char *what)
{
    circuit_fail(&link->circuit, CODE_NETWORK, what);
}

/* Writes bytes; how many, 0 when the carrier takes none now. */
static size_t write_some(struct link *link, struct view bytes)
{
    ssize_t n = carrier_write(link->carrier, bytes.data, bytes.len);
    if (n >= 0) {
        link->bytes_written += (uint64_t)n;
        return (size_t)n;
    }
    if (errno != EAGAIN)
        network_failed(link, system_text(errno));
    return 0;
}

void link_flush(struct link *link)
{
    size_t budget = BUDGET_BYTES;
    uint64_t now = loop_refresh_now(link->loop);
    if (!carrier_can_write(link->carrier)) {
        carrier_want_write(link->carrier);
        return;
    }
    while (budget > 0) {
        struct view out = circuit_output(&link->circuit, now);
        size_t n = out.len ? write_some(link, out) : 0;
        circuit_written(&link->circuit, n);
        if (!out.len || link->circuit.failed.code)
            return;
        if (n < out.len)
            break;
        budget -= n < budget ? n : budget;
    }
    carrier_want_write(link->carrier);
}

static void on_write(struct carrier *c)
{
    struct link *link = c->owner;
    link_flush(link);
    settle(link);
}

/* True if bytes that come in are of use to the session. */
static bool link_reads(const struct link *link)
{
    const struct session *s = link->circuit.session;
    return !link->circuit.failed.code && s && session_state(s) != SESSION_ENDED;
}

/* False: nothing came. */
static bool read_some(struct link *link)
{
    size_t room;
    uint8_t *space = circuit_input_space(&link->circuit, &room);
    ssize_t n = carrier_read(link->carrier, space, room);
    if (n > 0) {
        link->bytes_read += (uint64_t)n;
        circuit_received(&link->circuit, (size_t)n, loop_now(link->loop));
    } else if (n == 0 || errno != EAGAIN) {
        network_failed(link, n ? system_text(errno) : "connection closed");
    }
    return n > 0;
}

/* Takes what the peer sent, within a limit of work and of time; returns how much work it was. */
static size_t take_some(struct link *link, uint64_t until_us)
{
    struct circuit *c = &link->circuit;
    size_t work = 0;
    while (work < TURN_WORK && link_reads(link)) {
        if (!circuit_has_work(c) && (!carrier_can_read(link->carrier) || !read_some(link)))
            break;
        work += circuit_work(c, STEP_WORK, loop_now(link->loop));
        if (loop_refresh_now(link->loop) >= until_us)
            break;
    }
    return work;
}

/* A session's turn: however much its peer sends, and whatever that asks for, the others have
 * theirs. One that was not enough for what came, and went mostly into petty frames, is followed by
 * a pause: their sender is held back, and the processor has time for others. */
static void take_turn(struct link *link)
{
    struct circuit *c = &link->circuit;
    uint64_t petty = c->petty_work;
    size_t work = take_some(link, loop_refresh_now(link->loop) + TURN_US);
    if (!link_reads(link) || !circuit_has_work(c))
        carrier_want_read(link->carrier);
    else if (c->petty_work - petty > work / 2)
        timer_set(link->loop, &link->later, loop_now(link->loop) + PAUSE_US);
    else
        loop_defer(link->loop, &link->more); /* no edge will come for what was read */
}

static void on_read(struct carrier *c)
{
    struct link *link = c->owner;
    take_turn(link);
    settle(link);
}

static void on_more(struct deferred *more)
{
    struct link *link = container_of(more, struct link, more);
    take_turn(link);
    settle(link);
}

static void on_later(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, later);
    take_turn(link);
    settle(link);
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

static void on_fire(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, timer);
    circuit_tick(&link->circuit, loop_now(link->loop));
    settle(link);
}

static void on_deferred(struct deferred *deferred)
{
    struct link *link = container_of(deferred, struct link, flush);
    link_flush(link);
    settle(link);
}

bool link_open(struct link *link, struct loop *loop, struct carrier *carrier)
{
    link->timer.on_fire = on_fire;
    link->flush.run = on_deferred;
    link->more.run = on_more;
    link->later.on_fire = on_later;
    if (!carrier_enter(carrier, loop, &user, link)) {
        int error = errno;
        carrier_close(carrier);
        errno = error;
        return false;
    }
    link->loop = loop;
    link->carrier = carrier;
    carrier_want_read(carrier);
    timer_set(loop, &link->timer, loop_now(loop)); /* the circuit may be of no use already */
    link_wake(link);
    return true;
}

void link_wake(struct link *link)
{
    if (link->loop)
        loop_defer(link->loop, &link->flush);
}

/* All but the carrier, which is the caller's. */
static struct carrier *link_release(struct link *link)
{
    struct carrier *carrier = link->carrier;
    loop_undefer(&link->flush);
    loop_undefer(&link->more);
    carrier_leave(carrier);
    timer_cancel(link->loop, &link->timer);
    timer_cancel(link->loop, &link->later);
    circuit_free(&link->circuit);
    *link = (struct link){.on_change = link->on_change};
    return carrier;
}

void link_close(struct link *link)
{
    if (link->loop)
        carrier_close(link_release(link));
}

void link_part(struct link *link, struct partings *partings)
{
    struct fifo last = {0};
    struct view out;
    if (!link->loop)
        return;
    while ((out = circuit_output(&link->circuit, loop_now(link->loop))).len &&
           fifo_append(&last, out.data, out.len))
        circuit_written(&link->circuit, out.len);
    carrier_owe(link->carrier, &last);
    partings_add(partings, link_release(link));
}
