/* Limits the bytes of a session on their way, so that a keystroke never waits behind megabytes
 * (docs/PROTOCOL.md section 5, Sending). */
#ifndef SPX_SESSION_PACE_H
#define SPX_SESSION_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_RATES 2 /* the highest rate of this stretch of rounds, and of the one before */

/* A round ends when what was sent at its beginning is acknowledged. */
struct pace {
    uint64_t limit_bytes; /* given to the network and not acknowledged */
    bool starting;        /* doubling each round until the rate stops growing */
    bool held_back;       /* data waited for the limit or the circuit in this round */
    unsigned flat_rounds, rounds;
    uint64_t round_end;                  /* position that ends the round */
    uint64_t round_from, round_since_us; /* acknowledged at its beginning, and when */
    uint64_t best[PACE_RATES];           /* bytes a second */
    uint64_t shortest_us;                /* shortest round trip seen; 0: none */
};

/* A new circuit: nothing is known of its path. position: acknowledged so far. */
void pace_init(struct pace *p, uint64_t position, uint64_t now_us);

/* True if more may be sent with this much on its way; false is noted. */
bool pace_allows(struct pace *p, uint64_t in_flight_bytes);

/* Data waits because the circuit takes no more. */
void pace_blocked(struct pace *p);

/* A round trip was measured. */
void pace_measured(struct pace *p, uint64_t rtt_us);

/* Bytes a second the path is known to carry; 0: nothing is known yet. */
uint64_t pace_rate(const struct pace *p);

/* The peer acknowledged up to position; sent: the position sent up to. */
void pace_acknowledged(struct pace *p, uint64_t position, uint64_t sent, uint64_t now_us);

#endif
