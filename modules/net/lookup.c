/* The life of a look-up: it waits for its turn, looks into /etc/hosts, and asks the name servers
 * for each name that the search list makes of it until one has an address. */
#include "net/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/hosts.h"
#include "net/name_servers.h"
#include "net/resolver.h"

#define RUNNING_MAX 64
#define RUNNING_OF_OWNER 6

struct lookup {
    struct list link; /* on the resolver's waiting or running */
    struct loop *loop;
    bool running;
    const void *owner; /* compared only */
    bool no_servers;
    bool checked; /* it was seen whether /etc/hosts has changed */
    char name[LOOKUP_NAME_BYTES];
    struct timer begin;
    struct name_servers *servers; /* NULL: not asked yet */
    unsigned searched;            /* names of the search list that were asked for */
    bool told[QUESTION_FAMILIES]; /* found was called with them */
    enum lookup_result result;
    void (*found)(void *arg, const struct address *addresses, unsigned count, bool more);
    void (*ended)(void *arg, enum lookup_result result);
    void *arg;
};

/* ---- Turns. ---- */

static bool may_run(const struct resolver *r, const struct lookup *lookup)
{
    unsigned of_owner = 0;
    if (r->count >= RUNNING_MAX)
        return false;
    if (!lookup->owner)
        return true;
    list_each (link, &r->running)
        of_owner += container_of(link, struct lookup, link)->owner == lookup->owner;
    return of_owner < RUNNING_OF_OWNER;
}

static void run_those_who_may(struct loop *loop)
{
    struct resolver *r = loop_resolver(loop);
    list_each (link, &r->waiting) {
        struct lookup *lookup = container_of(link, struct lookup, link);
        if (r->count >= RUNNING_MAX)
            return;
        if (!may_run(r, lookup))
            continue;
        list_move(&r->running, &lookup->link);
        r->count++;
        lookup->running = true;
        timer_set(loop, &lookup->begin, loop_now(loop));
    }
}

void lookup_cancel(struct lookup *lookup)
{
    struct loop *loop = lookup->loop;
    bool running = lookup->running;
    list_remove(&lookup->link);
    timer_cancel(loop, &lookup->begin);
    name_servers_free(lookup->servers);
    free(lookup);
    if (!running)
        return;
    loop_resolver(loop)->count--;
    run_those_who_may(loop);
}

static void end(struct lookup *lookup, enum lookup_result result)
{
    void (*ended)(void *, enum lookup_result) = lookup->ended;
    void *arg = lookup->arg;

    lookup_cancel(lookup);
    ended(arg, result);
}

/* ---- Name servers. ---- */

/* The next name of the search list; false: there is none. */
static bool ask_next(struct lookup *lookup)
{
    char name[FULL_NAME_BYTES];
    if (!name_servers_search(name, lookup->servers, lookup->name, &lookup->searched))
        return false;
    name_servers_ask(lookup->servers, name);
    return true;
}

static bool is_awaited(const struct name_answer *answer)
{
    return answer->kind == ANSWER_AWAITED;
}

static void tell_found(struct lookup *lookup)
{
    for (int i = 0; i < QUESTION_FAMILIES; i++) {
        const struct name_answer *answer = name_servers_answer(lookup->servers, i);
        const struct name_answer *other = name_servers_answer(lookup->servers, !i);
        if (answer->kind != ANSWER_ADDRESSES || lookup->told[i])
            continue;
        lookup->told[i] = true;
        lookup->result = LOOKUP_FOUND;
        lookup->found(lookup->arg, answer->addresses, answer->count,
                      is_awaited(other) || (other->kind == ANSWER_ADDRESSES && !lookup->told[!i]));
    }
}

static enum lookup_result result_of(enum answer_kind kind)
{
    static const enum lookup_result results[] = {
        [ANSWER_AWAITED] = LOOKUP_TIMED_OUT,     [ANSWER_ADDRESSES] = LOOKUP_FOUND,
        [ANSWER_NO_ADDRESS] = LOOKUP_NO_ADDRESS, [ANSWER_NO_NAME] = LOOKUP_NO_NAME,
        [ANSWER_FAILURE] = LOOKUP_FAILED,        [ANSWER_TIMED_OUT] = LOOKUP_TIMED_OUT,
        [ANSWER_NO_MEMORY] = LOOKUP_NO_MEMORY,
    };
    return results[kind];
}

static bool is_nothing(enum answer_kind kind)
{
    return kind == ANSWER_NO_ADDRESS || kind == ANSWER_NO_NAME;
}

/* Neither family has an address. Of the two answers that for IPv4 is believed: servers that have
 * trouble with IPv6 say of it what they will. Of some name of the search list that it is there says
 * more than of another that it is not. */
static void note_nothing(struct lookup *lookup, enum answer_kind ipv6, enum answer_kind ipv4)
{
    if (!is_nothing(ipv4))
        lookup->result = result_of(ipv4);
    else if (ipv6 == ANSWER_NO_ADDRESS || ipv4 == ANSWER_NO_ADDRESS)
        lookup->result = LOOKUP_NO_ADDRESS;
}

/* While the servers cannot be asked, another name of the search list may be another machine's. */
static void on_answer(void *arg)
{
    struct lookup *lookup = arg;
    enum answer_kind ipv6 = name_servers_answer(lookup->servers, QUESTION_IPV6)->kind;
    enum answer_kind ipv4 = name_servers_answer(lookup->servers, QUESTION_IPV4)->kind;
    tell_found(lookup);
    if (ipv6 == ANSWER_AWAITED || ipv4 == ANSWER_AWAITED)
        return;
    if (lookup->result != LOOKUP_FOUND) {
        note_nothing(lookup, ipv6, ipv4);
        if (is_nothing(ipv4) && ask_next(lookup))
            return;
    }
    end(lookup, lookup->result);
}

/* ---- From the beginning. ---- */

/* The table of /etc/hosts as the file is; NULL: it is still being read, or without memory. */
static struct hosts *hosts_now(struct lookup *lookup)
{
    struct resolver *r = loop_resolver(lookup->loop);
    if (!r->hosts)
        r->hosts = hosts_new(HOSTS_FILE);
    if (r->hosts && !lookup->checked)
        hosts_check(r->hosts);
    lookup->checked = r->hosts != NULL;
    return lookup->checked && hosts_read(r->hosts, loop_now(lookup->loop)) ? r->hosts : NULL;
}

static void look_further(struct lookup *lookup)
{
    if (lookup->no_servers) {
        end(lookup, LOOKUP_NOT_HERE);
        return;
    }
    lookup->servers = name_servers_new(lookup->loop, lookup->owner != NULL, on_answer, lookup);
    if (!lookup->servers || !ask_next(lookup))
        end(lookup, lookup->servers ? LOOKUP_NO_NAME : LOOKUP_NO_MEMORY);
}

static void on_begin(struct timer *timer)
{
    struct lookup *lookup = container_of(timer, struct lookup, begin);
    struct address addresses[LOOKUP_ADDRESSES_MAX];
    struct hosts *hosts = hosts_now(lookup);
    unsigned count;
    if (!hosts && lookup->checked) {
        timer_set(lookup->loop, timer, loop_now(lookup->loop));
        return;
    }
    count = hosts ? hosts_find(hosts, addresses, LOOKUP_ADDRESSES_MAX, lookup->name) : 0;
    if (count > 0) {
        lookup->found(lookup->arg, addresses, count, false);
        end(lookup, LOOKUP_FOUND);
    } else {
        look_further(lookup);
    }
}

struct lookup *lookup_start(struct loop *loop, const struct lookup_request *request)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    lookup->loop = loop;
    lookup->owner = request->owner;
    lookup->no_servers = request->no_servers;
    lookup->found = request->found;
    lookup->ended = request->ended;
    lookup->arg = request->arg;
    lookup->result = LOOKUP_NO_NAME;
    lookup->begin.on_fire = on_begin;
    snprintf(lookup->name, sizeof lookup->name, "%s", request->name);
    list_init(&lookup->link);
    list_append(&loop_resolver(loop)->waiting, &lookup->link);
    run_those_who_may(loop);
    return lookup;
}
