/* Ties a circuit's engine to its carrier and timer. Decides nothing. */
#include "session/driver.h"

#include <errno.h>
#include <string.h>

#include "session/session.h"

#define BUDGET_BYTES (1U << 20) /* to write of one event; then the others have their turn */
#define STEP_WORK 1024          /* between two looks at the clock */

static void set_timer(struct circuit_driver *driver)
{
    timer_set(driver->loop, &driver->timer, circuit_deadline(&driver->circuit));
}

/* Tells the owner once something has changed; the driver may be gone afterwards. */
static void settle(struct circuit_driver *driver)
{
    struct session *s = driver->circuit.session;
    enum session_state state = s ? session_state(s) : SESSION_ENDED;
    if (driver->circuit.failed.code || state == SESSION_CLOSED || state == SESSION_ENDED)
        driver->on_change(driver);
    else
        set_timer(driver);
}

static void network_failed(struct circuit_driver *driver, const char *what)
{
    circuit_fail(&driver->circuit, CODE_NETWORK, what);
}

/* Writes bytes; how many, 0 when the carrier takes none now. */
static size_t write_some(struct circuit_driver *driver, struct view bytes)
{
    ssize_t n = carrier_write(driver->carrier, bytes.data, bytes.len);
    if (n >= 0) {
        driver->bytes_written += (uint64_t)n;
        return (size_t)n;
    }
    if (errno != EAGAIN)
        network_failed(driver, system_text(errno));
    return 0;
}

/* Notes that it had more to write than it may at once, or no longer has. */
static void set_bulk(struct circuit_driver *driver, bool bulk)
{
    driver->turns->bulk += (unsigned)bulk - (unsigned)driver->bulk;
    driver->bulk = bulk;
}

/* Those who share and have much to write have one budget between them. */
static size_t write_budget(const struct circuit_driver *driver)
{
    unsigned sharing = driver->turns->bulk + !driver->bulk;
    return BUDGET_BYTES / sharing;
}

static void write_out(struct circuit_driver *driver)
{
    size_t budget = write_budget(driver);
    uint64_t now = loop_refresh_now(driver->loop);
    bool wanted = !carrier_can_write(driver->carrier);
    while (budget > 0 && !wanted) {
        struct view out = circuit_output(&driver->circuit, now);
        size_t n = out.len ? write_some(driver, out) : 0;
        circuit_written(&driver->circuit, n);
        if (!out.len || driver->circuit.failed.code) {
            set_bulk(driver, false);
            return;
        }
        wanted = n < out.len;
        budget -= n < budget ? n : budget;
    }
    set_bulk(driver, budget == 0);
    carrier_want_write(driver->carrier);
}

static void on_write(struct carrier *c)
{
    struct circuit_driver *driver = c->owner;
    write_out(driver);
    settle(driver);
}

/* True if bytes that come in are of use to the session. */
static bool wants_bytes(const struct circuit_driver *driver)
{
    const struct session *s = driver->circuit.session;
    return !driver->circuit.failed.code && s && session_state(s) != SESSION_ENDED;
}

/* False: nothing came. */
static bool read_some(struct circuit_driver *driver)
{
    size_t room;
    uint8_t *space = circuit_input_space(&driver->circuit, &room);
    ssize_t n = carrier_read(driver->carrier, space, room);
    if (n > 0) {
        driver->bytes_read += (uint64_t)n;
        circuit_received(&driver->circuit, (size_t)n, loop_now(driver->loop));
    } else if (n == 0 || errno != EAGAIN) {
        network_failed(driver, n ? system_text(errno) : "connection closed");
    }
    return n > 0;
}

/* Takes what the peer sent, within a limit of work and of time. */
static void take_some(struct circuit_driver *driver, const struct turn_limit *limit)
{
    struct circuit *c = &driver->circuit;
    uint64_t petty = c->petty_work;
    size_t work = 0;
    while (work < limit->work && wants_bytes(driver)) {
        if (!circuit_has_work(c) && (!carrier_can_read(driver->carrier) || !read_some(driver)))
            break;
        work += circuit_work(c, STEP_WORK, loop_now(driver->loop));
        if (loop_refresh_now(driver->loop) >= limit->until_us)
            break;
    }
    turns_worked(driver->turns, work, (size_t)(c->petty_work - petty));
}

/* However much a session's peer sends, and whatever that asks for, the others have their turn. */
static void take_turn(struct turn *turn, const struct turn_limit *limit)
{
    struct circuit_driver *driver = container_of(turn, struct circuit_driver, turn);
    take_some(driver, limit);
    if (wants_bytes(driver) && circuit_has_work(&driver->circuit))
        turn_ask(driver->turns, turn); /* no edge will come for what was read */
    else
        carrier_want_read(driver->carrier);
    settle(driver);
}

/* Reads at once, also if its turn comes later: a peer that was heard of is not silent. */
static void on_read(struct carrier *c)
{
    struct circuit_driver *driver = c->owner;
    if (wants_bytes(driver) && !circuit_has_work(&driver->circuit))
        read_some(driver);
    turn_now(driver->turns, &driver->turn);
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

static void on_fire(struct timer *timer)
{
    struct circuit_driver *driver = container_of(timer, struct circuit_driver, timer);
    circuit_tick(&driver->circuit, loop_now(driver->loop));
    settle(driver);
}

static void on_deferred(struct deferred *deferred)
{
    struct circuit_driver *driver = container_of(deferred, struct circuit_driver, flush);
    write_out(driver);
    settle(driver);
}

bool circuit_driver_open(struct circuit_driver *driver, struct loop *loop, struct carrier *carrier)
{
    driver->timer.on_fire = on_fire;
    driver->flush.run = on_deferred;
    turn_init(&driver->turn, take_turn);
    if (!carrier_enter(carrier, loop, &user, driver)) {
        int error = errno;
        carrier_close(carrier);
        errno = error;
        return false;
    }
    driver->loop = loop;
    driver->carrier = carrier;
    carrier_want_read(carrier);
    timer_set(loop, &driver->timer, loop_now(loop)); /* the circuit may be of no use already */
    circuit_driver_wake(driver);
    return true;
}

void circuit_driver_wake(struct circuit_driver *driver)
{
    if (driver->loop)
        loop_defer(driver->loop, &driver->flush);
}

/* All but the carrier, which is the caller's. */
static struct carrier *link_release(struct circuit_driver *driver)
{
    struct carrier *carrier = driver->carrier;
    loop_undefer(&driver->flush);
    turn_withdraw(&driver->turn);
    set_bulk(driver, false);
    carrier_leave(carrier);
    timer_cancel(driver->loop, &driver->timer);
    circuit_free(&driver->circuit);
    *driver = (struct circuit_driver){.on_change = driver->on_change, .turns = driver->turns};
    return carrier;
}

void circuit_driver_close(struct circuit_driver *driver)
{
    if (driver->loop)
        carrier_close(link_release(driver));
}

void circuit_driver_part(struct circuit_driver *driver, struct partings *partings)
{
    struct fifo last = {0};
    struct view out;
    if (!driver->loop)
        return;
    while ((out = circuit_output(&driver->circuit, loop_now(driver->loop))).len &&
           fifo_append(&last, out.data, out.len))
        circuit_written(&driver->circuit, out.len);
    carrier_owe(driver->carrier, &last);
    partings_add(partings, link_release(driver));
}
