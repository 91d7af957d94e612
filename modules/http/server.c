/* The listening side. */
#include "http/server.h"

#include <stdlib.h>

#include "net/carriers.h"

struct http_server {
    struct carrier_doors doors;
    struct loop *loop;
    const struct http_site *site;
    struct partings partings;
    struct list all; /* exchanges, the oldest first */
};

static unsigned count(const struct http_server *s)
{
    unsigned all = 0;
    list_each (link, &s->all)
        all++;
    return all;
}

/* False: all are trusted. */
static bool end_oldest(struct http_server *s)
{
    list_each (link, &s->all) {
        if (exchange_is_trusted(exchange_at(link)))
            continue;
        exchange_end(exchange_at(link));
        return true;
    }
    return false;
}

static void take(void *owner, struct carrier *carrier, const struct address *peer)
{
    struct http_server *s = owner;
    (void)peer;
    if ((count(s) >= HTTP_CONNECTIONS && !end_oldest(s)) ||
        !exchange_new(s->loop, carrier, s->site, &s->partings, &s->all))
        carrier_close(carrier);
}

static bool on_shortage(void *owner)
{
    return end_oldest(owner);
}

static const struct carrier_doors_events events = {.take = take, .on_shortage = on_shortage};

struct http_server *http_server_new(struct loop *loop, const struct address *listen,
                                    const struct http_site *site, struct error *e)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) {
        error_no_memory(e);
        return NULL;
    }
    s->loop = loop;
    s->site = site;
    list_init(&s->all);
    partings_init(&s->partings, loop);
    if (carrier_doors_open(&s->doors, loop, listen, 1, &events, s, e)) {
        carrier_doors_go(&s->doors);
        return s;
    }
    free(s);
    return NULL;
}

const struct address *http_server_address(const struct http_server *s)
{
    return &s->doors.doors[0].bound;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    carrier_doors_close(&s->doors);
    list_each (link, &s->all)
        exchange_end(exchange_at(link));
    partings_free(&s->partings);
    free(s);
}
