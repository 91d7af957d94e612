/* The client's verbs, and the steps before it connects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/show.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/complete.h"
#include "cli/nearest.h"
#include "client/calls.h"
#include "client/client.h"
#include "client/group.h"
#include "client/list.h"
#include "client/permit.h"
#include "client/targets.h"
#include "client/trust.h"
#include "config/known_agents.h"
#include "forward/statement.h"

/* Asks the relays for the agent's key. */
static bool find_key(const struct client_task *t, uint8_t key[KEY_BYTES], const char **authority,
                     enum failure *failure)
{
    struct wire_error e = {0};
    struct log_fields f = {.event = "client_ended", .agent = t->agent, .reason = e.text};
    if (list_find_key(t->config, t->party, t->agent, key, authority, failure, &e))
        return true;
    f.code = e.code;
    log_event(LOG_ERROR, &f, "%s", e.text);
    return false;
}

/* Finds the agent's key; on first use asks the relays for it and the engineer to confirm it. */
static bool settle_key(struct client_task *t, const char *config_path, enum failure *failure)
{
    struct error e = {0};
    uint8_t listed[KEY_BYTES];
    const char *authority = NULL;
    if (trust_find(t->config, config_path, t->agent, &t->agent_key, &e))
        return true;
    if (!e.failure && !find_key(t, listed, &authority, failure))
        return false;
    if (!e.failure && authority) {
        trust_vouched(t->config, t->agent, listed, authority, &t->agent_key);
        return true;
    }
    if (!e.failure && trust_confirm(t->config, t->agent, listed, &t->agent_key, &e))
        return true;
    log_error("%s", e.text);
    *failure = e.failure;
    return false;
}

/* The forwards that the configuration has for the agent, if the command line has none for it. */
static bool settle_forwards(struct client_task *t)
{
    for (size_t i = 0; i < t->config->agent_count && !t->options->stdio && !t->forward_count; i++) {
        const struct client_agent *agent = &t->config->agents[i];
        if (strcmp(agent->name, t->agent) == 0) {
            t->forwards = agent->forwards;
            t->forward_count = agent->forward_count;
        }
    }
    if (t->forward_count || t->options->stdio || t->question)
        return true;
    log_error("agent %s: nothing to do: give -L, -D, -R, -U or -W, or Forward lines in the agent's "
              "section of the configuration",
              t->agent);
    return false;
}

static struct view permit_of(void *permit)
{
    return client_permit_outer(permit);
}

/* Whom relays meet. False: e says why the user's permit cannot be used. */
static bool make_party(struct hop_party *party, struct client_permit *permit,
                       const struct client_command *command, struct error *e)
{
    const struct client_config *config = &command->config;
    const char *path = command->options.permit ? command->options.permit : config->permit;
    *party = (struct hop_party){.own = &config->key,
                                .version = SPX_VERSION_TEXT,
                                .labels = "",
                                .permit = path ? permit_of : NULL,
                                .permit_arg = permit};
    handshake_mac1_key(party->mac1_key, config->key.public_key);
    return client_permit_start(permit, path, config->key.public_key, e);
}

static enum failure permit_failed(const struct error *e)
{
    log_error("%s", e->text);
    return e->failure;
}

/* There is no such agent: a name that was meant is told. */
static void suggest(const struct client_task *t)
{
    char name[NAME_TEXT_BYTES];
    if (list_nearest(t->config, t->party, t->agent, name))
        log_warning("did you mean '%s'?", name);
}

/* An agent that there is nothing to do at may be a mistyped command. */
static void suggest_command(const struct cli *c)
{
    struct nearest n = {0};
    for (int i = 0; i < c->word_count && !n.best; i++) {
        n.word = c->words[i];
        for (const struct cli_verb *v = c->applet->verbs; v->run; v++)
            if (v->name)
                nearest_offer(&n, v->name);
    }
    if (n.best)
        log_warning("did you mean the command '%s'?", n.best);
}

/* Settles what each agent is reached with, before the first connection. */
static bool settle(struct client_task *tasks, size_t count, const char *config_path,
                   enum failure *failure)
{
    *failure = FAILURE_USAGE;
    for (size_t i = 0; i < count; i++)
        if (!settle_forwards(&tasks[i]))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!settle_key(&tasks[i], config_path, failure)) {
            if (*failure == FAILURE_NO_AGENT)
                suggest(&tasks[i]);
            return false;
        }
    return true;
}

/* Reaches the agents of the command line, each as the template says. */
static enum failure reach_agents(struct cli *c, struct client_task template)
{
    const struct client_command *command = c->state;
    const struct client_options *o = &command->options;
    struct client_task tasks[CLIENT_AGENTS_MAX];
    struct client_permit permit;
    struct hop_party party;
    struct error e = {0};
    enum failure failure;
    if (!make_party(&party, &permit, command, &e))
        return permit_failed(&e);
    template.options = o;
    template.permit = permit.path ? &permit : NULL;
    template.config = &command->config;
    template.party = &party;
    for (size_t i = 0; i < o->wish_count; i++) {
        tasks[i] = template;
        tasks[i].agent = o->wishes[i].agent;
        tasks[i].forwards = o->wishes[i].forwards;
        tasks[i].forward_count = o->wishes[i].forward_count;
    }
    if (!settle(tasks, o->wish_count, c->path, &failure)) {
        if (failure == FAILURE_USAGE)
            suggest_command(c);
        return failure;
    }
    failure = group_run(tasks, o->wish_count);
    for (size_t i = 0; i < o->wish_count && failure == FAILURE_NO_AGENT; i++)
        suggest(&tasks[i]);
    return failure;
}

static enum failure connect_to_agents(struct cli *c)
{
    const struct client_command *command = c->state;
    /* Another program talks over this one: only warnings are worth a line. */
    if (command->options.stdio && !c->verbose)
        log_setup("client", LOG_WARNING, c->json);
    return reach_agents(c, (struct client_task){0});
}

static enum failure show_targets(struct cli *c)
{
    struct client_task question = {
        .question = QUESTION_TARGETS,
        .answered = c->json ? targets_print_json : targets_print,
    };
    if (!c->verbose)
        log_setup("client", LOG_WARNING, c->json);
    return reach_agents(c, question);
}

static enum failure take_calls(struct cli *c)
{
    const struct client_command *command = c->state;
    char words[sizeof QUESTION_TAKE + 16];
    const char *number = command->options.call;
    snprintf(words, sizeof words, "%s%s%s", QUESTION_TAKE, number ? " " : "", number ? number : "");
    if (!c->verbose)
        log_setup("client", LOG_WARNING, c->json);
    return reach_agents(c, (struct client_task){.question = words, .answered = calls_print_taken});
}

static enum failure list(struct cli *c)
{
    const struct client_command *command = c->state;
    struct client_permit permit;
    struct hop_party party;
    struct error e = {0};
    struct list_options options = {
        .query = c->word_count ? c->words[0] : "",
        .watch = command->options.watch,
        .states = command->options.states,
        .json = c->json,
    };
    return make_party(&party, &permit, command, &e)
               ? list_agents(&command->config, &party, &options)
               : permit_failed(&e);
}

static bool load(struct cli *c, const char *path, struct error *e)
{
    struct client_command *command = c->state;
    return client_config_load(&command->config, path, e);
}

static void unload(struct cli *c)
{
    struct client_command *command = c->state;
    client_config_free(&command->config);
}

static void show(struct cli *c)
{
    const struct client_command *command = c->state;
    cli_show_key(&command->config.key);
    audit_show(command->config.audit);
}

static void suggest_known(void *arg, const char *name)
{
    const struct cli *c = arg;
    const struct client_command *command = c->state;
    for (size_t i = 0; i < command->config.agent_count; i++)
        if (strcmp(command->config.agents[i].name, name) == 0)
            return; /* it is offered already */
    cli_offer(c->prefix, name, NULL);
}

static void suggest_agents(struct cli *c)
{
    const struct client_command *command = c->state;
    struct error e = {0};
    for (size_t i = 0; i < command->config.agent_count; i++)
        cli_offer(c->prefix, command->config.agents[i].name, NULL);
    known_agents_names(command->config.known_agents, suggest_known, c, &e);
}

static void suggest_words(struct cli *c, const char *kind)
{
    if (strcmp(kind, "AGENT") == 0 || strcmp(kind, "QUERY") == 0)
        suggest_agents(c);
    if (strcmp(kind, "STATE") == 0)
        for (unsigned state = AGENT_OFFLINE; state <= AGENT_DUPLICATE; state++)
            cli_offer(c->prefix, agent_state_name(state), NULL);
}

static const struct cli_verb verbs[] = {
    {
        .words = "AGENT [-L [ADDR:]PORT:HOST:PORT] [-D [ADDR:]PORT] ... [AGENT ...]\n"
                 "AGENT -W HOST:PORT",
        .words_max = CLIENT_AGENTS_MAX,
        .options = client_connect_options,
        .settle = client_settle_connect,
        .run = connect_to_agents,
    },
    {
        .name = "list",
        .words = "[-w] [-s STATE] [--json] [QUERY]",
        .help = "list the agents that you may reach; QUERY: a name, parts of names,\n"
                "patterns or label=value, quoted when it has several: all must\n"
                "match; --json: an object a line",
        .words_max = 1,
        .options = client_list_options,
        .run = list,
    },
    {
        .name = "targets",
        .words = "[--json] [--reason TEXT] AGENT",
        .help = "ask the agent what you may open there, and where listen",
        .words_min = 1,
        .words_max = 1,
        .options = client_session_options,
        .settle = client_settle_agent,
        .run = show_targets,
    },
    {
        .name = "take",
        .words = "[--reason TEXT] AGENT [NUMBER]",
        .help = "take the call for help of this number, or all that nobody has taken:\n"
                "all who list the agent see that they are yours",
        .words_min = 1,
        .words_max = 2,
        .options = client_session_options,
        .settle = client_settle_take,
        .run = take_calls,
    },
    {0},
};

static const struct cli_applet applet = {
    .name = "client",
    .about = "Reaches services at an agent through a relay.",
    .verbs = verbs,
    .load = load,
    .unload = unload,
    .show = show,
    .suggest = suggest_words,
    .notes = "Several agents are reached at once, each with the options behind its name.\n"
             "An agent whose name is a command is reached after --, as in 'spx client -- list'.\n"
             "Exit codes: 0 ok, 1 other, 2 usage, 3 configuration, 4 not authenticated,\n"
             "5 denied by policy, 6 no such agent, not permitted or offline, 7 network,\n"
             "8 timed out, 9 not approved in time, 130 interrupted.",
};

enum failure client_main(int argc, char **argv)
{
    struct client_command command = {.argc = argc, .argv = calloc((size_t)argc, sizeof *argv)};
    enum failure failure = FAILURE_OTHER;
    if (command.argv) {
        memcpy(command.argv, argv, (size_t)argc * sizeof *argv);
        failure = cli_run(&applet, &command, argc, argv);
    } else {
        log_error(NO_MEMORY_TEXT);
    }
    client_options_free(&command.options);
    free(command.argv);
    return failure;
}
