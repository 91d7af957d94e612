/* A hop's engine, its carrier and its timer, tied together. Decides nothing. */
#include "hop/driver.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"

#define FIRST_READ_BYTES 65536 /* so that what comes behind a wrong message is taken with it */
/* Of an open hop: a turn takes at most four times 215 messages, which have 19 bytes at least. */
#define READ_BYTES 4096
#define READS_AN_EVENT 4

/* Messages on a hop (docs/PROTOCOL.md section 6). */
#define RECORD_RATE_PER_S 200
#define RECORD_BURST 256

static bool hop_reads(const struct hop *h)
{
    return h->state != HOP_READING && h->state != HOP_SILENT && h->state != HOP_DETACHED &&
           h->state != HOP_ENDED;
}

/* Writes the bytes in out until it is empty or the carrier takes no more. An error is kept for
 * when reading ends: what the peer said before it closed must still be read. */
static void write_out(struct hop_driver *d)
{
    struct fifo *out = &d->hop.out;
    while (out->bytes > 0) {
        struct view front = fifo_front(out);
        ssize_t n = carrier_write(d->carrier, front.data, front.len);
        if (n >= 0) {
            fifo_drop(out, (size_t)n);
        } else if (errno == EAGAIN) {
            return;
        } else {
            d->write_error = errno;
            fifo_clear(out);
        }
    }
}

/* From when on more may be read. To a client any number of messages may come: lists of agents. */
static uint64_t read_from_us(const struct hop_driver *d)
{
    if (d->hop.own_role == ROLE_CLIENT)
        return 0;
    return rate_charge_from_us(&d->records, RECORD_RATE_PER_S, RECORD_BURST);
}

static uint64_t next_deadline(const struct hop_driver *d)
{
    uint64_t due = hop_deadline(&d->hop), from = read_from_us(d);
    if (d->hop.state == HOP_DETACHED)
        return CLOCK_NEVER;
    if (from > loop_now(d->loop) && from < due)
        due = from;
    return d->deadline_us < due ? d->deadline_us : due;
}

static bool may_read(const struct hop_driver *d)
{
    return hop_reads(&d->hop) && d->hop.out.bytes < HOP_OUT_MAX &&
           read_from_us(d) <= loop_now(d->loop);
}

/* Asks the loop for what the state needs next. An end is told from the timer, so never inside a
 * call of the owner. */
static void arm(struct hop_driver *d)
{
    if (d->hop.state == HOP_ENDED) {
        carrier_stop_read(d->carrier);
        carrier_stop_write(d->carrier);
        if (!d->closing) {
            d->closing = true;
            timer_set(d->loop, &d->timer, loop_now(d->loop));
        }
        return;
    }
    if (d->hop.out.bytes > 0)
        carrier_want_write(d->carrier);
    if (may_read(d))
        carrier_want_read(d->carrier);
    else
        carrier_stop_read(d->carrier);
    timer_set(d->loop, &d->timer, next_deadline(d));
}

void hop_driver_update(struct hop_driver *d)
{
    if (!d->loop)
        return;
    write_out(d);
    arm(d);
}

/* The end of what comes from the carrier: 0 bytes, or an error. */
static void read_ended(struct hop_driver *d, ssize_t n)
{
    int error = n < 0 ? errno : d->write_error;
    if (error)
        hop_fail(&d->hop, CODE_NETWORK, "the connection failed: %s", system_text(error));
    else
        hop_fail(&d->hop, CODE_NETWORK, "the connection was closed");
}

/* The hop is detached: what came behind its last record is for the next user of the carrier. */
static void hand_over(struct hop_driver *d, struct view rest)
{
    carrier_unread(d->carrier, rest);
    if (d->on_detached)
        d->on_detached(d); /* the driver may be gone */
}

/* Reads once. False: there is nothing more to do, and the driver may be gone. */
static bool read_once(struct hop_driver *d)
{
    static _Thread_local uint8_t scratch[FIRST_READ_BYTES];
    ssize_t n =
        carrier_read(d->carrier, scratch, d->hop.state == HOP_OPEN ? READ_BYTES : FIRST_READ_BYTES);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0) {
        read_ended(d, n);
        return true;
    }
    uint64_t before = d->hop.records;
    size_t used = hop_input(&d->hop, scratch, (size_t)n, loop_now(d->loop));
    rate_charge(&d->records, loop_now(d->loop), RECORD_RATE_PER_S, RECORD_BURST,
                (unsigned)(d->hop.records - before));
    if (d->hop.state != HOP_DETACHED)
        return true;
    hand_over(d, view_of(scratch + used, (size_t)n - used));
    return false;
}

static void on_read(struct carrier *c)
{
    struct hop_driver *d = c->owner;
    for (int i = 0; i < READS_AN_EVENT; i++) {
        if (!may_read(d) || !carrier_can_read(c))
            break;
        if (!read_once(d))
            return;
    }
    hop_driver_update(d);
}

static void on_write(struct carrier *c)
{
    hop_driver_update(c->owner);
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

/* The owner's limit has passed: the state says what was waited for. */
static void fail_deadline(struct hop_driver *d)
{
    struct hop *h = &d->hop;
    if (h->state == HOP_WAIT_HELLO || h->state == HOP_READING || h->state == HOP_SILENT) {
        hop_fail(h, CODE_TIMEOUT, "no valid first message came in time");
    } else if (h->state == HOP_WAIT_WELCOME) {
        hop_fail(h, CODE_TIMEOUT, "no answer of the %s to the handshake in time",
                 role_name(h->peer_role));
    } else if (h->state == HOP_WAIT_FIRST) {
        hop_fail(h, CODE_TIMEOUT, "the handshake was not completed in time");
    } else {
        hop_fail(h, CODE_TIMEOUT, "timed out");
    }
}

static void on_timer(struct timer *timer)
{
    struct hop_driver *d = container_of(timer, struct hop_driver, timer);
    uint64_t now = loop_now(d->loop);
    if (d->hop.state == HOP_DETACHED)
        return;
    hop_tick(&d->hop, now);
    if (now >= d->deadline_us)
        fail_deadline(d);
    if (d->hop.state != HOP_ENDED) {
        hop_driver_update(d);
        return;
    }
    d->closing = true;
    write_out(d);
    carrier_stop_read(d->carrier);
    carrier_stop_write(d->carrier);
    d->on_ended(d); /* the driver may be gone */
}

bool hop_driver_open(struct hop_driver *d, struct loop *loop, struct carrier *carrier)
{
    d->timer = (struct timer){.on_fire = on_timer};
    if (!carrier_enter(carrier, loop, &user, d)) {
        int error = errno;
        carrier_close(carrier);
        errno = error;
        return false;
    }
    d->carrier = carrier;
    d->loop = loop;
    d->closing = false;
    d->write_error = 0;
    if (d->deadline_us == 0)
        d->deadline_us = CLOCK_NEVER;
    hop_driver_update(d);
    return true;
}

void hop_driver_set_deadline(struct hop_driver *d, uint64_t deadline_us)
{
    d->deadline_us = deadline_us;
    if (d->loop)
        arm(d);
}

/* Out of the loop: no callback comes any more. */
static struct carrier *leave_loop(struct hop_driver *d)
{
    struct carrier *carrier = d->carrier;
    carrier_leave(carrier);
    timer_cancel(d->loop, &d->timer);
    d->loop = NULL;
    d->carrier = NULL;
    return carrier;
}

struct carrier *hop_driver_take(struct hop_driver *d)
{
    struct carrier *carrier = leave_loop(d);
    carrier_owe(carrier, &d->hop.out);
    hop_free(&d->hop);
    return carrier;
}

void hop_driver_close(struct hop_driver *d)
{
    if (d->loop) {
        write_out(d);
        carrier_close(leave_loop(d));
    }
    hop_free(&d->hop);
}
