/* An HTTP server for a role's page: who may come in, and how many. The role has the routes
 * (http/exchange.h). */
#ifndef SPX_HTTP_SERVER_H
#define SPX_HTTP_SERVER_H

#include "http/exchange.h"
#include "net/address.h"

/* Connections at the same time. One more takes the place of the oldest that is not trusted. */
#define HTTP_CONNECTIONS 64

struct http_server;

/* Listens on the address, and says so in the log; site outlives the server. NULL: e says why. */
struct http_server *http_server_new(struct loop *loop, const struct address *listen,
                                    const struct http_site *site, struct error *e);

/* With the port that the system has chosen. */
const struct address *http_server_address(const struct http_server *s);

/* Ends all connections. NULL is harmless. */
void http_server_free(struct http_server *s);

#endif
