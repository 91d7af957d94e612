/* A UDP socket of udp_local.c's with one target for all: a peer is its address. */
#include "forward/udp_listener.h"

#include <netinet/in.h>
#include <stdlib.h>

struct udp_listener {
    struct udp_local *local;
    char target[TARGET_TEXT_BYTES];
    char address[ADDRESS_TEXT_BYTES];
};

/* A peer's key is its address as the kernel gives it. */
static void take(void *owner, const struct address *from, struct view bytes)
{
    struct udp_listener *l = owner;
    udp_local_send(l->local, &from->storage, from->len, l->target, bytes);
}

static void answer(void *owner, const uint8_t key[UDP_KEY_BYTES], struct view bytes)
{
    struct udp_listener *l = owner;
    struct address to;
    memcpy(&to.storage, key, sizeof to.storage);
    to.len =
        to.storage.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    udp_local_reply(l->local, &to, bytes);
}

static const struct udp_local_events events = {.take = take, .answer = answer};

struct udp_listener *udp_listener_new(struct loop *loop, const struct forward *forward,
                                      struct failures *failures, struct error *e)
{
    struct udp_listener *l = calloc(1, sizeof *l);
    if (!l) {
        error_no_memory(e);
        return NULL;
    }
    l->local = udp_local_new(loop, &forward->listen, &events, l, failures, e);
    if (!l->local) {
        free(l);
        return NULL;
    }
    target_to_text(l->target, &forward->target);
    address_to_text(l->address, udp_local_bound(l->local));
    return l;
}

void udp_listener_set_session(struct udp_listener *l, struct session *s)
{
    udp_local_set_session(l->local, s);
}

const char *udp_listener_address(const struct udp_listener *l)
{
    return l->address;
}

const struct address *udp_listener_bound(const struct udp_listener *l)
{
    return udp_local_bound(l->local);
}

void udp_listener_free(struct udp_listener *l)
{
    if (!l)
        return;
    udp_local_free(l->local);
    free(l);
}
