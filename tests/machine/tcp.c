/* Simulated TCP: states, windows and timers of connections, and the network between them. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

#define SYN_TRIES 7 /* after 1, 2, 4, … s */
#define QUARTER_US (924 * CLOCK_US_PER_S)
#define KEEPALIVE_US (60 * CLOCK_US_PER_S) /* 30 s idle, three probes of 10 s */
#define PROBE_US (30 * CLOCK_US_PER_S)
#define RESEND_MOST_US (3 * CLOCK_US_PER_S)
#define STALL_MOST_US (15 * CLOCK_US_PER_S) /* a longer one is a loss: user timeouts end it */
#define FIRST_PORT 40000

static const struct file_kind tcp_kind;
static struct host *const *all_hosts;
static route_settings *settings_of_route;
static struct list all_connected;

void tcp_begin(struct host *const hosts[], route_settings *route)
{
    all_hosts = hosts;
    settings_of_route = route;
    list_init(&all_connected);
    for (; *hosts; hosts++)
        list_init(&(*hosts)->listeners);
}

struct tcp *tcp_of(struct file *f)
{
    if (f->kind == &tcp_kind)
        return (struct tcp *)(void *)f;
    errno = ENOTSOCK;
    return NULL;
}

unsigned tcp_sockets(const struct process *p)
{
    unsigned sockets = 0;
    for (unsigned i = 0, seen = 0; seen < p->open_files; i++) {
        seen += p->files[i] != NULL;
        sockets += p->files[i] && p->files[i]->kind == &tcp_kind;
    }
    return sockets;
}

static int failed(int error)
{
    errno = error;
    return -1;
}

/* ---- What has arrived. ---- */

/* True if the peer's FIN is here, and all before it. */
static bool fin_arrived(const struct tcp *t)
{
    return t->peer && t->peer->fin_sent && t->peer->out.arrived > t->peer->fin_at;
}

size_t tcp_readable(const struct tcp *t)
{
    if (!t->peer || !t->peer->has_pipe)
        return 0;
    return pipe_readable(&t->peer->out) - (size_t)fin_arrived(t);
}

/* ---- How it ends. ---- */

static bool unacknowledged(const struct tcp *t)
{
    return t->out.written > t->out.arrived;
}

static bool is_done(const struct tcp *t)
{
    return t->closed && (t->state == TCP_OVER || (fin_arrived(t) && fin_arrived(t->peer)));
}

/* Once nobody at either end can want anything of the connection. */
static void forget_done(struct tcp *t)
{
    struct tcp *ends[] = {t, t->peer};
    if (!t->has_pipe || !is_done(t) || !is_done(t->peer))
        return;
    for (int i = 0; i < 2; i++) {
        list_remove(&ends[i]->connected);
        event_cancel(&timeline, &ends[i]->give_up);
        pipe_close(&ends[i]->out);
        pipe_free(&ends[i]->out);
    }
}

/* Both directions are over at this end. What has arrived can still be read. */
static void end(struct tcp *t, int error)
{
    if (t->state == TCP_OVER)
        return;
    t->state = TCP_OVER;
    t->error = fin_arrived(t) && error == ECONNRESET ? EPIPE : error;
    event_cancel(&timeline, &t->step);
    event_cancel(&timeline, &t->reset);
    event_cancel(&timeline, &t->give_up);
    if (t->has_pipe) {
        event_cancel(&timeline, &t->out.drain);
        event_cancel(&timeline, &t->peer->out.arrive);
    }
    file_wake(&t->file);
    forget_done(t);
}

static void on_reset(struct event *e)
{
    end(container_of(e, struct tcp, reset), ECONNRESET);
}

static void on_give_up(struct event *e)
{
    end(container_of(e, struct tcp, give_up), ETIMEDOUT);
}

static uint64_t position_on_the_wire(const struct pipe *p)
{
    uint64_t sent = p->arrived;
    for (uint64_t i = p->first; i < p->last; i++) {
        const struct segment *s = &p->segments[i % PIPE_SEGMENTS];
        if (s->at_us <= p->t->now_us + p->settings.delay_us)
            sent = s->end;
    }
    return sent;
}

/* Tells the other end, behind what is on its way, that this one is gone. */
static void send_reset(struct tcp *t)
{
    struct pipe *p = &t->out;
    uint64_t at = timeline.now_us + p->settings.delay_us;
    if (t->lost || !t->has_pipe)
        return;
    pipe_cut(p, position_on_the_wire(p));
    if (p->stalled_until_us > at)
        at = p->stalled_until_us;
    event_set(&timeline, &t->peer->reset, at);
}

static void try_fin(struct tcp *t)
{
    static const uint8_t fin = 0;
    uint64_t at = t->out.written;
    if (t->fin_sent || pipe_write(&t->out, &fin, 1) == 0)
        return;
    t->fin_sent = true;
    t->fin_at = at;
}

/* How long its kernel tries on a path that nothing passes. */
static void set_give_up(struct tcp *t)
{
    uint64_t patience = t->user_timeout_us ? t->user_timeout_us : QUARTER_US;
    uint64_t at = timeline.now_us + (unacknowledged(t) ? patience : KEEPALIVE_US);
    if (t->state != TCP_CONNECTED || !t->lost || (!unacknowledged(t) && !t->keepalive))
        return;
    if (!t->give_up.place || t->give_up.at_us > at)
        event_set(&timeline, &t->give_up, at);
}

/* ---- The path. ---- */

static struct tcp *writer_of(struct pipe *p)
{
    return container_of(p, struct tcp, out);
}

/* Of a process that has closed: what comes is answered by a reset, but a FIN. */
static void refuse_bytes(struct tcp *t)
{
    if (t->state == TCP_CONNECTED && tcp_readable(t) > 0) {
        send_reset(t);
        end(t, ECONNRESET);
    } else {
        forget_done(t);
    }
}

static void on_readable(struct pipe *p)
{
    struct tcp *t = writer_of(p)->peer;
    if (t->closed)
        refuse_bytes(t);
    else
        file_wake(&t->file);
}

static void on_writable(struct pipe *p)
{
    struct tcp *t = writer_of(p);
    if (t->fin_wanted)
        try_fin(t);
    else
        file_wake(&t->file);
}

static void open_pipe(struct tcp *t)
{
    struct pipe_settings settings;
    settings_of_route(t->host, t->peer->host, &settings);
    t->out.on_readable = on_readable;
    t->out.on_writable = on_writable;
    pipe_open(&t->out, &timeline, &settings);
    t->has_pipe = true;
}

/* ---- Connecting. ---- */

static struct host *host_of(const struct tcp *t)
{
    if (t->remote.address >> 24 == 127)
        return t->host;
    for (int i = 0; all_hosts[i]; i++)
        if (all_hosts[i]->address == t->remote.address)
            return all_hosts[i];
    return NULL;
}

static struct tcp *listener_at(const struct host *h, const struct place *at)
{
    list_each (link, &h->listeners) {
        struct tcp *l = container_of(link, struct tcp, of_host);
        if (l->local.port == at->port && (!l->local.address || l->local.address == at->address))
            return l;
    }
    return NULL;
}

/* A host reaches itself while its network is down. */
static bool reaches(const struct host *from, const struct host *to)
{
    if (!to || from->off || to->off)
        return false;
    return from == to ||
           (from->outage_until_us <= timeline.now_us && to->outage_until_us <= timeline.now_us);
}

static uint64_t delay_between(const struct host *a, const struct host *b)
{
    struct pipe_settings settings;
    settings_of_route(a, b, &settings);
    return settings.delay_us;
}

static void next_step(struct tcp *t, void (*run)(struct event *), uint64_t after_us)
{
    t->step.run = run;
    event_set(&timeline, &t->step, timeline.now_us + after_us);
}

static void on_refused(struct event *e)
{
    end(container_of(e, struct tcp, step), ECONNREFUSED);
}

static void on_unanswered(struct event *e)
{
    end(container_of(e, struct tcp, step), ETIMEDOUT);
}

static void on_established(struct event *e)
{
    struct tcp *t = container_of(e, struct tcp, step);
    if (t->closed) {
        send_reset(t);
        end(t, ECONNRESET);
        return;
    }
    t->state = TCP_CONNECTED;
    if (t->host != t->peer->host)
        list_append(&all_connected, &t->connected);
    file_wake(&t->file);
}

/* The listener's end of the connection. */
static void answer(struct tcp *listener, struct tcp *t)
{
    struct tcp *s = tcp_new(listener->host);
    s->local = t->remote;
    s->remote = t->local;
    s->state = TCP_CONNECTED;
    s->reset_on_close = listener->reset_on_close;
    s->keepalive = listener->keepalive;
    s->user_timeout_us = listener->user_timeout_us;
    s->peer = t;
    t->peer = s;
    open_pipe(s);
    open_pipe(t);
    list_append(&listener->queue, &s->queued);
    listener->queue_len++;
    file_wake(&listener->file);
}

static void on_syn(struct event *e)
{
    struct tcp *t = container_of(e, struct tcp, step);
    struct host *to = host_of(t);
    bool reached = reaches(t->host, to);
    struct tcp *listener = reached ? listener_at(to, &t->remote) : NULL;
    bool answered = listener && listener->queue_len < listener->backlog;
    if (t->closed)
        return;
    if (answered) {
        answer(listener, t);
        next_step(t, on_established, t->out.settings.delay_us);
    } else if (reached && !listener) {
        next_step(t, on_refused, delay_between(to, t->host));
    } else {
        t->tries++;
        next_step(t, t->tries < SYN_TRIES ? on_syn : on_unanswered,
                  CLOCK_US_PER_S << (t->tries - 1));
    }
}

/* ---- What programs call. ---- */

static uint32_t tcp_ready(const struct tcp *t)
{
    const uint32_t hung_up = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;
    bool fin = fin_arrived(t);
    uint32_t now = 0;
    switch (t->state) {
    case TCP_UNUSED:
        return EPOLLOUT | EPOLLHUP;
    case TCP_LISTENS:
        return list_empty(&t->queue) ? 0 : EPOLLIN;
    case TCP_CONNECTS:
        return 0;
    case TCP_OVER:
        return hung_up | (t->error ? (uint32_t)EPOLLERR : 0);
    case TCP_CONNECTED:
        break;
    }
    if (tcp_readable(t) || fin)
        now |= EPOLLIN;
    if (fin)
        now |= EPOLLRDHUP;
    if (fin && t->fin_wanted)
        now |= EPOLLHUP;
    if (t->fin_wanted || !t->out.blocked)
        now |= EPOLLOUT;
    return now;
}

static uint32_t ready(const struct file *f)
{
    return tcp_ready((const struct tcp *)(const void *)f);
}

static ssize_t read_file(struct file *f, void *out, size_t len)
{
    return tcp_receive(tcp_of(f), out, len);
}

static ssize_t write_file(struct file *f, const void *data, size_t len)
{
    return tcp_send(tcp_of(f), data, len);
}

static void close_file(struct file *f)
{
    tcp_close(tcp_of(f));
}

static const struct file_kind tcp_kind = {
    .ready = ready, .read = read_file, .write = write_file, .close = close_file};

struct tcp *tcp_new(struct host *host)
{
    struct tcp *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    file_init(&t->file, &tcp_kind);
    t->host = host;
    list_init(&t->of_host);
    list_init(&t->queue);
    list_init(&t->queued);
    list_init(&t->connected);
    t->reset.run = on_reset;
    t->give_up.run = on_give_up;
    return t;
}

static void name_port(struct tcp *t)
{
    if (!t->local.port)
        t->local.port = (uint16_t)(FIRST_PORT + t->host->last_port++ % 20000);
}

int tcp_bind(struct tcp *t, struct place local)
{
    if (local.port && listener_at(t->host, &local))
        return failed(EADDRINUSE);
    t->local = local;
    name_port(t);
    return 0;
}

int tcp_listen(struct tcp *t, unsigned backlog)
{
    if (t->state != TCP_UNUSED)
        return failed(EINVAL);
    t->state = TCP_LISTENS;
    t->backlog = backlog;
    list_append(&t->host->listeners, &t->of_host);
    return 0;
}

struct tcp *tcp_accept(struct tcp *listener)
{
    struct tcp *t;
    if (listener->state != TCP_LISTENS || list_empty(&listener->queue)) {
        errno = listener->state != TCP_LISTENS ? EINVAL : EAGAIN;
        return NULL;
    }
    t = container_of(listener->queue.next, struct tcp, queued);
    list_remove(&t->queued);
    listener->queue_len--;
    return t;
}

int tcp_connect(struct tcp *t, struct place remote)
{
    if (t->state != TCP_UNUSED)
        return failed(t->state == TCP_CONNECTS ? EALREADY : EISCONN);
    t->remote = remote;
    t->local.address = remote.address >> 24 == 127 ? LOOPBACK_ADDRESS : t->host->address;
    name_port(t);
    t->state = TCP_CONNECTS;
    struct host *to = host_of(t);
    next_step(t, on_syn, to ? delay_between(t->host, to) : 0);
    return failed(EINPROGRESS);
}

int tcp_take_error(struct tcp *t)
{
    int error = t->error;
    t->error = 0;
    return error;
}

ssize_t tcp_receive(struct tcp *t, void *out, size_t len)
{
    size_t readable = tcp_readable(t);
    if (t->state == TCP_UNUSED || t->state == TCP_LISTENS)
        return failed(ENOTCONN);
    if (readable && len)
        return (ssize_t)pipe_read(&t->peer->out, out, len < readable ? len : readable);
    if (fin_arrived(t) || !len)
        return 0;
    if (t->error)
        return failed(tcp_take_error(t));
    return t->state == TCP_OVER ? 0 : failed(EAGAIN);
}

ssize_t tcp_send(struct tcp *t, const void *data, size_t len)
{
    size_t taken;
    if (t->state == TCP_CONNECTS)
        return failed(EAGAIN);
    if (t->error)
        return failed(tcp_take_error(t));
    if (t->state != TCP_CONNECTED || t->fin_wanted)
        return failed(EPIPE);
    taken = pipe_write(&t->out, data, len);
    set_give_up(t);
    return taken || !len ? (ssize_t)taken : failed(EAGAIN);
}

int tcp_shutdown(struct tcp *t, int how)
{
    if (t->state != TCP_CONNECTED || how != SHUT_WR)
        return failed(ENOTCONN);
    t->fin_wanted = true;
    try_fin(t);
    set_give_up(t);
    return 0;
}

uint64_t tcp_round_trip_us(const struct tcp *t)
{
    return t->has_pipe ? 2 * t->out.settings.delay_us : 0;
}

static void close_listener(struct tcp *t)
{
    list_remove(&t->of_host);
    t->state = TCP_OVER;
    list_each (link, &t->queue) {
        struct tcp *queued = container_of(link, struct tcp, queued);
        list_remove(&queued->queued);
        queued->reset_on_close = true;
        tcp_close(queued);
    }
}

void tcp_close(struct tcp *t)
{
    t->closed = true;
    if (t->state == TCP_LISTENS) {
        close_listener(t);
    } else if (t->state == TCP_CONNECTED && (t->reset_on_close || tcp_readable(t) > 0)) {
        send_reset(t);
        end(t, ECONNRESET);
    } else if (t->state == TCP_CONNECTED && !t->fin_wanted) {
        tcp_shutdown(t, SHUT_WR);
    }
    forget_done(t);
}

/* ---- Trouble. ---- */

static bool is_up(const struct tcp *t)
{
    return t->state == TCP_CONNECTED && t->peer->state == TCP_CONNECTED && !t->lost;
}

unsigned tcp_count(void)
{
    unsigned count = 0;
    list_each (link, &all_connected)
        count += is_up(container_of(link, struct tcp, connected));
    return count;
}

struct tcp *tcp_pick(unsigned index)
{
    list_each (link, &all_connected) {
        struct tcp *t = container_of(link, struct tcp, connected);
        if (is_up(t) && index-- == 0)
            return t;
    }
    return NULL;
}

/* Nothing passes any more; the kernels at both ends find out in their own time. */
static void lose(struct tcp *t, uint64_t more_bytes)
{
    struct tcp *ends[] = {t, t->peer};
    for (int i = 0; i < 2; i++) {
        struct pipe *p = &ends[i]->out;
        pipe_cut(p, p->arrived + chance(&timeline, p->written - p->arrived + more_bytes + 1));
        ends[i]->lost = true;
        set_give_up(ends[i]);
    }
}

void tcp_stall(struct tcp *t, uint64_t until_us)
{
    if (until_us > timeline.now_us + STALL_MOST_US) {
        lose(t, 0);
        return;
    }
    pipe_stall(&t->out, until_us);
    pipe_stall(&t->peer->out, until_us);
}

void tcp_cut(struct tcp *t, uint64_t after_us, uint64_t more_bytes, bool told)
{
    lose(t, more_bytes);
    if (!told)
        return;
    event_set(&timeline, &t->reset, timeline.now_us + after_us);
    event_set(&timeline, &t->peer->reset, timeline.now_us + after_us);
}

void host_outage(struct host *h, uint64_t until_us)
{
    h->outage_until_us = until_us;
    list_each (link, &all_connected) {
        struct tcp *t = container_of(link, struct tcp, connected);
        if (t->host == h || t->peer->host == h)
            tcp_stall(t, until_us);
    }
}

/* An end on a host that has lost its power knows nothing any more. */
static void forget(struct tcp *t)
{
    t->closed = true;
    end(t, ECONNRESET);
}

void host_off(struct host *h)
{
    h->off = true;
    list_each (link, &all_connected) {
        struct tcp *t = container_of(link, struct tcp, connected);
        if (t->host != h && t->peer->host != h)
            continue;
        lose(t, 0);
        forget(t->host == h ? t : t->peer);
    }
    list_each (link, &h->listeners) {
        struct tcp *l = container_of(link, struct tcp, of_host);
        l->closed = true;
        close_listener(l);
    }
}

void host_on(struct host *h)
{
    h->off = false;
    list_each (link, &all_connected) {
        struct tcp *t = container_of(link, struct tcp, connected);
        struct tcp *here = t->host == h ? t : t->peer, *there = here->peer;
        if (here->host == h && here->state == TCP_OVER && there->state == TCP_CONNECTED)
            event_set(&timeline, &there->reset,
                      timeline.now_us +
                          chance(&timeline, unacknowledged(there) ? RESEND_MOST_US : PROBE_US));
    }
}
