/* Accepts connections; what becomes of them is decided in newcomer.c. */
#include "relay/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/tcp_carrier.h"
#include "relay/desk.h"
#include "relay/newcomer.h"

#define SHORTAGE_LOG_US (60 * CLOCK_US_PER_S)

static void take(void *owner, int fd, const struct address *address)
{
    const struct acceptor *a = owner;
    newcomer_take(a->relay, tcp_carrier_new(fd), address);
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

static const struct door_events door_events = {.take = take, .on_shortage = on_shortage};

static bool listen_on(struct acceptor *a, const struct address *address, struct error *e)
{
    char text[ADDRESS_TEXT_BYTES];
    struct door *door = &a->doors[a->door_count];
    if (!door_open(door, a->relay->loop, address, DOOR_BACKLOG, &door_events, a, e))
        return false;
    a->door_count++;
    door_go(door);
    address_to_text(text, &door->bound);
    log_info("listening on %s", text);
    return true;
}

bool acceptor_start(struct acceptor *a, struct relay *r, struct error *e)
{
    a->relay = r;
    a->doors = calloc(r->config.listen.count, sizeof *a->doors);
    if (!a->doors)
        return error_no_memory(e);
    for (size_t i = 0; i < r->config.listen.count; i++)
        if (!listen_on(a, &r->config.listen.items[i], e))
            return false;
    return true;
}

void acceptor_stop(struct acceptor *a)
{
    for (size_t i = 0; i < a->door_count; i++)
        door_close(&a->doors[i]);
    a->door_count = 0;
}

void acceptor_free(struct acceptor *a)
{
    free(a->doors);
    a->doors = NULL;
}
