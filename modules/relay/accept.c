/* Takes what comes to the addresses listened on; what becomes of it is decided in newcomer.c. */
#include "relay/accept.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/desk.h"
#include "relay/newcomer.h"

#define SHORTAGE_LOG_US (60 * CLOCK_US_PER_S)

static void take(void *owner, struct carrier *carrier, const struct address *address)
{
    const struct acceptor *a = owner;
    newcomer_take(a->relay, carrier, address);
}

static void log_shortage(struct acceptor *a, uint64_t now_us)
{
    if (a->shortage_us == 0 || now_us - a->shortage_us >= SHORTAGE_LOG_US) {
        log_error("short of descriptors or memory for new connections: %s; raise the limit of open "
                  "files (LimitNOFILE=)",
                  system_text(errno));
        a->shortage_us = now_us;
    }
}

/* The oldest silent connection gives its descriptor and memory back. */
static bool on_shortage(void *owner)
{
    struct acceptor *a = owner;
    log_shortage(a, loop_now(a->relay->loop));
    return newcomer_end_oldest(a->relay);
}

static const struct carrier_doors_events events = {.take = take, .on_shortage = on_shortage};

bool acceptor_open(struct acceptor *a, struct relay *r, struct error *e)
{
    a->relay = r;
    return carrier_doors_open(&a->doors, r->loop, r->config.listen.items, r->config.listen.count,
                              &events, a, e);
}

void acceptor_start(struct acceptor *a)
{
    carrier_doors_go(&a->doors);
}

void acceptor_stop(struct acceptor *a)
{
    carrier_doors_close(&a->doors);
}
