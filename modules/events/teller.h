/* Tells a program of events, each time it is run anew: through a process of its own (runner.h), so
 * that nothing waits for it here, and that this process starts none. */
#ifndef SPX_EVENTS_TELLER_H
#define SPX_EVENTS_TELLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "events/parcel.h"

struct loop;
struct teller;

/* How many events may wait: of all, of those that a party can cause, and of one party. */
#define EVENTS_WAITING 256
#define EVENTS_OF_PARTIES 192
#define EVENTS_OF_PARTY 16
#define EVENT_PARTY_BYTES 32 /* as a public key has */

/* program: an absolute path. NULL without memory or descriptors,
 * or if the runner cannot be started, which only a process can that has not given that up: e says
 * so. */
struct teller *teller_new(struct loop *loop, char *program, struct error *e);

/* Tells of an event soon, with the members that the line has; the teller ends it, and puts in
 * "left_out": how many events before it were left out because too many waited, if any were. kind: a
 * literal. party: whose doing it is (EVENT_PARTY_BYTES, copied), or NULL: nobody's who could cause
 * many. What comes to nothing is told in the log. */
void teller_tell(struct teller *t, const char *kind, const uint8_t *party, struct json_line *line);

/* Gives the runner what waits and its socket takes; the runner ends by itself soon. NULL is
 * harmless. */
void teller_free(struct teller *t);

#endif
