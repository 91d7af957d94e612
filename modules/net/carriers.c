/* Makes carriers of the sockets that were dialled or accepted. A further kind is one file, and a
 * choice in carrier_of_socket. */
#include "net/carriers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "net/socket.h"
#include "net/tcp_carrier.h"

/* Takes the socket over. NULL without memory (errno). */
static struct carrier *carrier_of_socket(int fd)
{
    return tcp_carrier_new(fd);
}

/* ---- Dialled. ---- */

static void on_dialled(void *arg, enum dial_result result, int fd, const struct address *address,
                       const char *text)
{
    struct carrier_dial *d = arg;
    struct carrier *carrier = NULL;
    d->under_way = NULL;
    if (result == DIAL_OK) {
        carrier = carrier_of_socket(fd);
        if (!carrier) {
            result = DIAL_INTERNAL;
            text = system_text(errno);
        }
    }
    d->done(d, result, carrier, address, text);
}

bool carrier_dial_start(struct carrier_dial *d, struct loop *loop, const char *host, uint16_t port,
                        uint64_t timeout_us)
{
    struct dial_request request = {
        .host = host,
        .port = port,
        .timeout_us = timeout_us,
        .done = on_dialled,
        .arg = d,
    };
    d->under_way = dial_start(loop, &request);
    return d->under_way != NULL;
}

void carrier_dial_cancel(struct carrier_dial *d)
{
    if (d->under_way)
        dial_cancel(d->under_way);
    d->under_way = NULL;
}

/* ---- Listened for. ---- */

static void take(void *owner, int fd, const struct address *peer)
{
    struct carrier_doors *d = owner;
    struct carrier *carrier = carrier_of_socket(fd);
    if (carrier)
        d->events->take(d->owner, carrier, peer);
    else
        d->events->on_shortage(d->owner);
}

static bool on_shortage(void *owner)
{
    struct carrier_doors *d = owner;
    return d->events->on_shortage(d->owner);
}

static const struct door_events door_events = {.take = take, .on_shortage = on_shortage};

static bool listen_on(struct carrier_doors *d, struct loop *loop, const struct address *address,
                      struct error *e)
{
    if (!door_open(&d->doors[d->count], loop, address, DOOR_BACKLOG, &door_events, d, e))
        return false;
    d->count++;
    return true;
}

bool carrier_doors_open(struct carrier_doors *d, struct loop *loop, const struct address *listen,
                        size_t count, const struct carrier_doors_events *events, void *owner,
                        struct error *e)
{
    *d = (struct carrier_doors){
        .events = events, .owner = owner, .doors = calloc(count, sizeof *d->doors)};
    if (!d->doors)
        return error_no_memory(e);
    for (size_t i = 0; i < count; i++) {
        if (!listen_on(d, loop, &listen[i], e)) {
            carrier_doors_close(d);
            return false;
        }
    }
    return true;
}

void carrier_doors_go(struct carrier_doors *d)
{
    char text[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < d->count; i++) {
        door_go(&d->doors[i]);
        address_to_text(text, &d->doors[i].bound);
        log_event(LOG_INFO, &(struct log_fields){.event = "listening", .address = text},
                  "listening on %s", text);
    }
}

static bool is_at(const struct door *door, const struct address *address)
{
    return address_port(address) == address_port(&door->bound) &&
           (address_is_any(address) || address_is_any(&door->bound) ||
            address_same_host(address, &door->bound)) &&
           socket_is_own_address(address);
}

bool carrier_doors_are_at(const struct carrier_doors *d, const struct address *address)
{
    for (size_t i = 0; i < d->count; i++)
        if (is_at(&d->doors[i], address))
            return true;
    return false;
}

void carrier_doors_close(struct carrier_doors *d)
{
    for (size_t i = 0; i < d->count; i++)
        door_close(&d->doors[i]);
    free(d->doors);
    *d = (struct carrier_doors){0};
}
