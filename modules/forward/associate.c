/* A UDP socket of udp_local.c's whose peers are targets: the head of each datagram names one. */
#include "forward/associate.h"

#include <errno.h>
#include <stdlib.h>

#include "forward/proxy.h"

struct associate {
    struct udp_local *local;
    struct address application; /* until it has sent one its port is 0 */
};

/* The first datagram tells the port; RFC 1928 lets it be told in the request, where it is mostly
 * not known yet. */
static bool is_application(struct associate *a, const struct address *from)
{
    unsigned all_bits = a->application.storage.ss_family == AF_INET ? 32 : 128;
    if (!address_in_prefix(from, &a->application, all_bits))
        return false;
    if (address_port(&a->application) == 0)
        a->application = *from;
    return address_port(&a->application) == address_port(from);
}

/* The stream's key is the application's name for the target: answers carry it too. */
static void take(void *owner, const struct address *from, struct view bytes)
{
    struct associate *a = owner;
    struct target target;
    struct view named;
    char text[TARGET_TEXT_BYTES];
    if (!is_application(a, from) || !proxy_datagram(&bytes, &target, &named))
        return;
    target_to_text(text, &target);
    udp_local_send(a->local, named.data, named.len, text, bytes);
}

static void answer(void *owner, const uint8_t key[UDP_KEY_BYTES], struct view bytes)
{
    struct associate *a = owner;
    uint8_t whole[PROXY_SOCKS_MAX_BYTES + DATAGRAM_MAX];
    size_t len = proxy_datagram_head(whole, key);
    if (bytes.len)
        memcpy(whole + len, bytes.data, bytes.len); /* at most DATAGRAM_MAX */
    udp_local_reply(a->local, &a->application, view_of(whole, len + bytes.len));
}

static const struct udp_local_events events = {.take = take, .answer = answer};

struct associate *associate_new(struct loop *loop, int control, struct session *s,
                                struct failures *failures, struct error *e)
{
    struct associate *a = calloc(1, sizeof *a);
    struct address own;
    if (!a || !address_of_socket(&own, control, false) ||
        !address_of_socket(&a->application, control, true)) {
        error_set(e, FAILURE_OTHER, "%s", a ? system_text(errno) : NO_MEMORY_TEXT);
        free(a);
        return NULL;
    }
    address_unmap(&own);
    address_unmap(&a->application);
    address_set_port(&own, 0);
    address_set_port(&a->application, 0);
    a->local = udp_local_new(loop, &own, &events, a, failures, e);
    if (!a->local) {
        free(a);
        return NULL;
    }
    udp_local_set_session(a->local, s);
    return a;
}

void associate_set_session(struct associate *a, struct session *s)
{
    udp_local_set_session(a->local, s);
}

const struct address *associate_bound(const struct associate *a)
{
    return udp_local_bound(a->local);
}

void associate_free(struct associate *a)
{
    if (!a)
        return;
    udp_local_free(a->local);
    free(a);
}
