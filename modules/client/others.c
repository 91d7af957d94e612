/* A survey of the relays where an agent is not waited for, for as long as that takes. */
#include "client/others.h"

#include "base/log.h"
#include "client/survey.h"

static void tell(struct deferred *deferred)
{
    struct others *o = container_of(deferred, struct others, tell);
    o->found(o->arg, o->found_at);
}

static void on_listed(void *arg, size_t relay, const struct agent_entry *entry)
{
    struct others *o = arg;
    bool is_there = entry->state == AGENT_ONLINE || entry->state == AGENT_DUPLICATE;
    if (!is_there || !view_equal(entry->name, view_of_string(o->agent)))
        return;
    o->found_at = relay;
    loop_defer(o->loop, &o->tell); /* a survey's events cannot free it */
}

static void on_complete(void *arg, size_t relay)
{
    (void)arg;
    (void)relay;
}

static void on_failed(void *arg, size_t relay, const struct wire_error *error)
{
    (void)arg;
    (void)relay;
    log_debug("%s", error->text);
}

static const struct survey_events events = {
    .on_agent = on_listed, .on_complete = on_complete, .on_failed = on_failed};

void others_ask(struct others *o, size_t waited_at)
{
    struct survey_request request = {
        .config = o->config,
        .party = o->party,
        .query = o->agent,
        .watch = true,
        .without = waited_at,
        .events = &events,
        .arg = o,
    };
    if (o->survey)
        return; /* a relay may say twice that the agent is not there */
    o->tell.run = tell;
    o->survey = survey_new(o->loop, &request);
}

void others_leave(struct others *o)
{
    loop_undefer(&o->tell);
    survey_free(o->survey);
    o->survey = NULL;
}
