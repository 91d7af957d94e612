/* A page's orders, on their way to the agent and back. */
#ifndef SPX_WEB_ORDERS_H
#define SPX_WEB_ORDERS_H

#include "control/opener.h"
#include "http/exchange.h"

#define ORDERS_MAX 8 /* at the same time */

struct orders;

/* Both outlive the orders. done: one has been answered, in the loop. NULL without memory. */
struct orders *orders_new(struct loop *loop, struct opener *opener, void (*done)(void *owner),
                          void *owner);

/* Hands the request's content, one line of a control socket (control/request.h) with a verb that a
 * page may order, to the agent, and answers with the last line that comes back. */
void orders_take(struct orders *all, struct http_exchange *x);

/* After the server. NULL is harmless. */
void orders_free(struct orders *all);

#endif
