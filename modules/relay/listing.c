/* Answers LIST and WATCH, and tells watchers what has changed. */
#include "relay/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_rates.h"
#include "base/text.h"
#include "relay/changes.h"
#include "relay/desk.h"
#include "relay/labels.h"
#include "relay/peer.h"

#define NOTICE_INTERVAL_US CLOCK_US_PER_S
#define RETRY_S 1

/* A client that leaves this much of the answers unread is ended; so is one that asks for more while
 * all of its user's hops together leave as much as the second unread. */
#define BACKLOG_MAX_BYTES (1U << 20)
#define BACKLOG_OF_USER_BYTES (4U << 20)

#define AGENT_BODY_BYTES                                                                          \
    (2 + NAME_MAX_BYTES + KEY_BYTES + 2 + 2 + LABELS_MAX_BYTES + 1 + 4 + 1 + 2 + TEXT_MAX_BYTES + \
     2 + 2 + TOLD_CALLS_BYTES)

struct listing {
    struct relay *relay;
    struct presence_watch presence;
    struct list watchers; /* by struct peer's watching */
    struct list changed;  /* by struct notice's changed */
    struct timer timer;   /* the first of them is due */
    uint64_t due_us;      /* CLOCK_NEVER: none */
};

static uint32_t seconds_since(uint64_t now_us, uint64_t then_us)
{
    uint64_t s = (now_us - then_us) / CLOCK_US_PER_S;
    return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

/* All calls, and the gravest for a client that knows one only. bytes: TOLD_CALLS_BYTES. */
static void add_calls(struct agent_entry *entry, const struct told_calls *calls, uint8_t *bytes)
{
    const struct told_call *gravest = told_calls_gravest(calls);
    if (!gravest)
        return;
    entry->severity = gravest->severity;
    entry->call_text = gravest->text;
    entry->calls = view_of(bytes, told_calls_encode(calls, bytes, TOLD_CALLS_BYTES));
}

static bool send_entry(struct peer *client, struct agent_entry *entry, const struct known_agent *a)
{
    uint8_t body[AGENT_BODY_BYTES];
    entry->name = view_of_string(a->name);
    memcpy(entry->public_key, a->public_key, KEY_BYTES);
    size_t len = agent_entry_encode(entry, body, sizeof body);
    return len > 0 && hop_send(&client->driver.hop, MESSAGE_AGENT, view_of(body, len));
}

static bool send_agent(struct peer *client, const struct known_agent *a, const char *labels)
{
    uint8_t bytes[TOLD_CALLS_BYTES];
    struct told_calls calls;
    uint64_t now = loop_now(client->relay->loop);
    struct agent_entry entry = {
        .flags = a->presence.flags,
        .labels = view_of_string(labels),
        .state = (uint8_t)known_agent_state(a, now),
        .age_s = seconds_since(now, a->presence.since_us),
        .vouch = view_of(a->config->vouch, a->config->vouch_len),
    };
    presence_calls(&a->presence, &calls, now);
    add_calls(&entry, &calls, bytes);
    return send_entry(client, &entry, a);
}

/* The agent is not, or no longer, in the client's list: its name must have been permitted. */
static void send_unlisted(struct peer *client, const struct known_agent *a)
{
    struct agent_entry entry = {.state = AGENT_UNLISTED};
    if (query_matches(client->watch, a->name, NULL))
        send_entry(client, &entry, a);
}

/* Looking at an agent costs as much as the query has words. */
static unsigned look_cost(const char *query)
{
    unsigned words = 1;
    for (; *query != '\0'; query++)
        words += *query == ' ';
    return words;
}

/* True if agents may be looked at for the client's user now; charges for so many. */
static bool may_look(struct peer *client, unsigned cost)
{
    return rate_charge(&client->user->looks, loop_now(client->relay->loop), LOOK_RATE_PER_S,
                       LOOK_BURST, cost);
}

/* False: the hop has failed. */
static bool send_if_wanted(struct peer *client, const struct known_agent *a, const char *query)
{
    char labels[LABELS_MAX_BYTES + 1];
    if (!directory_may_reach(client->user, a->name))
        return true;
    known_agent_labels(labels, a);
    return !query_matches(query, a->name, labels) || send_agent(client, a, labels);
}

static bool behind(const struct peer *client)
{
    return client->driver.hop.out.bytes > BACKLOG_MAX_BYTES;
}

static bool user_is_behind(const struct known_user *u)
{
    size_t unread = 0;
    list_each (link, &u->hops)
        unread += container_of(link, struct peer, of_party)->driver.hop.out.bytes;
    return unread > BACKLOG_OF_USER_BYTES;
}

static bool read_query(struct peer *client, struct view body, char query[QUERY_MAX_BYTES + 1])
{
    struct view text;
    if (!query_decode(&text, body))
        return hop_fail(&client->driver.hop, CODE_PROTOCOL, "malformed query");
    text_clean(query, QUERY_MAX_BYTES + 1, text);
    return true;
}

/* All agents are looked at: a user may have that done so often only. */
static bool list_all(struct peer *client, const char *query)
{
    struct hop *h = &client->driver.hop;
    unsigned looks = 0;
    if (!may_look(client, 0) || !rate_take(&client->user->lists, loop_now(client->relay->loop),
                                           LIST_RATE_PER_S, LIST_BURST)) {
        hop_bye(h, CODE_FULL, "too many lists were asked for in a short time", RETRY_S);
        return false;
    }
    if (user_is_behind(client->user)) {
        hop_bye(h, CODE_FULL, "other lists of this user stay unread", RETRY_S);
        return false;
    }
    list_each (link, &client->relay->directory.agents) {
        looks++;
        if (!send_if_wanted(client, container_of(link, struct known_agent, all), query))
            return hop_fail(h, CODE_INTERNAL, "an agent could not be listed");
    }
    may_look(client, looks * look_cost(query));
    return true;
}

/* Who lists an agent that is not theirs goes no further, so that no CONNECT tells of it. */
static void log_not_listed(struct peer *client, const char *name)
{
    struct relay *r = client->relay;
    struct log_fields f = {.event = "list_refused",
                           .user = client->user->config->name,
                           .agent = name,
                           .address = client->address,
                           .code = CODE_NO_AGENT,
                           .reason = code_text(CODE_NO_AGENT)};
    log_caused_event(&r->log, client->user->public_key, loop_now(r->loop), LOG_INFO, &f,
                     "user %s from %s asks for agent %s: %s", f.user, f.address, name, f.reason);
}

static bool list_one(struct peer *client, const char *name)
{
    const struct known_agent *a =
        directory_agent_for(&client->relay->directory, client->user, view_of_string(name));
    if (!a)
        log_not_listed(client, name);
    return !a || send_if_wanted(client, a, "") ||
           hop_fail(&client->driver.hop, CODE_INTERNAL, "the agent could not be listed");
}

static bool answer(struct peer *client, const char *query)
{
    struct hop *h = &client->driver.hop;
    if (behind(client))
        return hop_fail(h, CODE_FULL, "a list was asked for while the last ones stay unread");
    bool is_name = name_valid(view_of_string(query));
    return (is_name ? list_one(client, query) : list_all(client, query)) &&
           hop_send(h, MESSAGE_END, view_of(NULL, 0));
}

bool listing_answer(struct peer *client, struct view body)
{
    char query[QUERY_MAX_BYTES + 1];
    return read_query(client, body, query) && answer(client, query);
}

bool listing_watch(struct peer *client, struct view body)
{
    char query[QUERY_MAX_BYTES + 1];
    if (!read_query(client, body, query))
        return false;
    listing_unwatch(client);
    client->watch = strdup(query);
    if (!client->watch)
        return hop_fail(&client->driver.hop, CODE_INTERNAL, NO_MEMORY_TEXT);
    list_append(&client->relay->listing->watchers, &client->watching);
    return answer(client, query);
}

void listing_unwatch(struct peer *client)
{
    if (client->watch) {
        list_remove(&client->watching);
        free(client->watch);
        client->watch = NULL;
    }
}

/* ---- Changes. ---- */

static void schedule(struct listing *l, uint64_t due_us)
{
    if (due_us < l->due_us) {
        l->due_us = due_us;
        timer_set(l->relay->loop, &l->timer, due_us);
    }
}

static void mark(struct listing *l, struct notice *n, uint64_t due_us)
{
    if (!list_linked(&n->changed)) {
        list_append(&l->changed, &n->changed);
        n->due_us = due_us;
    } else if (due_us < n->due_us) {
        n->due_us = due_us;
    }
    schedule(l, n->due_us);
}

static void on_presence_changed(struct presence_watch *watch, struct presence *p)
{
    struct listing *l = container_of(watch, struct listing, presence);
    struct notice *n = &container_of(p, struct known_agent, presence)->notice;
    if (list_empty(&l->watchers))
        return;
    uint64_t now = loop_now(l->relay->loop);
    uint64_t due = n->told_us ? n->told_us + NOTICE_INTERVAL_US : now;
    mark(l, n, due > now ? due : now);
}

/* True if a watcher may be told more now; otherwise its hop ends. Charges for so many agents. */
static bool may_tell(struct peer *client, unsigned looks)
{
    if (behind(client))
        peer_bye(client, CODE_FULL, "the changes it watches stay unread", 0);
    else if (!may_look(client, looks * look_cost(client->watch)))
        peer_bye(client, CODE_FULL, "too many changes are watched for this user", RETRY_S);
    else
        return true;
    return false;
}

static void tell_change(struct peer *client, const struct known_agent *a)
{
    char labels[LABELS_MAX_BYTES + 1];
    if (!directory_may_reach(client->user, a->name))
        return;
    known_agent_labels(labels, a);
    if (query_matches(client->watch, a->name, labels))
        send_agent(client, a, labels);
    else if (a->presence.relabelled)
        send_unlisted(client, a);
}

static void tell_watchers(struct listing *l, struct known_agent *a)
{
    list_each (link, &l->watchers) {
        struct peer *client = container_of(link, struct peer, watching);
        if (may_tell(client, 1)) {
            tell_change(client, a);
            hop_driver_update(&client->driver);
        }
    }
    a->presence.relabelled = false;
}

static void on_due(struct timer *timer)
{
    struct listing *l = container_of(timer, struct listing, timer);
    uint64_t now = loop_now(l->relay->loop);
    struct list later;
    list_init(&later);
    l->due_us = CLOCK_NEVER;
    while (!list_empty(&l->changed)) {
        struct notice *n = container_of(l->changed.next, struct notice, changed);
        struct known_agent *a = container_of(n, struct known_agent, notice);
        if (n->due_us > now) {
            list_move(&later, &n->changed);
            continue;
        }
        list_remove(&n->changed);
        n->told_us = now;
        tell_watchers(l, a);
        if (presence_is_duplicate(&a->presence, now)) {
            n->due_us = a->presence.duplicate_until_us; /* they hear of its end too */
            list_append(&later, &n->changed);
        }
    }
    while (!list_empty(&later)) {
        struct notice *n = container_of(later.next, struct notice, changed);
        list_move(&l->changed, &n->changed);
        schedule(l, n->due_us);
    }
}

static void tell_gone(struct peer *client, const struct list *gone_agents)
{
    list_each (link, gone_agents) {
        const struct known_agent *a = container_of(link, struct known_agent, all);
        if (directory_allows(client->user->before, a->name))
            send_unlisted(client, a);
    }
}

/* An agent that the configuration has, as before. */
static void tell_permission(struct peer *client, const struct known_agent *a)
{
    bool was = directory_allows(client->user->before, a->name);
    bool is = directory_may_reach(client->user, a->name);
    if (is && !was)
        send_if_wanted(client, a, client->watch);
    else if (was && !is)
        send_unlisted(client, a);
}

static unsigned tell_permissions(struct peer *client)
{
    unsigned looks = 0;
    if (!changes_in_agents(client->user->before, client->user->config))
        return 0;
    list_each (link, &client->relay->directory.agents) {
        tell_permission(client, container_of(link, struct known_agent, all));
        looks++;
    }
    return looks;
}

void listing_reloaded(struct relay *r, const struct list *gone_agents)
{
    list_each (link, &r->listing->watchers) {
        struct peer *client = container_of(link, struct peer, watching);
        if (client->user->generation != r->directory.generation || !may_tell(client, 0))
            continue; /* its hop ends, or has */
        tell_gone(client, gone_agents);
        may_look(client, tell_permissions(client) * look_cost(client->watch));
        hop_driver_update(&client->driver);
    }
}

bool listing_start(struct relay *r)
{
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return false;
    l->relay = r;
    l->presence.on_changed = on_presence_changed;
    list_init(&l->watchers);
    list_init(&l->changed);
    l->timer.on_fire = on_due;
    l->due_us = CLOCK_NEVER;
    r->listing = l;
    r->directory.watch = &l->presence;
    return true;
}

void listing_stop(struct relay *r)
{
    timer_cancel(r->loop, &r->listing->timer);
}

void listing_free(struct relay *r)
{
    free(r->listing);
    r->listing = NULL;
}
