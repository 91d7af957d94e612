/* Accounts of what each stream has carried and how it ended, for owners that keep an audit
 * (settings.h: on_stream). Without on_stream there are no accounts, and all of this does nothing.
 */
#ifndef SPX_SESSION_ACCOUNT_H
#define SPX_SESSION_ACCOUNT_H

#include "session/state.h"

/* Begins the account of a new stream, which is kept until account_free. target: of OPEN or LISTEN,
 * cleaned and cut. False without memory. */
bool account_begin(struct stream *st, struct view target);
void account_free(struct stream *st);

/* So many bytes went into the ring, and are its last; or, of datagrams, onto the circuit. */
void account_sent(struct stream *st, size_t bytes);
void account_received(struct stream *st, size_t bytes);

/* It was answered: address, of the peer's text or the own, is cleaned. */
void account_opened(struct stream *st, struct view address);

/* It has ended for its owner. Later ends do not count. */
void account_ended(struct stream *st, enum reset_code code, const char *text, bool by_peer);

#endif
