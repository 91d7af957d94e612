/* Checks a client's LISTEN, listens, and opens a stream for each connection. */
#include "forward/remote_listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"
#include "forward/endpoint.h"
#include "forward/intake.h"
#include "forward/target.h"
#include "net/socket.h"
#include "session/session.h"

#define PORTS_TRIED 1024

struct remote_listeners {
    struct loop *loop;
    char label[160];
    const struct target_pattern *allow;
    size_t allow_count;
    bool (*forbidden)(void *arg, const struct address *address); /* or NULL */
    void *forbidden_arg;
    unsigned most;
    remote_listeners_taken *taken; /* or NULL */
    void *taken_arg;
    bool (*may_connect)(void *arg); /* or NULL */
    void *may_connect_arg;
    struct list all;
    struct list connections; /* to them, and to those that have ended */
    uint32_t connects;
    struct rate listens;
    struct log_party by; /* whose the lines in the log are */
    struct log_seldom full;
};

/* One LISTEN that was granted. */
struct remote_listener {
    struct list link;
    struct remote_listeners *set;
    struct stream *listener;
    struct intake *intake;
};

/* A connection to a listener. */
struct remote_connection {
    struct list link;
    struct remote_listeners *set;
    struct stream *stream;
    struct address at; /* the listener's */
    char peer[ADDRESS_TEXT_BYTES];
    uint32_t number;
    uint64_t begun_us;
    struct traffic traffic;
};

struct remote_listeners *remote_listeners_new(struct loop *loop, const char *label,
                                              const struct log_party *by,
                                              const struct target_pattern *allow,
                                              size_t allow_count, unsigned most)
{
    struct remote_listeners *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->by = *by;
    r->allow = allow;
    r->allow_count = allow_count;
    r->most = most;
    list_init(&r->all);
    list_init(&r->connections);
    remote_listeners_set_label(r, label);
    return r;
}

void remote_listeners_forbid(struct remote_listeners *r,
                             bool (*forbidden)(void *arg, const struct address *address), void *arg)
{
    r->forbidden = forbidden;
    r->forbidden_arg = arg;
}

void remote_listeners_on_taken(struct remote_listeners *r, remote_listeners_taken *taken, void *arg)
{
    r->taken = taken;
    r->taken_arg = arg;
}

void remote_listeners_gate(struct remote_listeners *r, bool (*may_connect)(void *arg), void *arg)
{
    r->may_connect = may_connect;
    r->may_connect_arg = arg;
}

void remote_listeners_set_label(struct remote_listeners *r, const char *label)
{
    snprintf(r->label, sizeof r->label, "%s", label);
}

void remote_listeners_free(struct remote_listeners *r)
{
    free(r);
}

/* ---- Connections. ---- */

static bool may_take(void *owner)
{
    const struct remote_listener *l = owner;
    struct session *s = stream_session(l->listener);
    if (session_has_circuit(s) && session_may_open(s))
        return true;
    if (session_is_full(s))
        log_seldom(&l->set->full, loop_now(l->set->loop), LOG_WARNING,
                   "%s: %u connections to the client's listeners are open, the most of a session: "
                   "no other until one ends",
                   l->set->label, session_places(s));
    return false;
}

/* To a listener of the client's: what this side has sent goes to the client. */
static void log_end(const struct remote_connection *c, enum reset_code code, const char *text)
{
    const struct remote_listeners *r = c->set;
    struct log_fields f = log_party_fields(&r->by, "connection_ended");
    char totals[LOG_TOTALS_BYTES], at[ADDRESS_TEXT_BYTES], why[RESET_TEXT_BYTES] = "";
    if (code)
        reset_to_text(why, code, text);
    address_to_text(at, &c->at);
    f.target = at;
    f.address = c->peer;
    f.code = code;
    f.reason = code ? why : NULL;
    f.counted = true;
    f.bytes_up = c->traffic.received;
    f.bytes_down = c->traffic.sent;
    f.duration_us = loop_now(r->loop) - c->begun_us;
    log_fields_totals(totals, &f);
    log_caused_event(r->by.all, r->by.key, loop_now(r->loop), LOG_INFO, &f,
                     "%s: %s: connection from %s ended%s%s, %s", r->label, at, c->peer,
                     code ? ": " : "", why, totals);
}

static void connection_ended(void *arg, enum reset_code code, const char *text)
{
    struct remote_connection *c = arg;
    if (c->stream)
        log_end(c, code, text);
    list_remove(&c->link);
    free(c);
}

/* Its endpoint is the stream's owner to be. NULL without memory or descriptors. */
static struct endpoint *new_connection(struct remote_listener *l, int fd,
                                       const struct address *peer, struct remote_connection **out)
{
    struct endpoint *e;
    struct remote_connection *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    e = endpoint_new(l->set->loop, fd, address_is_unix(peer), connection_ended, c);
    if (!e) {
        free(c);
        return NULL;
    }
    c->set = l->set;
    c->at = *intake_bound(l->intake);
    c->begun_us = loop_now(l->set->loop);
    c->number = ++l->set->connects;
    list_append(&l->set->connections, &c->link);
    *out = c;
    return e;
}

static void take(void *owner, int fd, const struct address *peer)
{
    struct remote_listener *l = owner;
    const struct remote_listeners *r = l->set;
    struct remote_connection *c;
    bool may = !r->may_connect || r->may_connect(r->may_connect_arg);
    struct endpoint *e = may ? new_connection(l, fd, peer, &c) : NULL;
    struct log_fields f = log_party_fields(&r->by, "connection_opened");
    struct stream *st;
    if (!e) {
        socket_close_reset(fd);
        return;
    }
    address_to_text(c->peer, peer);
    st = stream_open_for(l->listener, c->peer, &endpoint_events, e);
    if (!st) {
        endpoint_drop(e);
        connection_ended(c, 0, "");
        return;
    }
    c->stream = st;
    stream_count(st, &c->traffic);
    f.target = intake_address(l->intake);
    f.address = c->peer;
    log_caused_event(r->by.all, r->by.key, loop_now(r->loop), LOG_INFO, &f,
                     "%s: %s: connection from %s", r->label, f.target, c->peer);
    endpoint_start(e, st);
}

static const struct intake_events intake_events = {.may_take = may_take, .take = take};

void remote_listeners_resume(struct remote_listeners *r)
{
    list_each (link, &r->all)
        intake_go(container_of(link, struct remote_listener, link)->intake);
}

/* ---- The end of a listener. ---- */

static void end(struct remote_listener *l)
{
    const struct remote_listeners *r = l->set;
    struct log_fields f = log_party_fields(&r->by, "listener_closed");
    f.address = intake_address(l->intake);
    log_caused_event(r->by.all, r->by.key, loop_now(r->loop), LOG_INFO, &f,
                     "%s: no longer listening on %s", r->label, f.address);
    intake_free(l->intake);
    list_remove(&l->link);
    free(l);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    (void)code;
    (void)text;
    end(owner);
}

static void on_done(void *owner)
{
    end(owner);
}

static const struct stream_events listener_events = {.on_reset = on_reset, .on_done = on_done};

/* ---- Who holds an address. ---- */

/* True if both cannot be listened on; with wanted's port 0, by their hosts alone. */
static bool overlap(const struct address *wanted, const struct address *bound)
{
    uint16_t port = address_port(wanted);
    bool is_path = address_is_unix(wanted);
    if (is_path != address_is_unix(bound))
        return false;
    if (is_path)
        return strcmp(((const struct sockaddr_un *)&wanted->storage)->sun_path,
                      ((const struct sockaddr_un *)&bound->storage)->sun_path) == 0;
    return (!port || port == address_port(bound)) &&
           (address_same_host(wanted, bound) || address_is_any(wanted) || address_is_any(bound));
}

bool remote_listeners_hold(const struct remote_listeners *r, const struct address *address)
{
    list_each (link, &r->all)
        if (overlap(address,
                    intake_bound(container_of(link, struct remote_listener, link)->intake)))
            return true;
    return false;
}

void remote_listeners_give_way(struct remote_listeners *r, const struct address *address)
{
    list_each (link, &r->all) {
        struct remote_listener *l = container_of(link, struct remote_listener, link);
        if (!overlap(address, intake_bound(l->intake)))
            continue;
        stream_reset(l->listener, RESET_INTERNAL, "a newer session of this user listens there");
        end(l);
    }
}

/* ---- LISTEN. ---- */

/* Exactly as address_to_text writes it. */
static bool parse_address(struct address *out, const char *text)
{
    char canonical[ADDRESS_TEXT_BYTES];
    struct error why = {0};
    bool good = strncmp(text, "unix:/", 6) == 0 ? address_from_path(out, text + 5)
                                                : value_listen(out, text, "127.0.0.1", &why);
    if (!good)
        return false;
    address_to_text(canonical, out);
    return strcmp(canonical, text) == 0;
}

static bool allows_path(const struct target_pattern *p, const struct address *a)
{
    const char *path = ((const struct sockaddr_un *)&a->storage)->sun_path;
    return p->kind == TARGET_UNIX && strcmp(p->name, path) == 0;
}

/* True if the pattern allows listening on the address, or on any port of its own when that is 0. */
static bool allows(const struct target_pattern *p, const struct address *a)
{
    uint16_t port = address_port(a);
    if (a->storage.ss_family == AF_UNIX || p->kind == TARGET_UNIX)
        return a->storage.ss_family == AF_UNIX && allows_path(p, a);
    return (!port || (port >= p->port_first && port <= p->port_last)) &&
           (p->any_host || (p->has_prefix && address_in_prefix(a, &p->prefix, p->prefix_bits)));
}

static bool permitted(const struct remote_listeners *r, const struct address *a)
{
    if (r->forbidden && r->forbidden(r->forbidden_arg, a))
        return false;
    for (size_t i = 0; i < r->allow_count; i++)
        if (allows(&r->allow[i], a))
            return true;
    return false;
}

void remote_listeners_set_policy(struct remote_listeners *r, const struct target_pattern *allow,
                                 size_t allow_count, unsigned most)
{
    static const char why[] = "no longer permitted by this agent's configuration";
    r->allow = allow;
    r->allow_count = allow_count;
    r->most = most;
    list_each (link, &r->connections) {
        const struct remote_connection *c = container_of(link, struct remote_connection, link);
        if (!permitted(r, &c->at))
            stream_cut(c->stream, RESET_NOT_PERMITTED, why);
    }
    list_each (link, &r->all) {
        const struct remote_listener *l = container_of(link, struct remote_listener, link);
        if (!permitted(r, intake_bound(l->intake)))
            stream_cut(l->listener, RESET_NOT_PERMITTED, why);
    }
}

/* The first free port that is permitted. */
static bool listen_on_permitted(struct remote_listener *l, struct address a, struct error *e)
{
    const struct remote_listeners *r = l->set;
    unsigned tried = 0;
    for (size_t i = 0; i < r->allow_count; i++) {
        const struct target_pattern *p = &r->allow[i];
        address_set_port(&a, 0);
        if (!allows(p, &a))
            continue;
        for (unsigned port = p->port_first; port <= p->port_last && tried < PORTS_TRIED; port++) {
            tried++;
            address_set_port(&a, (uint16_t)port);
            l->intake = intake_new(r->loop, &a, &intake_events, l, e);
            if (l->intake)
                return true;
        }
    }
    return false;
}

/* False: e says why. */
static bool listen_on(struct remote_listener *l, const struct address *a, struct error *e)
{
    l->intake = intake_new(l->set->loop, a, &intake_events, l, e);
    if (!l->intake || permitted(l->set, intake_bound(l->intake)))
        return l->intake != NULL;
    intake_free(l->intake); /* the port that the system chose */
    return listen_on_permitted(l, *a, e);
}

/* The same, once more when somebody has given way. */
static bool start(struct remote_listener *l, const struct address *a, struct error *e)
{
    const struct remote_listeners *r = l->set;
    struct error why = {0}, who = {0};
    if (listen_on(l, a, &why))
        return true;
    if (r->taken && r->taken(r->taken_arg, a, &who))
        return listen_on(l, a, e);
    *e = who.failure ? who : why;
    return false;
}

static void refuse_listen(struct remote_listeners *r, struct stream *listener, const char *address,
                          enum reset_code code, const char *why)
{
    struct log_fields f = log_party_fields(&r->by, "listener_refused");
    f.address = address;
    f.code = code;
    f.reason = why;
    log_caused_event(r->by.all, r->by.key, loop_now(r->loop), LOG_INFO, &f,
                     "%s: refused to listen on %s: %s", r->label, address, why);
    stream_reset(listener, code, why);
}

static void try_listen(struct remote_listeners *r, struct stream *listener,
                       const struct address *wanted, const char *text)
{
    struct remote_listener *l = calloc(1, sizeof *l);
    struct log_fields f = log_party_fields(&r->by, "listener_opened");
    struct error why = {0};
    if (l)
        *l = (struct remote_listener){.set = r, .listener = listener};
    if (!l || !start(l, wanted, &why)) {
        refuse_listen(r, listener, text, RESET_INTERNAL,
                      l ? socket_listen_reason(why.text) : NO_MEMORY_TEXT);
        free(l);
        return;
    }
    list_append(&r->all, &l->link);
    f.address = intake_address(l->intake);
    log_caused_event(r->by.all, r->by.key, loop_now(r->loop), LOG_INFO, &f,
                     "%s: listening on %s for the client", r->label, f.address);
    stream_set_owner(listener, &listener_events, l);
    stream_accept(listener, intake_address(l->intake));
    intake_go(l->intake);
}

static unsigned count(const struct remote_listeners *r)
{
    unsigned n = 0;
    list_each (link, &r->all)
        n++;
    return n;
}

void remote_listeners_add(struct remote_listeners *r, struct stream *listener, struct view address)
{
    char text[ADDRESS_MAX_BYTES + 1];
    struct address wanted;
    text_clean(text, sizeof text, address);
    if (!parse_address(&wanted, text))
        refuse_listen(r, listener, text, RESET_UNSUPPORTED, "not an address to listen on");
    else if (!permitted(r, &wanted))
        refuse_listen(r, listener, text, RESET_NOT_PERMITTED, NOT_PERMITTED_TEXT);
    else if (count(r) >= r->most)
        refuse_listen(r, listener, text, RESET_LIMIT, "too many listeners");
    else if (!rate_take(&r->listens, loop_now(r->loop), LISTEN_RATE_PER_S, LISTEN_BURST))
        refuse_listen(r, listener, text, RESET_LIMIT, "too many listeners in a short time");
    else
        try_listen(r, listener, &wanted, text);
}

bool remote_listeners_tell(const struct remote_listeners *r, uint32_t after,
                           bool (*tell)(void *arg, const struct connection_facts *f), void *arg)
{
    list_each (link, &r->connections) {
        const struct remote_connection *c = container_of(link, struct remote_connection, link);
        const struct connection_facts f = {.number = c->number,
                                           .listener = &c->at,
                                           .peer = c->peer,
                                           .begun_us = c->begun_us,
                                           .traffic = c->traffic};
        if (c->number > after && !tell(arg, &f))
            return false;
    }
    return true;
}
