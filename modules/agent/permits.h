/* Sessions by permit (docs/PROTOCOL.md section 7): whose permit counts here, and until when. */
#ifndef SPX_AGENT_PERMITS_H
#define SPX_AGENT_PERMITS_H

#include "agent/guest.h"
#include "agent/state.h"
#include "wire/messages.h"
#include "wire/wire_error.h"

struct permits;

/* Reads from its directory (NULL: none) the latest issue of a permit that was accepted, and the
 * authorities' revocations. NULL: e says why. */
struct permits *permits_new(struct agent *a, const char *directory, struct error *e);
void permits_free(struct permits *p);

/* True if it is by a permit, or not at all, that this message 1 asks for a session. */
bool permits_are_asked(const struct agent *a, const uint8_t key[KEY_BYTES],
                       const struct session_hello *hello);

/* For a key that is in no [User], where they are asked: may a session begin, or go on, by the
 * permit of this message 1? The signature of a permit that was seen before is not computed again.
 * False: no says why not. */
bool permits_admit(struct agent *a, const uint8_t key[KEY_BYTES], const struct session_hello *hello,
                   struct wire_error *no);

/* The user that it makes, once admitted. NULL: none. */
struct guest *permits_guest(const struct agent *a, const uint8_t key[KEY_BYTES],
                            const struct session_hello *hello);

/* A session by it is there, or no longer. */
void permits_take(struct agent *a, struct guest *g);
void permits_drop(struct agent *a, struct guest *g);

/* Before a reload: reads the revocations that this configuration names. False: those of an
 * authority of whom none were read before cannot be; e says why, and it must not take effect. */
bool permits_may_reload(struct agent *a, const struct agent_config *config, struct error *e);

/* After it: what [Authority], Name and Scope say now. */
void permits_reloaded(struct agent *a);

#endif
