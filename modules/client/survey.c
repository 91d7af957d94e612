/* A hop to each relay, and the same question on all of them. It decides nothing about answers. */
#include "client/survey.h"

#include <stdlib.h>

#include "base/clock.h"
#include "hop/backoff.h"
#include "hop/outgoing.h"

#define ANSWER_S 20

/* One relay that is asked. */
struct asked {
    struct outgoing hop;
    struct survey *survey;
    size_t relay;
    uint64_t opened_us; /* when it took the question */
    bool listed;        /* its list is complete */
    struct backoff backoff;
    struct timer retry;
};

struct survey {
    struct loop *loop;
    struct survey_request request;
    struct asked each[];
};

static struct asked *asked_of(struct hop *h)
{
    return container_of(outgoing_of(h), struct asked, hop);
}

static void on_open(struct hop *h, const struct info *info)
{
    struct asked *a = asked_of(h);
    const struct survey_request *q = &a->survey->request;
    uint8_t body[QUERY_MAX_BYTES + 2];
    size_t len = query_encode(view_of_string(q->query), body, sizeof body);
    (void)info;
    outgoing_opened(&a->hop);
    a->opened_us = loop_now(a->survey->loop);
    a->listed = false;
    if (!len) {
        hop_fail(h, CODE_UNSUPPORTED, "query longer than %d bytes", QUERY_MAX_BYTES);
        return;
    }
    hop_driver_set_deadline(&a->hop.driver, a->opened_us + ANSWER_S * CLOCK_US_PER_S);
    hop_send(h, q->watch ? MESSAGE_WATCH : MESSAGE_LIST, view_of(body, len));
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct asked *a = asked_of(h);
    const struct survey_request *q = &a->survey->request;
    struct agent_entry entry;
    uint16_t unsupported;
    if (type == MESSAGE_AGENT && (!a->listed || q->watch)) {
        if (!agent_entry_decode(&entry, body, &unsupported))
            return hop_fail(h, CODE_PROTOCOL, "malformed list from the relay");
        q->events->on_agent(q->arg, a->relay, &entry);
    } else if (type == MESSAGE_END && !a->listed) {
        a->listed = true;
        hop_driver_set_deadline(&a->hop.driver, CLOCK_NEVER);
        q->events->on_complete(q->arg, a->relay);
    } else if (type != MESSAGE_INFO && type != MESSAGE_HEAD) {
        return hop_fail(h, CODE_PROTOCOL, "%s was not asked for", message_name(type));
    }
    return true;
}

static const struct hop_handler handler = {.on_open = on_open, .on_message = on_message};

/* As the outgoing hop tells it; after the hop was open its error names no relay. */
static struct wire_error error_of(const struct outgoing *o)
{
    const struct wire_error *said = hop_error(&o->driver.hop);
    struct wire_error e = {0};
    char text[OUTGOING_REFUSAL_BYTES];
    outgoing_refusal_text(text, o);
    if (o->open)
        wire_error_set(&e, said->code, "relay %s: %s", o->relay, said->text);
    else if (o->driver.hop.refused_by_peer)
        wire_error_set(&e, said->code, "%s", text);
    else
        e = *said;
    return e;
}

static void on_ended(struct outgoing *o)
{
    struct asked *a = container_of(o, struct asked, hop);
    struct survey *s = a->survey;
    struct wire_error e = error_of(o);
    uint64_t now = loop_now(s->loop), pause_us = o->driver.hop.retry_s * CLOCK_US_PER_S;
    uint64_t least_us = backoff_next(&a->backoff, o->open ? now - a->opened_us + 1 : 0);
    outgoing_close(o);
    if (s->request.watch)
        timer_set(s->loop, &a->retry, now + (pause_us > least_us ? pause_us : least_us));
    s->request.events->on_failed(s->request.arg, a->relay, &e);
}

static bool start(struct asked *a)
{
    const struct survey_request *q = &a->survey->request;
    const struct client_relay *relay = &q->config->relays[a->relay];
    struct outgoing_request request = {
        .host = relay->address.host,
        .port = relay->address.port,
        .party = q->party,
        .handler = &handler,
        .role = ROLE_CLIENT,
        .peer_key = relay->public_key,
        .on_ended = on_ended,
    };
    return outgoing_start(&a->hop, a->survey->loop, &request);
}

static void on_retry(struct timer *timer)
{
    struct asked *a = container_of(timer, struct asked, retry);
    struct loop *loop = a->survey->loop;
    if (!start(a)) /* without memory now, perhaps with some later */
        timer_set(loop, &a->retry, loop_now(loop) + backoff_next(&a->backoff, 0));
}

struct survey *survey_new(struct loop *loop, const struct survey_request *request)
{
    size_t count = request->config->relay_count;
    struct survey *s = calloc(1, sizeof *s + count * sizeof s->each[0]);
    if (!s)
        return NULL;
    s->loop = loop;
    s->request = *request;
    for (size_t i = 0; i < count; i++) {
        struct asked *a = &s->each[i];
        a->survey = s;
        a->relay = i;
        a->retry.on_fire = on_retry;
        if (i != request->without && !start(a)) {
            survey_free(s);
            return NULL;
        }
    }
    return s;
}

void survey_free(struct survey *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->request.config->relay_count; i++) {
        timer_cancel(s->loop, &s->each[i].retry);
        outgoing_close(&s->each[i].hop);
    }
    free(s);
}
