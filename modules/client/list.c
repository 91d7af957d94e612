/* Asks the relays in order for a list of agents: to print it, or for one agent's key. */
#include "client/list.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "hop/outgoing.h"

#define ANSWER_S 20

/* One walk over the relays until one has answered. */
struct listing {
    struct outgoing hop;
    struct loop *loop;
    const struct client_config *config;
    const struct hop_party *party;
    const char *query;
    bool watch;
    void (*on_open)(struct listing *l); /* a relay has taken the hop; may be NULL */
    void (*on_agent)(struct listing *l, const struct agent_entry *entry);
    uint8_t *key; /* list_find_key's result */
    bool found;
    size_t relay_index;
    bool done, interrupted;
    bool failed; /* here, whatever the relay answers */
    struct wire_error error;
};

static void on_open(struct hop *h, const struct info *info)
{
    struct listing *l = container_of(outgoing_of(h), struct listing, hop);
    uint8_t body[QUERY_MAX_BYTES + 2];
    size_t len = query_encode(view_of_string(l->query), body, sizeof body);
    (void)info;
    outgoing_opened(&l->hop);
    if (l->on_open)
        l->on_open(l);
    if (!len) {
        hop_fail(h, CODE_UNSUPPORTED, "query longer than %d bytes", QUERY_MAX_BYTES);
        return;
    }
    if (!l->watch)
        hop_driver_set_deadline(&l->hop.driver, loop_now(l->loop) + ANSWER_S * CLOCK_US_PER_S);
    hop_send(h, l->watch ? MESSAGE_WATCH : MESSAGE_LIST, view_of(body, len));
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct listing *l = container_of(outgoing_of(h), struct listing, hop);
    struct agent_entry entry;
    uint16_t unsupported;
    if (type == MESSAGE_AGENT) {
        if (!agent_entry_decode(&entry, body, &unsupported))
            return hop_fail(h, CODE_PROTOCOL, "malformed list from the relay");
        l->on_agent(l, &entry);
    } else if (type == MESSAGE_END && !l->watch) {
        l->done = true;
        loop_stop(l->loop);
    }
    return true;
}

static const struct hop_handler handler = {.on_open = on_open, .on_message = on_message};

static void try_relay(struct listing *l);

static void on_ended(struct outgoing *o)
{
    struct listing *l = container_of(o, struct listing, hop);
    bool answered = o->open || o->driver.hop.refused_by_peer;
    l->error = (struct wire_error){0};
    if (o->driver.hop.refused_by_peer && !o->open)
        wire_error_set(&l->error, o->driver.hop.error.code, "refused by relay %s: %s", o->relay,
                       o->driver.hop.error.text);
    else
        l->error = o->driver.hop.error;
    outgoing_close(o);
    if (!answered && ++l->relay_index < l->config->relay_count) {
        log_warning("%s", l->error.text);
        try_relay(l);
    } else {
        loop_stop(l->loop);
    }
}

static void try_relay(struct listing *l)
{
    const struct client_relay *relay = &l->config->relays[l->relay_index];
    struct outgoing_request request = {
        .host = relay->address.host,
        .port = relay->address.port,
        .party = l->party,
        .handler = &handler,
        .role = ROLE_CLIENT,
        .peer_key = relay->public_key,
        .on_ended = on_ended,
    };
    if (!outgoing_start(&l->hop, l->loop, &request)) {
        wire_error_set(&l->error, CODE_INTERNAL, NO_MEMORY_TEXT);
        loop_stop(l->loop);
    }
}

static void on_signal(void *arg, int signo)
{
    struct listing *l = arg;
    (void)signo;
    l->interrupted = true;
    loop_stop(l->loop);
}

/* Other than FAILURE_NONE: error says why. */
static enum failure walk(struct listing *l)
{
    struct error e = {0};
    l->loop = loop_new();
    if (!l->loop) {
        wire_error_set(&l->error, CODE_INTERNAL, "cannot create the event loop");
        return FAILURE_OTHER;
    }
    if (loop_on_signals(l->loop, on_signal, NULL, NULL, l, &e)) {
        try_relay(l);
        loop_run(l->loop);
    } else {
        wire_error_set(&l->error, CODE_INTERNAL, "%s", e.text);
    }
    outgoing_close(&l->hop);
    loop_free(l->loop);
    if (l->interrupted)
        wire_error_set(&l->error, CODE_INTERNAL, "interrupted");
    return l->interrupted ? FAILURE_INTERRUPTED
           : l->failed    ? FAILURE_OTHER
           : l->done      ? FAILURE_NONE
                          : code_failure(l->error.code);
}

/* Nobody reads what cannot be written: then the watch ends too. */
static void flush(struct listing *l)
{
    struct error e = {0};
    if (output_flush(&e))
        return;
    wire_error_set(&l->error, CODE_INTERNAL, "%s", e.text);
    l->failed = true;
    loop_stop(l->loop);
}

static void print_header(struct listing *l)
{
    printf("%-24s %-10s %-12s %s\n", "AGENT", "STATE", "FOR", "LABELS");
    flush(l);
}

static void print_agent(struct listing *l, const struct agent_entry *entry)
{
    char name[NAME_MAX_BYTES + 1], labels[LABELS_MAX_BYTES + 1], call[TEXT_MAX_BYTES + 1], age[24];
    l->found = true;
    text_clean(name, sizeof name, entry->name);
    text_clean(labels, sizeof labels, entry->labels);
    text_clean(call, sizeof call, entry->call_text);
    text_duration(age, entry->age_s * CLOCK_US_PER_S);
    printf("%-24s %-10s %-12s %s", name, agent_state_name(entry->state), age, labels);
    if (entry->severity)
        printf("  CALL %u: %s", entry->severity, call);
    putchar('\n');
    flush(l);
}

enum failure list_agents(const struct client_config *config, const struct hop_party *party,
                         const char *query, bool watch)
{
    struct listing l = {.config = config,
                        .party = party,
                        .query = query,
                        .watch = watch,
                        .on_open = print_header,
                        .on_agent = print_agent};
    enum failure failure = walk(&l);
    if (failure != FAILURE_NONE && failure != FAILURE_INTERRUPTED)
        log_error("%s", l.error.text);
    else if (failure == FAILURE_NONE && !l.found)
        log_info(*query ? "no agent that you may reach matches '%s'" : "you may reach no agent%s",
                 query);
    return failure;
}

static void keep_key(struct listing *l, const struct agent_entry *entry)
{
    if (!view_equal(entry->name, view_of_string(l->query)))
        return;
    memcpy(l->key, entry->public_key, KEY_BYTES);
    l->found = true;
}

bool list_find_key(const struct client_config *config, const struct hop_party *party,
                   const char *agent, uint8_t key[KEY_BYTES], struct error *e)
{
    struct listing l = {
        .config = config, .party = party, .query = agent, .on_agent = keep_key, .key = key};
    enum failure failure = walk(&l);
    loop_release_signals(); /* the engineer is asked next */
    if (failure != FAILURE_NONE)
        return error_set(e, failure, "%s", l.error.text);
    return l.found || error_set(e, FAILURE_NO_AGENT,
                                "agent %s: no such agent, or not permitted; "
                                "'spx client list' shows the agents that you may reach",
                                agent);
}
