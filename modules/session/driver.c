/* Ties a circuit's engine to its carrier and timer. Decides nothing. */
#include "session/driver.h"

#include <errno.h>
#include <string.h>

#include "session/session.h"

/* Of one event; then the others have their turn. */
#define BUDGET_BYTES (1U << 20) /* to write */
#define TURN_WORK (256U << 10)  /* to take, as circuit_work counts */
#define TURN_US 250             /* for that */
#define PAUSE_US TURN_US        /* after one that left petty frames: half of the time is theirs */
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

static void write_out(struct circuit_driver *driver)
{
    size_t budget = BUDGET_BYTES;
    uint64_t now = loop_refresh_now(driver->loop);
    if (!carrier_can_write(driver->carrier)) {
        carrier_want_write(driver->carrier);
        return;
    }
    while (budget > 0) {
        struct view out = circuit_output(&driver->circuit, now);
        size_t n = out.len ? write_some(driver, out) : 0;
        circuit_written(&driver->circuit, n);
        if (!out.len || driver->circuit.failed.code)
            return;
        if (n < out.len)
            break;
        budget -= n < budget ? n : budget;
    }
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

/* Takes what the peer sent, within a limit of work and of time; returns how much work it was. */
static size_t take_some(struct circuit_driver *driver, uint64_t until_us)
{
    struct circuit *c = &driver->circuit;
    size_t work = 0;
    while (work < TURN_WORK && wants_bytes(driver)) {
        if (!circuit_has_work(c) && (!carrier_can_read(driver->carrier) || !read_some(driver)))
            break;
        work += circuit_work(c, STEP_WORK, loop_now(driver->loop));
        if (loop_refresh_now(driver->loop) >= until_us)
            break;
    }
    return work;
}

/* A session's turn: however much its peer sends, and whatever that asks for, the others have
 * theirs. One that was not enough for what came, and went mostly into petty frames, is followed by
 * a pause: their sender is held back, and the processor has time for others. */
static void take_turn(struct circuit_driver *driver)
{
    struct circuit *c = &driver->circuit;
    uint64_t petty = c->petty_work;
    size_t work = take_some(driver, loop_refresh_now(driver->loop) + TURN_US);
    if (!wants_bytes(driver) || !circuit_has_work(c))
        carrier_want_read(driver->carrier);
    else if (c->petty_work - petty > work / 2)
        timer_set(driver->loop, &driver->later, loop_now(driver->loop) + PAUSE_US);
    else
        loop_defer(driver->loop, &driver->more); /* no edge will come for what was read */
}

static void on_read(struct carrier *c)
{
    struct circuit_driver *driver = c->owner;
    take_turn(driver);
    settle(driver);
}

static void on_more(struct deferred *more)
{
    struct circuit_driver *driver = container_of(more, struct circuit_driver, more);
    take_turn(driver);
    settle(driver);
}

static void on_later(struct timer *timer)
{
    struct circuit_driver *driver = container_of(timer, struct circuit_driver, later);
    take_turn(driver);
    settle(driver);
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
    driver->more.run = on_more;
    driver->later.on_fire = on_later;
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
    loop_undefer(&driver->more);
    carrier_leave(carrier);
    timer_cancel(driver->loop, &driver->timer);
    timer_cancel(driver->loop, &driver->later);
    circuit_free(&driver->circuit);
    *driver = (struct circuit_driver){.on_change = driver->on_change};
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
