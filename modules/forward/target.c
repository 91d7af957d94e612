/* The acceptor's side of OPEN: policy, connecting, and handing the stream to what moves its
 * bytes. Until then an `opening` is the stream's owner. */
#include "forward/target.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/text.h"
#include "forward/endpoint.h"
#include "forward/udp_target.h"
#include "net/dial.h"
#include "net/socket.h"
#include "session/session.h"

/* In a turn, of one: that a connect begins (where thousands go to one port, the system takes a
 * millisecond to find a port of its own for another), or that a socket closes; each with a line of
 * the log. */
#define WORK (8U << 10)

struct targets {
    struct loop *loop;
    char label[160];
    const struct target_pattern *allow;
    size_t allow_count;
    bool (*forbidden)(void *arg, const struct address *address); /* or NULL */
    void *forbidden_arg;
    struct list waiting;   /* openings whose turn has not come */
    struct list connected; /* and those whose streams have their targets */
    struct turns *turns;   /* or NULL: see targets_new */
    struct turn starting;  /* those that wait */
    struct turn review;    /* of those connected by a policy that has changed */
    struct list *next;     /* of connected: the next for that; connected itself: none */
    unsigned connecting;
    uint32_t connects;
    struct rate udp_opens;
    struct log_party by; /* whose the lines in the log are */
};

/* The owner of a stream until its target is connected, and a record of that target from then on, as
 * long as the stream lasts. */
struct opening {
    struct list link; /* on targets->waiting or connected, or on none */
    struct targets *targets;
    struct stream *stream;
    struct dial *dial;
    struct target target;
    bool own;        /* of this side's own configuration */
    bool no_servers; /* are asked for its name */
    /* The first datagrams, which come before the target is there. */
    struct fifo early;
    uint16_t early_len[EARLY_DATAGRAMS];
    unsigned early_count;
    char text[TARGET_TEXT_BYTES];
    struct address at; /* once it is connected */
    bool any_port;     /* its answers may come from any port of that */
    uint32_t id;       /* its stream's, from then on */
    uint32_t number;   /* among those that were connected */
    uint64_t begun_us;
    struct traffic traffic;
};

static void take_turn_to_start(struct turn *turn, const struct turn_limit *limit);
static void take_turn_to_review(struct turn *turn, const struct turn_limit *limit);

struct targets *targets_new(struct loop *loop, struct turns *turns, const char *label,
                            const struct log_party *by, const struct target_pattern *allow,
                            size_t allow_count)
{
    struct targets *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = loop;
    t->turns = turns;
    turn_init(&t->starting, take_turn_to_start);
    turn_init(&t->review, take_turn_to_review);
    t->by = *by;
    list_init(&t->waiting);
    list_init(&t->connected);
    t->next = &t->connected;
    t->allow = allow;
    t->allow_count = allow_count;
    targets_set_label(t, label);
    return t;
}

void targets_set_label(struct targets *t, const char *label)
{
    snprintf(t->label, sizeof t->label, "%s", label);
}

void targets_forbid(struct targets *t, bool (*forbidden)(void *arg, const struct address *address),
                    void *arg)
{
    t->forbidden = forbidden;
    t->forbidden_arg = arg;
}

void targets_free(struct targets *t)
{
    if (!t)
        return;
    turn_withdraw(&t->starting);
    turn_withdraw(&t->review);
    free(t);
}

static enum permission permits(const struct targets *t, const struct target *target)
{
    enum permission most = PERMIT_NEVER;
    for (size_t i = 0; i < t->allow_count; i++) {
        enum permission p = target_pattern_permits(&t->allow[i], target);
        most = p > most ? p : most;
    }
    return most;
}

static bool allows(void *arg, const struct address *address)
{
    const struct opening *o = arg;
    const struct targets *t = o->targets;
    if (o->target.kind != TARGET_UDP && t->forbidden && t->forbidden(t->forbidden_arg, address))
        return false;
    for (size_t i = 0; i < t->allow_count; i++)
        if (target_pattern_allows(&t->allow[i], &o->target, address))
            return true;
    return false;
}

static void start_others(struct targets *t);

static void opening_free(struct opening *o)
{
    struct targets *t = o->targets;
    if (o->dial) {
        dial_cancel(o->dial);
        t->connecting--;
    }
    if (t->next == &o->link)
        t->next = o->link.next;
    list_remove(&o->link);
    fifo_clear(&o->early);
    free(o);
    start_others(t);
}

/* The session is over: nothing more is connected for it; it is told of its own end soon. */
static bool is_over(const struct opening *o)
{
    return session_state(stream_session(o->stream)) != SESSION_ACTIVE;
}

static struct log_fields fields_of(const struct opening *o, const char *event)
{
    struct log_fields f = log_party_fields(&o->targets->by, event);
    f.target = o->text;
    f.stream = o->id;
    return f;
}

static void log_refusal(const struct opening *o, enum reset_code code, const char *text)
{
    struct targets *t = o->targets;
    struct log_fields f = fields_of(o, "stream_refused");
    char why[RESET_TEXT_BYTES];
    reset_to_text(why, code, text);
    f.stream = stream_id(o->stream);
    f.code = code;
    f.reason = text;
    if (o->own)
        log_caused_event(t->by.all, t->by.key, loop_now(t->loop), LOG_WARNING, &f,
                         "target %s at the client: %s", o->text, why);
    else
        log_caused_event(t->by.all, t->by.key, loop_now(t->loop), LOG_INFO, &f, "%s: %s: %s",
                         t->label, o->text, text);
}

/* Refuses the stream and says so in the log. */
static void refuse_stream(struct opening *o, enum reset_code code, const char *text)
{
    log_refusal(o, code, text);
    stream_reset(o->stream, code, text);
    opening_free(o);
}

/* The same whether the name was looked up or not, so that nobody learns what it is here. */
static void refuse_permission(struct opening *o, const char *for_log)
{
    log_refusal(o, RESET_NOT_PERMITTED, for_log);
    stream_reset(o->stream, RESET_NOT_PERMITTED, NOT_PERMITTED_TEXT);
    opening_free(o);
}

static enum reset_code code_of(enum dial_result result)
{
    static const enum reset_code codes[] = {
        [DIAL_NO_NAME] = RESET_NO_NAME,           [DIAL_REFUSED] = RESET_REFUSED,
        [DIAL_UNREACHABLE] = RESET_UNREACHABLE,   [DIAL_TIMED_OUT] = RESET_TIMEOUT,
        [DIAL_NOT_ALLOWED] = RESET_NOT_PERMITTED, [DIAL_INTERNAL] = RESET_INTERNAL,
    };
    return codes[result];
}

/* To a target at the agent: what this side has sent goes to the client. */
static void log_end(const struct opening *o, enum reset_code code, const char *text)
{
    const struct targets *t = o->targets;
    struct log_fields f = fields_of(o, "stream_ended");
    char totals[LOG_TOTALS_BYTES], why[RESET_TEXT_BYTES] = "";
    if (code)
        reset_to_text(why, code, text);
    f.code = code;
    f.reason = code ? why : NULL;
    f.counted = true;
    f.bytes_up = o->traffic.received;
    f.bytes_down = o->traffic.sent;
    f.duration_us = loop_now(t->loop) - o->begun_us;
    log_fields_totals(totals, &f);
    log_caused_event(t->by.all, t->by.key, loop_now(t->loop), LOG_INFO, &f,
                     "%s: %s: ended%s%s, stream %u, %s", t->label, o->text, code ? ": " : "", why,
                     o->id, totals);
}

/* The stream has ended, and what moved its bytes. */
static void on_ended(void *arg, enum reset_code code, const char *text)
{
    struct opening *o = arg;
    if (!o->own)
        log_end(o, code, text);
    opening_free(o);
}

/* True if the policy takes the target's answers from any of its ports. */
static bool takes_any_port(const struct opening *o, const struct address *address)
{
    const struct targets *t = o->targets;
    for (size_t i = 0; i < t->allow_count; i++)
        if (t->allow[i].any_port && target_pattern_allows(&t->allow[i], &o->target, address))
            return true;
    return false;
}

static bool still_allowed(struct opening *o)
{
    return o->own || (allows(o, &o->at) && (!o->any_port || takes_any_port(o, &o->at)));
}

static void end_forbidden(struct opening *o)
{
    static const char why[] = "no longer permitted by this agent's configuration";
    const struct targets *t = o->targets;
    struct log_fields f = fields_of(o, "stream_forbidden");
    f.reason = why;
    log_caused_event(t->by.all, t->by.key, loop_now(t->loop), LOG_INFO, &f, "%s: %s: %s, stream %u",
                     t->label, o->text, why, o->id);
    stream_cut(o->stream, RESET_NOT_PERMITTED, why);
}

/* True: it was the last. */
static bool review_next(struct turn *turn)
{
    struct targets *t = container_of(turn, struct targets, review);
    struct opening *o = container_of(t->next, struct opening, link);
    if (t->next == &t->connected)
        return true;
    t->next = o->link.next;
    if (!still_allowed(o))
        end_forbidden(o);
    return t->next == &t->connected;
}

static void take_turn_to_review(struct turn *turn, const struct turn_limit *limit)
{
    struct targets *t = container_of(turn, struct targets, review);
    turn_steps(t->turns, turn, limit, WORK, review_next);
}

void targets_set_policy(struct targets *t, const struct target_pattern *allow, size_t allow_count)
{
    t->allow = allow;
    t->allow_count = allow_count;
    t->next = t->connected.next;
    turn_ask(t->turns, &t->review);
}

/* The socket is the stream's owner from now on; false without memory or descriptors. */
static bool hand_over_connection(struct opening *o, int fd, const struct address *address)
{
    struct endpoint *e = endpoint_new(o->targets->loop, fd, address_is_unix(address), on_ended, o);
    if (!e)
        return false;
    socket_set_application(fd, address);
    stream_set_owner(o->stream, &endpoint_events, e);
    endpoint_start(e, o->stream);
    return true;
}

static void send_early(struct opening *o, struct udp_target *u)
{
    for (unsigned i = 0; i < o->early_count; i++) {
        const uint8_t *bytes = fifo_front_whole(&o->early, o->early_len[i]);
        if (!bytes)
            return;
        udp_target_send(u, view_of(bytes, o->early_len[i]));
        fifo_drop(&o->early, o->early_len[i]);
    }
}

static bool hand_over_datagrams(struct opening *o, int fd, const struct address *address)
{
    char label[sizeof o->targets->label + sizeof o->text + 2];
    struct udp_target *u;
    snprintf(label, sizeof label, "%s: %s", o->targets->label, o->text);
    o->any_port = takes_any_port(o, address);
    u = udp_target_new(o->targets->loop, fd, address, o->any_port, label, &o->targets->by, on_ended,
                       o);
    if (!u)
        return false;
    stream_set_owner(o->stream, &udp_target_events, u);
    udp_target_start(u, o->stream);
    send_early(o, u);
    return true;
}

static void log_opened(struct opening *o, const char *address)
{
    const struct targets *t = o->targets;
    bool datagrams = o->target.kind == TARGET_UDP;
    struct log_fields f;
    o->id = stream_id(o->stream);
    o->begun_us = loop_now(t->loop);
    f = fields_of(o, "stream_opened");
    f.address = address;
    log_caused_event(t->by.all, t->by.key, loop_now(t->loop), LOG_INFO, &f, "%s: %s: %s, stream %u",
                     t->label, o->text, datagrams ? "open for datagrams" : "connected", o->id);
}

static void connected(struct opening *o, int fd, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    struct stream *st = o->stream;
    bool datagrams = o->target.kind == TARGET_UDP;
    if (!o->own && !allows(o, address)) { /* since the connect began */
        socket_close_reset(fd);
        refuse_stream(o, RESET_NOT_PERMITTED, NOT_PERMITTED_TEXT);
        return;
    }
    if (!(datagrams ? hand_over_datagrams(o, fd, address) : hand_over_connection(o, fd, address))) {
        socket_close_reset(fd);
        refuse_stream(o, RESET_INTERNAL, NO_MEMORY_TEXT);
        return;
    }
    address_to_text(text, address);
    log_opened(o, text);
    o->at = *address;
    fifo_clear(&o->early);
    o->number = ++o->targets->connects;
    list_move(&o->targets->connected, &o->link);
    start_others(o->targets);
    stream_accept(st, text);
}

/* The address that failed last, and ": "; nothing where the target's own text has it. */
static void name_address(char out[ADDRESS_TEXT_BYTES + 2], const struct opening *o,
                         const struct address *address)
{
    char at[ADDRESS_TEXT_BYTES] = "";
    if (address->len > 0)
        address_to_text(at, address);
    snprintf(out, ADDRESS_TEXT_BYTES + 2, "%s: ", at);
    if (!at[0] || strstr(o->text, at))
        out[0] = '\0';
}

static void refuse_dial(struct opening *o, enum dial_result result, const struct address *address,
                        const char *why)
{
    char at[ADDRESS_TEXT_BYTES + 2], text[512];
    name_address(at, o, address);
    snprintf(text, sizeof text, "%s%s", at, why);
    if (result == DIAL_NOT_ALLOWED)
        refuse_permission(o, address->len > 0 ? text : NOT_PERMITTED_TEXT);
    else
        refuse_stream(o, code_of(result), text);
}

static void dial_done(void *arg, enum dial_result result, int fd, const struct address *address,
                      const char *text)
{
    struct opening *o = arg;
    o->dial = NULL;
    o->targets->connecting--;
    if (result == DIAL_OK && is_over(o))
        socket_close_reset(fd);
    else if (result == DIAL_OK)
        connected(o, fd, address);
    else if (!is_over(o))
        refuse_dial(o, result, address, text);
}

static bool start(struct opening *o)
{
    bool path = o->target.kind == TARGET_UNIX;
    struct dial_request request = {
        .host = path ? o->text : o->target.at.host, /* "unix:/path" */
        .port = o->target.at.port,
        .owner = o->targets,
        .no_servers = o->no_servers,
        .datagrams = o->target.kind == TARGET_UDP,
        .timeout_us = TARGET_CONNECT_S * CLOCK_US_PER_S,
        .allow = o->own ? NULL : allows,
        .done = dial_done,
        .arg = o,
    };
    o->dial = dial_start(o->targets->loop, &request);
    if (o->dial)
        o->targets->connecting++;
    return o->dial != NULL;
}

static bool may_start(const struct targets *t)
{
    return !list_empty(&t->waiting) && t->connecting < CONNECTS_IN_PROGRESS &&
           !is_over(container_of(t->waiting.next, struct opening, link));
}

/* False: it was refused, and with it the next one was started, or has asked for its turn. */
static bool start_first(struct targets *t)
{
    struct opening *o = container_of(t->waiting.next, struct opening, link);
    list_remove(&o->link);
    if (start(o))
        return true;
    refuse_stream(o, RESET_INTERNAL, NO_MEMORY_TEXT);
    return false;
}

/* True: nothing is left that may start. */
static bool start_next(struct turn *turn)
{
    struct targets *t = container_of(turn, struct targets, starting);
    return !may_start(t) || !start_first(t) || !may_start(t);
}

static void take_turn_to_start(struct turn *turn, const struct turn_limit *limit)
{
    struct targets *t = container_of(turn, struct targets, starting);
    turn_steps(t->turns, turn, limit, WORK, start_next);
}

static void start_others(struct targets *t)
{
    bool goes_on = may_start(t);
    if (t->turns && goes_on)
        turn_ask(t->turns, &t->starting);
    while (!t->turns && goes_on)
        goes_on = start_first(t) && may_start(t);
}

/* The peer gave up, or the session ended. */
static void on_reset(void *owner, enum reset_code code, const char *text)
{
    (void)code;
    (void)text;
    opening_free(owner);
}

static ssize_t pull(void *owner, struct iovec *piece, int pieces)
{
    (void)owner;
    (void)piece;
    (void)pieces;
    return STREAM_PULL_NONE;
}

static size_t push(void *owner, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)data;
    (void)len;
    return 0;
}

/* Keeps the first few: a question need not be asked twice because its target was just being looked
 * up. */
static void on_datagram(void *owner, struct view bytes)
{
    struct opening *o = owner;
    if (o->early_count == EARLY_DATAGRAMS || o->early.bytes + bytes.len > EARLY_DATAGRAM_BYTES ||
        !fifo_append(&o->early, bytes.data, bytes.len))
        return;
    o->early_len[o->early_count++] = (uint16_t)bytes.len;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events opening_events = {
    .pull = pull,
    .push = push,
    .on_datagram = on_datagram,
    .on_eof = on_nothing,
    .on_reset = on_reset,
    .on_done = on_nothing,
};

/* The stream's owner from now on. NULL: it was reset. */
static struct opening *opening_new(struct targets *t, struct stream *stream)
{
    struct opening *o = calloc(1, sizeof *o);
    if (!o) {
        stream_reset(stream, RESET_INTERNAL, NO_MEMORY_TEXT);
        return NULL;
    }
    list_init(&o->link);
    o->targets = t;
    o->stream = stream;
    stream_set_owner(stream, &opening_events, o);
    stream_count(stream, &o->traffic);
    return o;
}

void targets_connect(struct targets *t, struct stream *stream, const struct target *target)
{
    struct opening *o = opening_new(t, stream);
    if (!o)
        return;
    o->own = true;
    o->target = *target;
    target_to_text(o->text, target);
    list_append(&t->waiting, &o->link);
    start_others(t);
}

void targets_open(struct targets *t, struct stream *stream, struct view target)
{
    struct error why = {0};
    struct opening *o = opening_new(t, stream);
    enum permission permission;
    if (!o)
        return;
    text_clean(o->text, sizeof o->text, target);
    if (!value_target(&o->target, o->text, &why))
        refuse_stream(o, RESET_UNSUPPORTED, why.text);
    else if ((permission = permits(t, &o->target)) == PERMIT_NEVER)
        refuse_permission(o, NOT_PERMITTED_TEXT);
    else if (o->target.kind == TARGET_UDP &&
             !rate_take(&t->udp_opens, loop_now(t->loop), UDP_OPEN_RATE_PER_S, UDP_OPEN_BURST))
        refuse_stream(o, RESET_LIMIT, "too many streams of datagrams in a short time");
    else {
        o->no_servers = permission == PERMIT_KNOWN_HERE;
        list_append(&t->waiting, &o->link);
        start_others(t);
    }
}

bool targets_tell(const struct targets *t, uint32_t after,
                  bool (*tell)(void *arg, const struct target_facts *f), void *arg)
{
    list_each (link, &t->connected) {
        const struct opening *o = container_of(link, struct opening, link);
        const struct target_facts f = {.number = o->number,
                                       .target = o->text,
                                       .at = &o->at,
                                       .stream = o->id,
                                       .begun_us = o->begun_us,
                                       .traffic = o->traffic};
        if (o->number > after && !tell(arg, &f))
            return false;
    }
    return true;
}
