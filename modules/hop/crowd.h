/* Connections that have proven nothing yet, counted by their source (docs/PROTOCOL.md section 6):
 * when there are too many, the oldest of the source with the most goes, never the newcomer. And the
 * curve multiplications that they cost in vain, of a source and in all. Knows no sockets. */
#ifndef SPX_HOP_CROWD_H
#define SPX_HOP_CROWD_H

#include "base/list.h"
#include "base/log_rates.h"
#include "base/rate.h"
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
    unsigned owed; /* multiplications that its source pays for if the handshake fails */
};

/* The arithmetic of a first message: to read it; to read and answer it. */
#define MULTIPLICATIONS_TO_READ 1
#define MULTIPLICATIONS_TO_ANSWER 4
#define MULTIPLICATIONS_FOR_SIGNATURE \
    5 /* of a permit that is not good, which takes about as long */

enum crowd_budget {
    CROWD_NOTHING, /* no arithmetic: silence */
    CROWD_KNOWN,   /* if its key is not known, no arithmetic beyond the reading, and silence */
    CROWD_ANY,
};

/* Invariants: 1. a source with n members of a phase stands on by_count[phase][n], on none with n =
 * 0. 2. n never exceeds the phase's limit for a source, count[phase] never its limit in all. 3.
 * members of a source stand in order of arrival in their phase, behind those that have retreated to
 * it. */
struct crowd {
    struct table sources;
    unsigned count[CROWD_PHASES];
    struct list by_count[CROWD_PHASES][HANDSHAKES_PER_SOURCE + 1];
    struct rate spent;   /* by all sources */
    struct rate reserve; /* by sources that recently opened a hop, when the others leave nothing */
    struct rate answers; /* of spent, on answers to keys that are not known */
};

/* Nobody is in it. hash_key: 16 random bytes. It takes no memory before the first member. */
void crowd_init(struct crowd *c, const uint8_t hash_key[16]);

/* Every member has left before. */
void crowd_free(struct crowd *c);

/* The member that must leave before this source can have one more in the phase; NULL: none. */
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

/* Its hop is open: it leaves, owes nothing, and its source has recently opened a hop. */
void crowd_opened(struct crowd *c, struct crowd_member *m, uint64_t now_us);

/* Its handshake has failed: its source pays what it owes. It still is a member. */
void crowd_failed(struct crowd *c, struct crowd_member *m, uint64_t now_us);

/* The arithmetic that a member's first message may cost now. */
enum crowd_budget crowd_budget(const struct crowd *c, const struct crowd_member *m,
                               uint64_t now_us);

/* Multiplications were done in vain for a source, member or not. answer: for the answer to a key
 * that is not known. */
void crowd_spend(struct crowd *c, const uint8_t source[SOURCE_BYTES], unsigned multiplications,
                 bool answer, uint64_t now_us);

/* True if a member's source has opened a hop within the last CROWD_TRUST_S. */
bool crowd_trusts(const struct crowd_member *m, uint64_t now_us);

/* Whose the log lines are that a member causes (log_caused): its source's if crowd_trusts it, else
 * zeros, for all strangers together. */
void crowd_party(uint8_t out[LOG_PARTY_BYTES], const struct crowd_member *m, uint64_t now_us);

/* Forgets sources of which nothing need be remembered; call every few seconds. */
void crowd_sweep(struct crowd *c, uint64_t now_us);

#endif
