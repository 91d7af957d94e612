/* The name server of a simulated network, and the files and sockets by which it is asked. */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define SERVER_ADDRESS 0xc0000235U /* 192.0.2.53 */
#define SERVER_PORT 53
#define MESSAGE_BYTES 128
#define ANSWERS 8 /* on their way or waiting; more are lost */
#define ONE_LOST_OF 5
#define HEADER_BYTES 12
#define TYPE_A 1
#define RECORD_BYTES 16

static char resolv_conf[] = "nameserver 192.0.2.53\nsearch example\n";
static char hosts_file[] = "127.0.0.1 localhost\n";
static char no_randomness[32]; /* c-ares asks for some, and numbers questions by it no more */

static struct host *const *all_hosts;
static route_settings *settings_of_route;
static enum ipv6_answer ipv6_answer;
static uint64_t lossy_until_us;

struct answer {
    struct event arrive;
    struct udp *udp;
    uint8_t bytes[MESSAGE_BYTES];
    size_t len; /* 0: there is none */
    bool arrived;
};

struct udp {
    struct file file;
    struct host *host;
    struct place remote;
    struct answer answers[ANSWERS];
};

void names_begin(struct host *const hosts[], route_settings *route, enum ipv6_answer ipv6)
{
    all_hosts = hosts;
    settings_of_route = route;
    ipv6_answer = ipv6;
}

void names_lose_until(uint64_t until_us)
{
    lossy_until_us = until_us;
}

FILE *names_open_file(const char *path)
{
    if (strcmp(path, "/etc/resolv.conf") == 0)
        return fmemopen(resolv_conf, sizeof resolv_conf - 1, "r");
    if (strcmp(path, "/etc/hosts") == 0)
        return fmemopen(hosts_file, sizeof hosts_file - 1, "r");
    if (strcmp(path, "/dev/urandom") == 0)
        return fmemopen(no_randomness, sizeof no_randomness, "r");
    return NULL;
}

bool names_stat_file(const char *path, struct stat *out)
{
    FILE *file = names_open_file(path);
    if (!file)
        return false;
    fclose(file);
    memset(out, 0, sizeof *out);
    return true;
}

/* ---- The server. ---- */

/* The host that a question is about; *end is behind its type and class. NULL: no such name. */
static const struct host *host_asked_for(const uint8_t *question, size_t len, size_t *end)
{
    char name[MESSAGE_BYTES] = "";
    size_t at = HEADER_BYTES, used = 0;
    while (at < len && question[at] != 0 && at + 1U + question[at] < len) {
        memcpy(name + used, question + at + 1, question[at]);
        used += question[at];
        name[used++] = '.';
        at += 1U + question[at];
    }
    *end = at + 5;
    for (int i = 0; all_hosts[i]; i++) {
        size_t label = strlen(all_hosts[i]->name);
        if (strncmp(name, all_hosts[i]->name, label) == 0 && strcmp(name + label, ".example.") == 0)
            return all_hosts[i];
    }
    return NULL;
}

static void set_code(struct answer *a, uint8_t code)
{
    a->bytes[2] = 0x81;
    a->bytes[3] = (uint8_t)(0x80 | code);
}

static void add_address(struct answer *a, uint32_t address)
{
    static const uint8_t record[] = {0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 1, 0, 4};
    memcpy(a->bytes + a->len, record, sizeof record);
    store_be32(a->bytes + a->len + sizeof record, address);
    a->len += RECORD_BYTES;
    a->bytes[7] = 1;
}

/* False: there is none. */
static bool make_answer(struct answer *a, const uint8_t *question, size_t len)
{
    static const uint8_t codes[] = {[IPV6_NO_ADDRESS] = 0, [IPV6_NO_NAME] = 3, [IPV6_FAILURE] = 2};
    const struct host *host = host_asked_for(question, len, &a->len);
    if (a->len > len || a->len + RECORD_BYTES > MESSAGE_BYTES)
        abort();
    bool ipv6 = question[a->len - 3] != TYPE_A;
    memcpy(a->bytes, question, a->len);
    if (ipv6 && ipv6_answer == IPV6_SILENCE)
        return false;
    set_code(a, ipv6 ? codes[ipv6_answer] : host ? 0 : 3);
    if (host && !ipv6)
        add_address(a, host->address);
    return true;
}

static bool is_lost(const struct host *h)
{
    return h->off || h->outage_until_us > timeline.now_us ||
           (timeline.now_us < lossy_until_us && chance(&timeline, ONE_LOST_OF) == 0);
}

/* ---- Sockets. ---- */

static uint32_t udp_ready(const struct file *f)
{
    const struct udp *u = (const struct udp *)(const void *)f;
    for (int i = 0; i < ANSWERS; i++)
        if (u->answers[i].arrived)
            return (uint32_t)EPOLLIN | (uint32_t)EPOLLOUT;
    return EPOLLOUT;
}

static void udp_close(struct file *f)
{
    struct udp *u = (struct udp *)(void *)f;
    for (int i = 0; i < ANSWERS; i++)
        event_cancel(&timeline, &u->answers[i].arrive);
    free(u);
}

static const struct file_kind udp_kind = {.ready = udp_ready, .close = udp_close};

struct udp *udp_new(struct host *host)
{
    struct udp *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    file_init(&u->file, &udp_kind);
    u->host = host;
    return u;
}

struct file *udp_file(struct udp *u)
{
    return &u->file;
}

struct udp *udp_of(struct file *f)
{
    return f->kind == &udp_kind ? (struct udp *)(void *)f : NULL;
}

int udp_connect(struct udp *u, struct place remote)
{
    u->remote = remote;
    return 0;
}

static void on_arrive(struct event *e)
{
    struct answer *a = container_of(e, struct answer, arrive);
    if (is_lost(a->udp->host)) {
        a->len = 0;
        return;
    }
    a->arrived = true;
    file_wake(&a->udp->file);
}

static struct answer *free_place(struct udp *u)
{
    for (int i = 0; i < ANSWERS; i++)
        if (u->answers[i].len == 0)
            return &u->answers[i];
    return NULL;
}

ssize_t udp_send(struct udp *u, const void *data, size_t len)
{
    struct pipe_settings settings;
    struct answer *a = free_place(u);
    settings_of_route(u->host, NULL, &settings);
    if (u->remote.address != SERVER_ADDRESS || u->remote.port != SERVER_PORT || !a ||
        is_lost(u->host))
        return (ssize_t)len;
    if (!make_answer(a, data, len)) {
        a->len = 0;
        return (ssize_t)len;
    }
    a->udp = u;
    a->arrive.run = on_arrive;
    event_set(&timeline, &a->arrive, timeline.now_us + 2 * settings.delay_us);
    return (ssize_t)len;
}

ssize_t udp_receive(struct udp *u, void *out, size_t len, struct place *from)
{
    for (int i = 0; i < ANSWERS; i++) {
        struct answer *a = &u->answers[i];
        if (!a->arrived)
            continue;
        size_t n = a->len < len ? a->len : len;
        memcpy(out, a->bytes, n);
        *from = u->remote;
        a->arrived = false;
        a->len = 0;
        return (ssize_t)n;
    }
    errno = EAGAIN;
    return -1;
}
