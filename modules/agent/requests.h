/* The requests for approval that wait at an agent: their places, numbers and codes, and who may not
 * ask now (docs/PROTOCOL.md section 6). Knows nothing of the sessions, and does no I/O. */
#ifndef SPX_AGENT_REQUESTS_H
#define SPX_AGENT_REQUESTS_H

#include "agent/spoken_code.h"
#include "base/error.h"
#include "base/list.h"
#include "crypto/primitives.h"
#include "wire/limits.h"
#include "wire/wire_error.h"

/* Embedded in a service. Without a number it is none. */
struct asked_request {
    struct list place;
    uint32_t number;              /* from 1 on, in the order in which they came */
    char code[SPOKEN_CODE_BYTES]; /* for the client alone: nobody else is shown it */
    uint8_t user_key[KEY_BYTES];
    bool by_permit;              /* its user stands in no file */
    uint64_t asked_us, until_us; /* until: it lapses */
    bool is_away;                /* the client has no circuit: it gives way to its next request */
    bool is_approved;            /* while away: it is granted when the client is back */
};

struct requests;

/* NULL without memory. */
struct requests *requests_new(void);

/* The requests have ended. NULL is harmless. */
void requests_free(struct requests *r);

/* True if this user's key may ask now, by a permit or as a user of the file, for whom some places
 * are kept. False: no says why not: it was denied a little while ago
 * (CODE_DENIED), has asked too often, or there is no place (CODE_FULL). Those of its own that are
 * away would give way, and take no place. */
bool requests_may_ask(struct requests *r, const uint8_t user_key[KEY_BYTES], bool by_permit,
                      uint64_t now_us, struct wire_error *no);

/* One more, after requests_may_ask; those of its key that are away have ended. False: no code is
 * left. */
bool requests_begin(struct requests *r, struct asked_request *request,
                    const uint8_t user_key[KEY_BYTES], bool by_permit, uint64_t now_us,
                    uint32_t timeout_s);

/* It waits no longer, for whatever reason. Harmless for one without a number. */
void requests_end(struct requests *r, struct asked_request *request);

/* Those that wait. */
unsigned requests_count(const struct requests *r);

/* The first whose number is above `after`; NULL: none. */
struct asked_request *requests_next(const struct requests *r, uint32_t after);

/* The oldest of this key's that is away; NULL: none. */
struct asked_request *requests_away_of(const struct requests *r, const uint8_t user_key[KEY_BYTES]);

/* False: too many wrong codes came, and none is looked at now. */
bool requests_take_codes(const struct requests *r, uint64_t now_us);

/* The request with a code as a person typed it. NULL: e says what is wrong; after five wrong ones
 * within a minute nothing is looked at for a minute. */
struct asked_request *requests_by_code(struct requests *r, const char *typed, uint64_t now_us,
                                       struct error *e);

/* This key was denied: it may not ask for 5 minutes, the next time for 10, and so on until it is
 * approved, or is not denied for a day. Returns for how many seconds. */
uint32_t requests_denied(struct requests *r, const uint8_t user_key[KEY_BYTES], uint64_t now_us);
void requests_approved(struct requests *r, const uint8_t user_key[KEY_BYTES]);

#endif
