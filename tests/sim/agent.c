/* The agent's role: sessions and their circuits, as modules/agent/service.c. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

static struct timeline *time_of(struct service *v)
{
    return &v->world->timeline;
}

static void note_agent(struct service *v, const char *what, uint64_t n)
{
    note(time_of(v), "agent", what, n, v->session->receive_position);
}

static void circuit_end(struct service *v, struct end *e)
{
    if (v->current == e)
        v->current = NULL;
    if (v->candidate == e)
        v->candidate = NULL;
    end_close(e);
}

static void service_free(struct service *v)
{
    portions_stop(&v->ends);
    session_free(v->session);
    if (v->started)
        talk_over(v->talk, AGENT);
    list_remove(&v->link);
    world_progress(v->world);
    free(v);
}

static void on_streams_ended(struct portions *p)
{
    service_free(container_of(p, struct service, ends));
}

static void service_end(struct service *v, const char *why)
{
    note_agent(v, why, 0);
    event_cancel(time_of(v), &v->give_up);
    event_cancel(time_of(v), &v->decide);
    if (v->started)
        v->talk->excused = true;
    if (v->candidate)
        circuit_end(v, v->candidate);
    if (v->current)
        circuit_end(v, v->current);
    list_move(&v->world->agent.over, &v->link);
    if (portions_begin(&v->ends, time_of(v), v->session, on_streams_ended))
        service_free(v);
}

static void on_give_up(struct event *e)
{
    struct service *v = container_of(e, struct service, give_up);
    struct world *w = v->world;
    const struct client *c = &w->client;
    if (party_puts_off(&w->agent.party, e))
        return;
    if (c->has_session && memcmp(c->session->id, v->session->id, SESSION_ID_BYTES) == 0)
        world_expect(w, !world_had_time(w), "no circuit came though there was time");
    if (!world_had_time(w)) /* the client may be about to hear of this session */
        v->talk->excused = true;
    w->totals.windows_over++;
    service_end(v, "resume window over");
}

static void on_change(struct end *e)
{
    struct service *v = e->owner;
    bool current = e == v->current;
    world_check_end(v->world, e);
    if (current && v->session->state == SESSION_CLOSED)
        end_flush(e); /* the ACK of its CLOSE */
    if (v->session->error.code) {
        service_end(v, "session over");
        return;
    }
    note_agent(v, "circuit ends", e->path->serial);
    circuit_end(v, e);
    if (v->session->state == SESSION_ACTIVE && !v->current && !v->give_up.place)
        event_set(time_of(v), &v->give_up,
                  time_of(v)->now_us + v->session->settings.resume_window_s * CLOCK_US_PER_S);
    else if (current)
        service_end(v, "closing");
}

static void tell(struct service *v, enum access_state state, const char *text)
{
    struct access_frame access = {.state = (uint8_t)state, .text = view_of_string(text)};
    session_tell_access(v->session, &access);
}

static void grant(struct service *v)
{
    v->granted = true;
    v->world->totals.granted++;
    v->world->totals.granted_away += v->current == NULL;
    note_agent(v, "grants", v->current != NULL);
    session_set_waiting(v->session, false);
    tell(v, ACCESS_GRANTED, "");
}

static void close_current(struct service *v, enum code code, const char *why)
{
    session_close(v->session, code, why);
    portions_begin(&v->ends, time_of(v), v->session, NULL);
}

static void deny(struct service *v)
{
    v->world->totals.denied++;
    v->talk->excused = true;
    note_agent(v, "denies", v->current != NULL);
    if (v->current)
        close_current(v, CODE_DENIED, "not today");
    else
        service_end(v, "denied without a circuit");
}

static void on_decide(struct event *e)
{
    struct service *v = container_of(e, struct service, decide);
    struct world *w = v->world;
    if (party_puts_off(&w->agent.party, e) || v->session->state != SESSION_ACTIVE)
        return;
    world_progress(w);
    if (chance(&w->timeline, 8))
        grant(v);
    else
        deny(v);
}

/* The request is there from START on; it may have been approved in that moment. */
static void ask_for(struct service *v)
{
    struct timeline *t = time_of(v);
    if (chance(t, 8) == 0) {
        grant(v);
        return;
    }
    tell(v, ACCESS_WAITING, "7F3K");
    event_set(t, &v->decide, t->now_us + chance_scaled(t, CLOCK_US_PER_MS, 30 * CLOCK_US_PER_S));
}

static void on_move(struct session *s, struct circuit *circuit)
{
    struct service *v = s->owner;
    struct world *w = v->world;
    struct end *before = v->current;
    v->current = container_of(circuit, struct end, circuit);
    if (v->candidate == v->current)
        v->candidate = NULL;
    if (v->started)
        w->totals.resumes++;
    else
        w->totals.sessions++;
    w->totals.beside += before != NULL;
    w->totals.overtaken += s->receive_position > v->current->told_position;
    if (!v->started && !v->granted)
        ask_for(v);
    v->started = true;
    note_agent(v, "session moves to circuit", circuit->number);
    talk_tell_head(v->talk, AGENT, s);
    world_progress(v->world);
    event_cancel(time_of(v), &v->give_up);
    if (before)
        circuit_end(v, before);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct service *v = s->owner;
    world_expect(v->world, v->granted, "a stream before the grant");
    talk_answer(v->talk, AGENT, &v->world->agent.party, stream, target);
}

static void on_listen(struct session *s, struct stream *listener, struct view address)
{
    struct service *v = s->owner;
    (void)address;
    world_expect(v->world, v->granted, "a listener before the grant");
    talk_listen(v->talk, &v->world->agent.party, listener);
}

static void on_room(struct session *s)
{
    struct service *v = s->owner;
    talk_room(v->talk, AGENT);
}

static void on_wake(struct session *s)
{
    struct service *v = s->owner;
    if (v->current)
        end_wake(v->current);
}

static void on_stream(struct session *s, const struct stream_report *r)
{
    struct service *v = s->owner;
    world_expect(v->world, v->granted, "the client asks for something before the grant");
    talk_report(v->talk, AGENT, r);
}

static void on_head(struct session *s, struct view head)
{
    struct service *v = s->owner;
    talk_hear_head(v->talk, AGENT, head);
}

static const struct session_events events = {.on_stream = on_stream,
                                             .on_open = on_open,
                                             .on_listen = on_listen,
                                             .on_wake = on_wake,
                                             .on_move = on_move,
                                             .on_room = on_room,
                                             .on_head = on_head};

static struct service *service_new(struct world *w, struct talk *talk)
{
    struct service *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    v->session = session_new(&w->settings[AGENT], &events, v);
    if (!v->session)
        abort();
    v->world = w;
    v->talk = talk;
    v->give_up.run = on_give_up;
    v->decide.run = on_decide;
    v->granted = !w->asks;
    session_set_waiting(v->session, w->asks);
    memset(v->session->id, 0, SESSION_ID_BYTES);
    store_be64(v->session->id, mix64(chance(&w->timeline, UINT64_MAX)));
    list_append(&w->agent.services, &v->link);
    return v;
}

/* The session the message is for, new or resumed; NULL with a code. */
static struct service *settle(struct agent *a, const struct letter *offer,
                              const struct session_hello *hello, enum code *code)
{
    *code = CODE_OK;
    if (bytes_are_zero(hello->session_id, SESSION_ID_BYTES))
        return service_new(a->world, offer->talk);
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, link);
        if (memcmp(v->session->id, hello->session_id, SESSION_ID_BYTES) != 0)
            continue;
        *code = session_may_resume(v->session, hello->circuit) ? CODE_OK : CODE_STALE;
        return *code ? NULL : v;
    }
    *code = CODE_NO_SESSION;
    return NULL;
}

static struct path *accept_offer(struct service *v, const struct session_hello *hello)
{
    struct path *path = world_path(v->world, hello->circuit);
    struct end *e = &path->end[AGENT];
    if (v->candidate)
        circuit_end(v, v->candidate);
    session_take_hello(v->session, hello);
    if (!end_open(e, &v->world->agent.party, v->session, v, hello->receive_position))
        abort();
    e->told_position = v->session->receive_position;
    v->candidate = e;
    note_agent(v, "accepts circuit", hello->circuit);
    end_settle(e);
    return path;
}

void agent_offered(struct agent *a, const struct letter *offer)
{
    struct session_welcome welcome = {.version = PROTOCOL_VERSION, .text = view_of_string("")};
    struct session_hello hello;
    struct service *v;
    struct path *path = NULL;
    enum code code;
    uint8_t payload[MESSAGE_BYTES];
    size_t len;
    uint16_t unsupported;
    bool good = session_hello_decode(&hello, view_of(offer->bytes, offer->len), &unsupported);
    world_expect(a->world, good, "message 1 is not well formed");
    if (a->down_until_us > a->world->timeline.now_us)
        return;
    v = settle(a, offer, &hello, &code);
    welcome.code = code;
    if (v) {
        session_fill_welcome(v->session, &welcome);
        path = accept_offer(v, &hello);
    } else {
        note(&a->world->timeline, "agent", "refuses", code, hello.circuit);
    }
    len = session_welcome_encode(&welcome, payload, sizeof payload);
    relay_answer(a->world, payload, len, offer->attempt, path);
}

bool agent_serves(const struct agent *a, const uint8_t id[SESSION_ID_BYTES])
{
    list_each (link, &a->services) {
        const struct service *v = container_of(link, struct service, link);
        if (memcmp(v->session->id, id, SESSION_ID_BYTES) == 0 &&
            v->session->state == SESSION_ACTIVE)
            return true;
    }
    return false;
}

void agent_crash(struct agent *a)
{
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, link);
        v->talk->excused = true;
        a->world->totals.crashes++;
        service_end(v, "crashes");
    }
    list_each (link, &a->over)
        service_free(container_of(link, struct service, link));
}

void agent_close(struct agent *a)
{
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, link);
        v->talk->excused = true;
        if (v->current)
            close_current(v, CODE_REVOKED, "no longer allowed");
        else
            service_end(v, "closes it without a circuit");
    }
}

void agent_begin(struct agent *a, struct world *w)
{
    *a = (struct agent){
        .party = {.t = &w->timeline, .name = "agent", .on_change = on_change},
        .world = w,
    };
    list_init(&a->services);
    list_init(&a->over);
}
