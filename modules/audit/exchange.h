/* Signed heads of an audit, and those of others (docs/AUDIT.md, "Heads are signed and exchanged"):
 * what keeps them for the thread that signs and judges, which takes milliseconds. Who has no audit
 * has NULL, which takes all calls of the loop. */
#ifndef SPX_AUDIT_EXCHANGE_H
#define SPX_AUDIT_EXCHANGE_H

#include "audit/signed_head.h"
#include "base/bytes.h"

struct audit;
struct audit_entry;
struct rate;

/* A peer's heads: so many at once, and one in so many seconds in the long run; more are dropped. */
#define AUDIT_HEAD_BURST 6
#define AUDIT_HEAD_S 30

/* on_head is called with a head of all entries until now, once they are on disk and it is signed.
 */
void audit_want_head(struct audit *a);

/* The last entry follows: no more heads are signed or taken. */
void audit_end_heads(struct audit *a);

/* The last one. False: there is none yet. */
bool audit_last_head(struct audit *a, uint8_t out[SIGNED_HEAD_BYTES]);

/* A peer has sent its head: it is judged in the thread, and an entry tells of it, with the names of
 * `of`, whose `by` is the peer's role. rate: the peer's; signer: its static key, proven. False: it
 * is not one, or one too many, and is dropped; a later one says more. */
bool audit_take_head(struct audit *a, struct rate *rate, const struct audit_entry *of,
                     const uint8_t signer[KEY_BYTES], struct view head);

/* ---- For modules/audit only. ---- */

/* Heads are signed with the audit key beside this path from now on, for a party that runs with this
 * static key. False: no memory. */
bool audit_exchange_begin(struct audit *a, const uint8_t own_key[KEY_BYTES]);

/* In the loop: gives the owner a head that was signed since. */
void audit_exchange_tell(struct audit *a);

/* In the thread, under the lock, which they let go while they work: judges what was received; signs
 * the head of what is on disk, if that is due. */
void audit_exchange_judge(struct audit *a);
bool audit_exchange_must_sign(const struct audit *a);
void audit_exchange_sign(struct audit *a);

/* Forgets what was received. */
void audit_exchange_drop(struct audit *a);

#endif
