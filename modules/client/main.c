/* The client's verbs, and the steps before it connects. */
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "cli/cli.h"
#include "client/client.h"
#include "client/connection.h"
#include "client/list.h"
#include "client/trust.h"

/* Finds the agent's key; on first use asks the relay for it and the engineer to confirm it. */
static bool settle_key(struct client_task *t, enum failure *failure)
{
    struct error e = {0};
    const char *agent = t->options->agent;
    uint8_t listed[KEY_BYTES];
    if (trust_find(t->config, agent, t->agent_key, &e))
        return true;
    if (!e.failure && list_find_key(t->config, t->party, agent, listed, &e) &&
        trust_confirm(t->config, agent, listed, &e)) {
        memcpy(t->agent_key, listed, sizeof listed);
        return true;
    }
    log_error("%s", e.text);
    *failure = e.failure;
    return false;
}

/* The forwards of the command line, or else those that the configuration has for the agent. */
static bool settle_forwards(struct client_task *t)
{
    t->forwards = t->options->forwards;
    t->forward_count = t->options->forward_count;
    for (size_t i = 0; i < t->config->agent_count && !t->options->stdio && !t->forward_count; i++) {
        const struct client_agent *agent = &t->config->agents[i];
        if (strcmp(agent->name, t->options->agent) == 0) {
            t->forwards = agent->forwards;
            t->forward_count = agent->forward_count;
        }
    }
    return t->forward_count || t->options->stdio;
}

static struct hop_party party_of(const struct client_config *config)
{
    struct hop_party party = {.own = &config->key, .version = SPX_VERSION_TEXT, .labels = ""};

    handshake_mac1_key(party.mac1_key, config->key.public_key);
    return party;
}

static enum failure connect_to_agent(struct cli *c)
{
    const struct client_command *command = c->state;
    struct hop_party party = party_of(&command->config);
    struct client_task task = {
        .options = &command->options, .config = &command->config, .party = &party};
    enum failure failure = FAILURE_USAGE;

    /* Another program talks over this one: only warnings are worth a line. */
    if (command->options.stdio && !c->verbose)
        log_setup("client", LOG_WARNING, c->json);
    if (settle_forwards(&task))
        return settle_key(&task, &failure) ? connection_run(&task) : failure;
    log_error("nothing to do: give -L, -D, -R, -U or -W, or Forward lines in the agent's section "
              "of the configuration");
    return failure;
}

static enum failure list(struct cli *c)
{
    const struct client_command *command = c->state;
    struct hop_party party = party_of(&command->config);

    return list_agents(&command->config, &party, c->word_count ? c->words[0] : "",
                       command->options.watch);
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
}

static const struct cli_verb verbs[] = {
    {
        .words = "AGENT [-L [ADDR:]PORT:HOST:PORT] [-D [ADDR:]PORT] ...\n"
                 "AGENT -W HOST:PORT",
        .words_max = 1,
        .options = client_connect_options,
        .settle = client_settle_connect,
        .run = connect_to_agent,
    },
    {
        .name = "list",
        .words = "[-w] [QUERY]",
        .help = "list the agents that you may reach; QUERY: names, patterns\n"
                "or label=value, quoted when it has several: all must match",
        .words_max = 1,
        .options = client_list_options,
        .run = list,
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
    .notes = "An agent whose name is a command is reached after --, as in 'spx client -- list'.\n"
             "Exit codes: 0 ok, 1 other, 2 usage, 3 configuration, 4 not authenticated,\n"
             "5 denied by policy, 6 no such agent, not permitted or offline, 7 network,\n"
             "8 timed out, 130 interrupted.",
};

enum failure client_main(int argc, char **argv)
{
    struct client_command command = {0};
    enum failure failure = cli_run(&applet, &command, argc, argv);

    client_options_free(&command.options);
    return failure;
}
