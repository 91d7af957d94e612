/* Asks all relays for lists of agents and merges what they say: to print it, for one agent's key,
 * or for a name that was meant. */
#include "client/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/nearest.h"
#include "client/calls.h"
#include "client/json.h"
#include "client/roster.h"
#include "client/survey.h"
#include "net/loop.h"
#include "permit/vouch.h"

/* When one relay has answered, the others have this long. */
#define OTHERS_US (3 * CLOCK_US_PER_S)

enum relay_answer { UNANSWERED, ANSWERED, FAILED };

/* One question to all relays. */
struct inquiry {
    const struct client_config *config;
    const struct list_options *options;
    struct loop *loop;
    struct survey *survey;
    struct roster roster;
    enum relay_answer *answers; /* the last one of each relay */
    struct timer others;
    void (*on_list)(struct inquiry *l);              /* the list is complete; may be NULL */
    void (*on_change)(struct inquiry *l, size_t at); /* an agent, from then on; may be NULL */
    bool quiet; /* of relays that do not answer: they were told of, or will be */
    bool complete, interrupted;
    bool failed; /* here, whatever relays answer */
    struct wire_error error;
};

static size_t count_of(const struct inquiry *l, enum relay_answer answer)
{
    size_t count = 0;
    for (size_t i = 0; i < l->config->relay_count; i++)
        count += l->answers[i] == answer;
    return count;
}

static void each_change(struct inquiry *l)
{
    for (size_t at = 0; at < l->roster.count; at += roster_agent_span(&l->roster, at))
        l->on_change(l, at);
}

/* All that will answer have. */
static void complete(struct inquiry *l)
{
    if (l->complete)
        return;
    for (size_t i = 0; i < l->config->relay_count; i++)
        if (l->answers[i] == UNANSWERED && !l->quiet)
            log_warning("relay %s has not answered: what it knows is missing here",
                        l->config->relays[i].address.host);
    l->complete = true;
    timer_cancel(l->loop, &l->others);
    if (l->on_list)
        l->on_list(l);
    if (l->on_change)
        each_change(l);
    if (!l->options->watch)
        loop_stop(l->loop);
}

static void on_others(struct timer *timer)
{
    complete(container_of(timer, struct inquiry, others));
}

static void look_on(struct inquiry *l)
{
    if (l->complete)
        return;
    if (count_of(l, UNANSWERED) == 0 && count_of(l, ANSWERED) > 0)
        complete(l);
    else if (count_of(l, UNANSWERED) == 0)
        loop_stop(l->loop); /* each has failed */
    else if (count_of(l, ANSWERED) > 0 && !timer_is_set(&l->others))
        timer_set(l->loop, &l->others, loop_now(l->loop) + OTHERS_US);
}

static void on_agent(void *arg, size_t relay, const struct agent_entry *entry)
{
    struct inquiry *l = arg;
    if (entry->state == AGENT_UNLISTED && !roster_knows(&l->roster, relay, entry->name))
        return;
    const struct sighting *s = roster_put(&l->roster, relay, entry, loop_now(l->loop));
    if (!s) {
        wire_error_set(&l->error, CODE_INTERNAL, "the list is too long for this computer's memory");
        l->failed = true;
        loop_stop(l->loop);
    } else if (l->complete && l->on_change) {
        l->on_change(l, roster_find(&l->roster, s->name));
    }
}

static void on_complete(void *arg, size_t relay)
{
    struct inquiry *l = arg;
    if (l->answers[relay] == FAILED && l->complete)
        log_info("relay %s answers again", l->config->relays[relay].address.host);
    l->answers[relay] = ANSWERED;
    roster_renew(&l->roster, relay, loop_now(l->loop));
    if (l->complete && l->on_change)
        each_change(l);
    look_on(l);
}

/* A watcher waits for a relay that cannot be reached now, but not for one that does not know it. */
static bool is_passing(const struct wire_error *e)
{
    return e->code == CODE_NETWORK || e->code == CODE_TIMEOUT || e->code == CODE_SHUTDOWN ||
           e->code == CODE_FULL || e->code == CODE_INTERNAL;
}

static void on_failed(void *arg, size_t relay, const struct wire_error *error)
{
    struct inquiry *l = arg;
    bool again = l->answers[relay] == FAILED;
    l->answers[relay] = FAILED;
    roster_lose(&l->roster, relay);
    if (!l->complete && count_of(l, FAILED) == l->config->relay_count)
        l->error = *error; /* told at the end */
    else if (!again && !l->quiet)
        log_warning("%s%s", error->text, l->options->watch ? "; asking again" : "");
    if (l->complete && !is_passing(error) && count_of(l, FAILED) == l->config->relay_count) {
        l->complete = false;
        l->error = *error;
        loop_stop(l->loop);
        return;
    }
    if (l->complete && l->on_change)
        each_change(l);
    look_on(l);
}

static const struct survey_events survey_events = {
    .on_agent = on_agent, .on_complete = on_complete, .on_failed = on_failed};

static void on_signal(void *arg, int signo)
{
    struct inquiry *l = arg;
    (void)signo;
    l->interrupted = true;
    loop_stop(l->loop);
}

static bool start(struct inquiry *l, const struct hop_party *party, const char *query)
{
    struct survey_request request = {
        .config = l->config,
        .party = party,
        .query = query,
        .watch = l->options->watch,
        .without = SURVEY_ALL,
        .events = &survey_events,
        .arg = l,
    };
    struct error e = {0};
    l->others.on_fire = on_others;
    l->loop = loop_new_with_signals(on_signal, NULL, NULL, l, &e);
    if (!l->loop)
        return wire_error_set(&l->error, CODE_INTERNAL, "%s", e.text);
    l->answers = calloc(l->config->relay_count, sizeof *l->answers);
    l->survey = l->answers ? survey_new(l->loop, &request) : NULL;
    return l->survey || wire_error_set(&l->error, CODE_INTERNAL, NO_MEMORY_TEXT);
}

/* Asks until the list is complete, or with watch until interrupted. Other than FAILURE_NONE: error
 * says why. The roster is the caller's to free. */
static enum failure ask(struct inquiry *l, const struct hop_party *party, const char *query)
{
    if (start(l, party, query))
        loop_run(l->loop);
    if (l->loop)
        timer_cancel(l->loop, &l->others);
    survey_free(l->survey);
    free(l->answers);
    loop_free(l->loop);
    if (l->interrupted) {
        l->error = (struct wire_error){.code = CODE_INTERNAL, .text = "interrupted"};
        return FAILURE_INTERRUPTED;
    }
    if (l->failed)
        return FAILURE_OTHER;
    return l->complete ? FAILURE_NONE : code_failure(l->error.code);
}

/* ---- Printing. ---- */

/* Nobody reads what cannot be written: then the watch ends too. */
static void flush(struct inquiry *l)
{
    struct error e = {0};
    if (output_flush(&e))
        return;
    l->error = (struct wire_error){0};
    wire_error_set(&l->error, CODE_INTERNAL, "%s", e.text);
    l->failed = true;
    loop_stop(l->loop);
}

#define BETWEEN_LABELS " \t"
#define BEHIND_NAME "= \t"

/* Another label before it has its name. */
static bool is_named_before(const char *label, const char *labels)
{
    size_t name = strcspn(label, BEHIND_NAME);
    for (; (labels += strspn(labels, BETWEEN_LABELS)) < label;
         labels += strcspn(labels, BETWEEN_LABELS))
        if (strcspn(labels, BEHIND_NAME) == name && memcmp(labels, label, name) == 0)
            return true;
    return false;
}

/* "site=boston" as a member. */
static void print_json_label(const char *label, size_t len)
{
    size_t name = strcspn(label, BEHIND_NAME);
    json_text(label, name);
    putchar(':');
    name += name < len;
    json_text(label + name, len - name);
}

/* "site=boston rack=7" as an object; of labels with one name the first counts. */
static void print_json_labels(const char *labels)
{
    const char *separator = "", *at = labels;
    putchar('{');
    for (size_t len; *(at += strspn(at, BETWEEN_LABELS)) != '\0'; at += len) {
        len = strcspn(at, BETWEEN_LABELS);
        if (is_named_before(at, labels))
            continue;
        fputs(separator, stdout);
        separator = ",";
        print_json_label(at, len);
    }
    putchar('}');
}

static void print_json(const struct sighting *s, uint64_t now_us)
{
    char key[KEY_TEXT_BYTES];
    struct told_calls calls;
    sighting_calls(s, &calls, now_us);
    key_to_text(key, s->public_key);
    printf("{\"agent\":\"%s\",\"state\":\"%s\",\"for_s\":%llu,\"labels\":", s->name,
           agent_state_name(s->state),
           (unsigned long long)((now_us - s->since_us) / CLOCK_US_PER_S));
    print_json_labels(s->labels);
    putchar(',');
    calls_print_json(&calls);
    printf(",\"key\":\"%s\"}\n", key);
}

static void print_row(const struct sighting *s, uint64_t now_us)
{
    char age[24];
    struct told_calls calls;
    sighting_calls(s, &calls, now_us);
    text_duration(age, now_us - s->since_us);
    printf("%-24s %-10s %-12s %s\n", s->name, agent_state_name(s->state), age, s->labels);
    calls_print(&calls);
}

/* The text of a line, as a number other than 0; its low bits are the state. */
static uint64_t signature(const struct sighting *s, uint64_t now_us)
{
    uint64_t sum = 14695981039346656037U;
    struct told_calls calls;
    sighting_calls(s, &calls, now_us);
    for (const char *at = s->labels; *at != '\0'; at++)
        sum = (sum ^ (uint8_t)*at) * 1099511628211U;
    sum = calls_signature(&calls, sum);
    return ((sum | 1) << 8) | s->state;
}

static bool wanted(const struct list_options *o, unsigned state)
{
    return !o->states || (state <= AGENT_DUPLICATE && (o->states >> state & 1));
}

/* A line for an agent unless it would say what the last one did. */
static void print_change(struct inquiry *l, size_t at)
{
    const struct list_options *o = l->options;
    struct sighting s = roster_merge(&l->roster, at);
    uint64_t now = loop_now(l->loop), sign = signature(&s, now);
    bool was_wanted = s.told && wanted(o, (uint8_t)s.told);
    if (sign == s.told || (s.state == AGENT_UNLISTED && !s.told))
        return;
    for (size_t i = 0; i < roster_agent_span(&l->roster, at); i++)
        l->roster.all[at + i]->told = sign;
    if (!wanted(o, s.state) && !was_wanted)
        return;
    if (o->json)
        print_json(&s, now);
    else
        print_row(&s, now);
    flush(l);
}

/* The query as relays understand it: a part of a name becomes a pattern. False: it is too long. */
static bool write_query(char out[QUERY_MAX_BYTES + 1], const char *words)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t n; *(words += strspn(words, " \t")) != '\0'; words += n) {
        n = strcspn(words, " \t");
        bool part = strcspn(words, "=*?") >= n;
        const char *mark = part ? "*" : "";
        int more = snprintf(out + len, QUERY_MAX_BYTES + 1 - len, "%s%s%.*s%s", len ? " " : "",
                            mark, (int)n, words, mark);
        if (more < 0 || (len += (size_t)more) > QUERY_MAX_BYTES)
            return false;
    }
    return true;
}

static void print_header(struct inquiry *l)
{
    if (l->options->json)
        return;
    printf("%-24s %-10s %-12s %s\n", "AGENT", "STATE", "FOR", "LABELS");
    flush(l);
}

static void tell_failure(enum failure failure, const struct wire_error *e)
{
    struct log_fields f = {.event = "client_ended", .code = e->code, .reason = e->text};
    if (failure != FAILURE_NONE && failure != FAILURE_INTERRUPTED)
        log_event(LOG_ERROR, &f, "%s", e->text);
}

static enum failure print(const struct client_config *config, const struct hop_party *party,
                          const struct list_options *options, const char *query)
{
    struct inquiry l = {
        .config = config, .options = options, .on_list = print_header, .on_change = print_change};
    enum failure failure = ask(&l, party, query);
    tell_failure(failure, &l.error);
    if (failure == FAILURE_NONE && !l.roster.count)
        log_info(*query ? "no agent that you may reach matches '%s'" : "you may reach no agent%s",
                 options->query);
    roster_free(&l.roster);
    return failure;
}

static const struct list_options once = {.query = ""};

/* The agent of just this name, whatever else the relays have listed; NULL: there is none. */
static const struct sighting *sighting_of(const struct roster *r, const char *name)
{
    size_t at = roster_find(r, name);
    return at < r->count && strcmp(r->all[at]->name, name) == 0 ? r->all[at] : NULL;
}

/* Finds out if the word is the name of an agent, and so not a part of others' names. Whoever gets
 * no answer to this, or has no patience for one, is not to wait for another. */
static enum failure look_for_name(const struct client_config *config, const struct hop_party *party,
                                  const char *word, bool *found)
{
    struct inquiry l = {.config = config, .options = &once, .quiet = true};
    enum failure failure = FAILURE_NONE;
    *found = false;
    if (!name_valid(view_of_string(word)))
        return FAILURE_NONE;
    failure = ask(&l, party, word);
    tell_failure(failure, &l.error);
    *found = failure == FAILURE_NONE && sighting_of(&l.roster, word);
    roster_free(&l.roster);
    return failure;
}

enum failure list_agents(const struct client_config *config, const struct hop_party *party,
                         const struct list_options *options)
{
    char query[QUERY_MAX_BYTES + 1];
    bool is_name;
    enum failure failure = look_for_name(config, party, options->query, &is_name);
    if (failure != FAILURE_NONE)
        return failure;
    if (is_name)
        return print(config, party, options, options->query);
    if (write_query(query, options->query))
        return print(config, party, options, query);
    log_error("the query is longer than %d bytes", QUERY_MAX_BYTES);
    return FAILURE_USAGE;
}

/* ---- One agent. ---- */

static bool keys_agree(const struct roster *r, const struct sighting *s)
{
    size_t at = roster_find(r, s->name);
    for (size_t i = 0; i < roster_agent_span(r, at); i++)
        if (memcmp(r->all[at + i]->public_key, s->public_key, KEY_BYTES) != 0)
            return false;
    return true;
}

/* Its name: it says that the agent's key is as listed. NULL: none does. */
static const char *vouching_authority(const struct client_config *c, const struct sighting *s)
{
    for (size_t i = 0; i < c->authority_count && s->vouch_len; i++)
        if (vouch_says(view_of(s->vouch, s->vouch_len), c->authorities[i].public_key, s->name,
                       s->public_key, clock_wall_s()))
            return c->authorities[i].name;
    return NULL;
}

bool list_find_key(const struct client_config *config, const struct hop_party *party,
                   const char *agent, uint8_t key[KEY_BYTES], const char **authority,
                   enum failure *failure, struct wire_error *e)
{
    struct inquiry l = {.config = config, .options = &once};
    const struct sighting *s;
    *failure = ask(&l, party, agent);
    s = sighting_of(&l.roster, agent);
    loop_release_signals(); /* the engineer is asked next */
    if (*failure != FAILURE_NONE)
        *e = l.error;
    else if (!s)
        wire_error_set(e, CODE_NO_AGENT,
                       "agent %s: no such agent, or not permitted; "
                       "'spx client list' shows the agents that you may reach",
                       agent);
    else if (!keys_agree(&l.roster, s))
        wire_error_set(e, CODE_UNKNOWN_KEY,
                       "agent %s: the relays list different keys for it: ask its owner", agent);
    else
        memcpy(key, s->public_key, KEY_BYTES);
    *authority = s ? vouching_authority(config, s) : NULL;
    roster_free(&l.roster);
    if (*failure == FAILURE_NONE)
        *failure = code_failure(e->code);
    return *failure == FAILURE_NONE;
}

/* An agent whose name has the word in it, if there is just one. */
static const char *only_with(const struct roster *r, const char *word)
{
    const char *found = NULL;
    for (size_t at = 0; at < r->count; at += roster_agent_span(r, at)) {
        if (!strstr(r->all[at]->name, word))
            continue;
        if (found)
            return NULL;
        found = r->all[at]->name;
    }
    return found;
}

bool list_nearest(const struct client_config *config, const struct hop_party *party,
                  const char *name, char out[NAME_TEXT_BYTES])
{
    struct inquiry l = {.config = config, .options = &once, .quiet = true};
    struct nearest nearest = {.word = name};
    const char *best = NULL;
    if (ask(&l, party, "") == FAILURE_NONE) {
        for (size_t i = 0; i < l.roster.count; i++)
            nearest_offer(&nearest, l.roster.all[i]->name);
        best = nearest.best ? nearest.best : only_with(&l.roster, name);
    }
    if (best && strcmp(best, name) == 0)
        best = NULL;
    if (best)
        snprintf(out, NAME_TEXT_BYTES, "%s", best);
    roster_free(&l.roster);
    return best != NULL;
}
