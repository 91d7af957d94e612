/* Connections that have proven nothing yet, counted by their source (docs/PROTOCOL.md section 6):
 * when there are too many, the oldest of the source with the most goes, never the newcomer. Knows
 * no sockets. */
#ifndef SPX_HOP_CROWD_H
#define SPX_HOP_CROWD_H

#include "base/list.h"
#include "base/table.h"
#include "wire/limits.h"

#define SOURCE_BYTES 9 /* what address_source gives */

enum crowd_phase {
    CROWD_SILENT,    /* no valid first message yet */
    CROWD_HANDSHAKE, /* past it; the first record is still to come */
    CROWD_PHASES,
};

struct source;

/* Embedded in a connection; zeroed: in no crowd. */
struct crowd_member {
    struct list place;
    struct source *source; /* NULL: in no crowd */
    enum crowd_phase phase;
};

/* Invariants: 1. a source with n members of a phase stands on by_count[phase][n], on none with n =
 * 0. 2. n never exceeds the phase's limit for a source, count[phase] never its limit in all. 3.
 * members of a source stand in order of arrival in their phase, behind those that have retreated to
 * it. */
struct crowd {
    struct table sources;
    unsigned count[CROWD_PHASES];
    struct list by_count[CROWD_PHASES][HANDSHAKES_PER_SOURCE + 1];
};

void crowd_init(struct crowd *c, const uint8_t hash_key[16]);

/* Every member has left before. */
void crowd_free(struct crowd *c);

/* Who must leave before this source can have one more in the phase; NULL: nobody. */
struct crowd_member *crowd_in_the_way(const struct crowd *c, enum crowd_phase phase,
                                      const uint8_t source[SOURCE_BYTES]);

/* The oldest member in the phase of the source with the most; NULL: there is none. */
struct crowd_member *crowd_oldest(const struct crowd *c, enum crowd_phase phase);

/* Takes a connection in as silent; nobody is in its way. False without memory. */
bool crowd_enter(struct crowd *c, struct crowd_member *m, const uint8_t source[SOURCE_BYTES]);

/* The source of a member. */
const uint8_t *crowd_source(const struct crowd_member *m);

/* A silent member has sent a valid first message; nobody is in its way. */
void crowd_advance(struct crowd *c, struct crowd_member *m);

/* The first message of a member that has advanced was not authentic: it is a silent one again, the
 * first of its source to go; nobody is in its way. */
void crowd_retreat(struct crowd *c, struct crowd_member *m);

/* Harmless for one that is in no crowd. */
void crowd_leave(struct crowd *c, struct crowd_member *m);

/* A member's handshake has failed. */
void crowd_count_failure(struct crowd_member *m, uint64_t now_us);

/* True while a source may try: fewer than HANDSHAKES_FAILED_PER_S failures in the second under way.
 */
bool crowd_allows(const struct crowd *c, const uint8_t source[SOURCE_BYTES], uint64_t now_us);

/* Forgets sources whose failures are over; call every few seconds. */
void crowd_sweep(struct crowd *c, uint64_t now_us);

#endif
