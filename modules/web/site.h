/* A page's site: its files for everybody, and for those who have signed in the
 * agent's lists and orders. */
#ifndef SPX_WEB_SITE_H
#define SPX_WEB_SITE_H

#include "http/exchange.h"
#include "web/feed.h"
#include "web/orders.h"

/* All that the routes share. */
struct web {
    struct loop *loop;
    struct opener *opener;
    struct connecting first; /* the first try */
    struct passes passes;
    struct feed *feed;
    struct orders *orders;
    struct http_server *server;
    struct io keys;    /* standard input, if it is a terminal */
    uint64_t wrong_us; /* when a wrong token was last told in the log */
    bool json;
    enum failure failure;
};

/* The site; its owner is a struct web. */
struct http_site site_of(struct web *w);

#endif
