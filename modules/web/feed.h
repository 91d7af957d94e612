/* The agent's lists again and again, whole, and each event of its log between them, for all pages
 * that look on. Asks nothing while nobody looks.
 *
 * A page reads lines. Those of a list stand between {"web":"begin","list":"sessions"} and
 * {"web":"end","list":"sessions"}, with "text" if the agent has no such list and "cut" if it was
 * too long; {"web":"agent","here":true} tells how the agent stands, false with the reason as
 * "text"; any other is an event as `watch` has it. */
#ifndef SPX_WEB_FEED_H
#define SPX_WEB_FEED_H

#include "control/opener.h"
#include "http/exchange.h"
#include "web/passes.h"

#define FEED_VIEWERS_MAX 8
/* The rest of a longer list is left out, which is told. All of a round wait for a page at once. */
#define FEED_LIST_BYTES ((size_t)2 << 20)

struct feed;

/* All outlive the feed. NULL without memory. */
struct feed *feed_new(struct loop *loop, struct opener *opener, struct passes *passes);

/* Answers with a stream, as long as the bearer is good. */
void feed_join(struct feed *f, struct http_exchange *x, const char *bearer);

/* Something may have changed: the lists come again soon, and those whose bearer is good no longer
 * have no more of them. */
void feed_refresh(struct feed *f);

/* After the server. NULL is harmless. */
void feed_free(struct feed *f);

#endif
