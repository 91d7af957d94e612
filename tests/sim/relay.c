/* The relay: carries the handshake's messages, some of them late, twice or never, and joins
 * circuits. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

#define HANDSHAKE_LIMIT_US (10 * CLOCK_US_PER_S)

static void letter_end(struct letter *l)
{
    event_cancel(&l->world->timeline, &l->arrive);
    list_remove(&l->link);
    if (l->path)
        l->path->wanted--;
    free(l);
}

static bool is_down(const struct world *w)
{
    return w->relay.down_until_us > w->timeline.now_us;
}

/* The client's hop is gone: it closes its side of what was joined, or never was. */
static void answer_client(struct letter *l)
{
    struct world *w = l->world;
    struct client *c = &w->client;
    bool wanted = l->attempt && l->attempt == c->attempt;
    if (wanted && party_puts_off(&c->party, &l->arrive))
        return;
    if (wanted && !is_down(w))
        client_answered(c, l);
    if (l->path && !l->path->end[CLIENT].open)
        end_tell(&l->path->end[AGENT], w->timeline.now_us + l->path->pipe[CLIENT].settings.delay_us,
                 "the client is gone");
    letter_end(l);
}

static void on_arrive(struct event *e)
{
    struct letter *l = container_of(e, struct letter, arrive);
    struct world *w = l->world;
    if (l->answer) {
        answer_client(l);
        return;
    }
    if (party_puts_off(&w->agent.party, e))
        return;
    if (!is_down(w))
        agent_offered(&w->agent, l);
    letter_end(l);
}

static void send(struct world *w, const struct letter *what)
{
    struct timeline *t = &w->timeline;
    struct letter *l = malloc(sizeof *l);
    uint64_t late = w->lossy && !w->calm && chance(t, w->lossy) == 0
                        ? chance_scaled(t, CLOCK_US_PER_MS, 30 * CLOCK_US_PER_S)
                        : 0;
    if (!l)
        abort();
    *l = *what;
    l->world = w;
    if (l->path)
        l->path->wanted++;
    l->arrive = (struct event){.run = on_arrive};
    list_append(&w->relay.letters, &l->link);
    event_set(t, &l->arrive, t->now_us + 2 * w->pipe.delay_us + late);
}

static void send_by_chance(struct world *w, const struct letter *l)
{
    bool lossy = w->lossy && !w->calm;
    if (lossy && chance(&w->timeline, w->lossy) == 0) {
        note(&w->timeline, "relay", "loses a message", l->answer, l->attempt);
        world_fault(w, w->timeline.now_us);
        return;
    }
    send(w, l);
    if (lossy && !l->answer && chance(&w->timeline, w->lossy) == 0) {
        note(&w->timeline, "relay", "sends an offer twice", l->attempt, 0);
        send(w, l);
    }
}

void relay_connect(struct world *w, const uint8_t *message1, size_t len)
{
    struct letter l = {.talk = w->client.talk, .attempt = w->client.attempt, .len = len};
    if (is_down(w)) { /* refused at once, or nobody answers */
        event_set(&w->timeline, &w->client.answer_limit,
                  w->timeline.now_us +
                      (chance(&w->timeline, 2) ? 2 * w->pipe.delay_us : HANDSHAKE_LIMIT_US));
        return;
    }
    memcpy(l.bytes, message1, len);
    if (chance(&w->timeline, 2)) {
        w->relay.recorded = l;
        w->relay.recorded.attempt = 0;
    }
    send_by_chance(w, &l);
}

void relay_answer(struct world *w, const uint8_t *message2, size_t len, unsigned attempt,
                  struct path *path)
{
    struct letter l = {.answer = true, .attempt = attempt, .path = path, .len = len};
    memcpy(l.bytes, message2, len);
    send_by_chance(w, &l);
}

void relay_replay(struct world *w)
{
    if (w->relay.recorded.len)
        send(w, &w->relay.recorded);
}

void relay_restart(struct world *w, uint64_t down_us)
{
    w->relay.down_until_us = w->timeline.now_us + down_us;
    list_each (link, &w->paths)
        path_break(w, container_of(link, struct path, link));
    list_each (letter, &w->relay.letters)
        letter_end(container_of(letter, struct letter, link));
}

void relay_begin(struct relay *r)
{
    r->down_until_us = 0;
    r->recorded.len = 0;
    list_init(&r->letters);
}

void relay_end(struct relay *r)
{
    list_each (letter, &r->letters)
        letter_end(container_of(letter, struct letter, link));
}
