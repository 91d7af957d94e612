/* The limit of bytes on their way at once.
 *
 * A round begins with everything that has been sent and ends when that is acknowledged. The bytes
 * acknowledged in it, divided by its length, are a rate: what the path has delivered, however much
 * was offered. ACKs that the path holds up and brings together make a round look short, so none
 * counts as shorter than the shortest round trip. A round in which nothing was held back shows what
 * the application offered, not what the path can do: it counts only where it is higher than what is
 * known.
 *
 * The path's rate is the highest of this stretch of STRETCH_ROUNDS rounds and the one before, so
 * that a path that has become slower is believed after two stretches at the latest. From it
 *
 *     limit = 2 * rate * (shortest round trip + SLACK_US)
 *
 * The product is what fills the path, counted with the time that a peer may wait with its ACK.
 * Twice that lets a path that has become faster show it: the rate may double each round. Bytes
 * beyond what the path holds wait in its queue, with a keystroke behind them: about a round trip,
 * not the seconds that a socket's buffer takes.
 *
 * At the start nothing is known: the limit begins at FIRST_BYTES and doubles with each round that
 * was held back, until FLAT_ROUNDS such rounds in a row have not brought a quarter more. One alone
 * may have been unlucky.
 *
 * No product overflows: a round's bytes stay below MOST_BYTES (2^32) and a ring, times 10^6; and
 * the limit is computed in milliseconds, of thousands of bytes a second. */
#include "session/pace.h"

#include "base/clock.h"

#define FIRST_BYTES (256U << 10)
#define LEAST_BYTES (64U << 10)
#define MOST_BYTES (1ULL << 32)
#define SLACK_US 25000 /* the longest a peer waits with an ACK */
#define STRETCH_ROUNDS 10
#define FLAT_ROUNDS 3

void pace_init(struct pace *p, uint64_t position, uint64_t now_us)
{
    *p = (struct pace){
        .limit_bytes = FIRST_BYTES,
        .starting = true,
        .round_end = position,
        .round_from = position,
        .round_since_us = now_us,
    };
}

bool pace_allows(struct pace *p, uint64_t in_flight_bytes)
{
    if (in_flight_bytes < p->limit_bytes)
        return true;
    p->held_back = true;
    return false;
}

void pace_blocked(struct pace *p)
{
    p->held_back = true;
}

void pace_measured(struct pace *p, uint64_t rtt_us)
{
    if (!p->shortest_us || rtt_us < p->shortest_us)
        p->shortest_us = rtt_us;
}

uint64_t pace_rate(const struct pace *p)
{
    return p->best[0] > p->best[1] ? p->best[0] : p->best[1];
}

static void note_rate(struct pace *p, uint64_t rate)
{
    /* A round that had little to send says nothing about what the path can do, unless it did more.
     */
    if (!p->held_back && rate <= pace_rate(p))
        return;
    if (++p->rounds >= STRETCH_ROUNDS) {
        p->rounds = 0;
        p->best[1] = p->best[0];
        p->best[0] = 0;
    }
    if (rate > p->best[0])
        p->best[0] = rate;
}

static void set_limit(struct pace *p)
{
    uint64_t limit = 2 * pace_rate(p) / 1000 * ((p->shortest_us + SLACK_US) / 1000);
    p->limit_bytes = limit > LEAST_BYTES ? limit : LEAST_BYTES;
}

static void end_round(struct pace *p, uint64_t rate)
{
    bool grew = rate > pace_rate(p) + pace_rate(p) / 4;
    note_rate(p, rate);
    if (!p->starting) {
        set_limit(p);
        return;
    }
    if (!p->held_back)
        return;
    p->flat_rounds = grew ? 0 : p->flat_rounds + 1;
    if (p->flat_rounds >= FLAT_ROUNDS)
        p->starting = false;
    else if (p->limit_bytes < MOST_BYTES)
        p->limit_bytes *= 2;
}

void pace_acknowledged(struct pace *p, uint64_t position, uint64_t sent, uint64_t now_us)
{
    uint64_t elapsed;
    if (position < p->round_end)
        return;
    elapsed = now_us > p->round_since_us ? now_us - p->round_since_us : 1;
    if (elapsed < p->shortest_us) /* ACKs that came together tell of no faster path */
        elapsed = p->shortest_us;
    if (position > p->round_from)
        end_round(p, (position - p->round_from) * CLOCK_US_PER_S / elapsed);
    p->round_from = position;
    p->round_since_us = now_us;
    p->round_end = sent > position ? sent : position + 1;
    p->held_back = false;
}
