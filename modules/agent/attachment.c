/* A session's circuits as objects. When one carries the session, and the consequences of its end,
 * are decided in agent/service.c. */
#include "agent/attachment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_change(struct circuit_driver *driver)
{
    struct attachment *t = container_of(driver, struct attachment, driver);
    t->events->on_change(t);
}

struct attachment *attachment_new(struct loop *loop, const struct attachment_events *events,
                                  struct service *v, struct session *session, struct turns *turns,
                                  const struct session_hello *hello, const char *label,
                                  const uint8_t relay_key[KEY_BYTES])
{
    struct attachment *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->driver.on_change = on_change;
    t->driver.turns = turns;
    t->loop = loop;
    t->events = events;
    t->service = v;
    t->session = session;
    t->number = hello->circuit;
    t->told_position = hello->receive_position;
    snprintf(t->label, sizeof t->label, "%s", label);
    memcpy(t->relay_key, relay_key, KEY_BYTES);
    return t;
}

static void bury(struct deferred *burial)
{
    free(container_of(burial, struct attachment, burial));
}

void attachment_end(struct attachment *t)
{
    cipher_wipe(&t->send);
    cipher_wipe(&t->receive);
    t->service = NULL;
    t->session = NULL;
    if (!t->attached)
        return;
    circuit_driver_close(&t->driver);
    t->burial.run = bury;
    loop_defer(t->loop, &t->burial);
}

void attachment_attach(struct attachment *t, struct carrier *carrier)
{
    if (t->session && circuit_init(&t->driver.circuit, t->session, &t->send, &t->receive, t->number,
                                   t->told_position, loop_now(t->loop))) {
        t->attached = circuit_driver_open(&t->driver, t->loop, carrier);
        if (t->attached)
            return;
        circuit_free(&t->driver.circuit);
    } else {
        carrier_close(carrier);
    }
    attachment_drop(t);
}

void attachment_drop(struct attachment *t)
{
    struct service *v = t->service;
    attachment_end(t);
    if (v)
        t->events->on_dropped(v, t);
    free(t);
}
