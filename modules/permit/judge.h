/* May this permit do that, here and now? Facts come in, a decision goes out. Of the signature,
 * which costs more, permit_is_signed_by judges. */
#ifndef SPX_PERMIT_JUDGE_H
#define SPX_PERMIT_JUDGE_H

#include "permit/permit.h"
#include "policy/zone.h"

#define PERMIT_SKEW_S 300 /* by so much clocks may differ */
#define PERMIT_MAX_DEFAULT_S 86400
#define PERMIT_SESSION_DEFAULT_S 43200 /* the longest session, where nothing says less */

/* Seconds since 1970, and durations. */
struct permit_clock {
    const struct zone *zone; /* for texts; NULL: UTC */
    int64_t wall_s;          /* now, by the judge's own clock */
    int64_t floor_s;         /* the latest issue of a permit that was accepted: it is not earlier
                                than that; 0: none yet */
    uint32_t max_permit_s;   /* from issue to end; 0: any */
};

/* May a session begin by it? False, FAILURE_DENIED: e says why, with both times. */
bool permit_may_begin(const struct permit *p, const struct permit_clock *c, struct error *e);

/* True if it is good already; e as above. */
bool permit_has_begun(const struct permit *p, const struct permit_clock *c, struct error *e);

/* The same for one that began earlier: it may go on until so long after the permit's end. */
bool permit_may_go_on(const struct permit *p, const struct permit_clock *c, uint32_t session_s,
                      struct error *e);

/* An agent, by its own file. */
struct permit_place {
    const char *name, *scope;  /* scope "" : it has none */
    const uint8_t *public_key; /* KEY_BYTES */
};

/* True if it is for this agent: its key is in it, or its scope is the permit's and one of the
 * patterns is that of its name. */
bool permit_is_for(const struct permit *p, const struct permit_place *place);

/* The longest session: the shorter of the permit's and the section's, each 0 for none; where both
 * are none PERMIT_SESSION_DEFAULT_S. */
uint32_t permit_session_s(const struct permit *p, uint32_t section_s);

#endif
