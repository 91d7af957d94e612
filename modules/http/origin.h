/* Where a request comes from: the page itself, or another in the same browser that would use it.
 * Pure. */
#ifndef SPX_HTTP_ORIGIN_H
#define SPX_HTTP_ORIGIN_H

#include <stdbool.h>

#include "http/message.h"

/* True if Host names one of these hosts (ended by NULL), whatever its port: another name is that of
 * a page whose name leads here (DNS rebinding). */
bool origin_is_host(const struct http_message *m, const char *const *hosts);

/* True if the browser says that a page from this Host asks, or says nothing, as programs do. A
 * request that may change something must say so. */
bool origin_is_own(const struct http_message *m);

#endif
