/* The client's command line, and what is to be settled before it connects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "client/client.h"
#include "client/connection.h"
#include "client/list.h"
#include "client/trust.h"
#include "config/options.h"

/* The agent's key by the engineer's word, asking the relay for it and the engineer about it on
 * first use. */
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

/* What to forward: what the command line says, or else what the configuration says of the agent. */
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

static enum failure connect_to_agent(struct client_task *t)
{
    enum failure failure;
    if (!settle_forwards(t))
        return usage_error("client",
                           "nothing to do: give -L, -D, -R, -U or -W, or Forward lines in the "
                           "agent's section of the configuration");
    return settle_key(t, &failure) ? connection_run(t) : failure;
}

static enum failure with_config(const struct client_options *options,
                                const struct client_config *config)
{
    struct hop_party party = {.own = &config->key, .version = SPX_VERSION_TEXT, .labels = ""};
    struct client_task task = {.options = options, .config = config, .party = &party};
    handshake_mac1_key(party.mac1_key, config->key.public_key);
    if (options->list)
        return list_agents(config, &party, options->query, options->watch);
    return connect_to_agent(&task);
}

static enum failure run(const struct client_options *options, const char *path)
{
    struct client_config config;
    struct error e = {0};
    enum failure failure = FAILURE_NONE;
    if (!client_config_load(&config, path, &e)) {
        log_error("%s", e.text);
        return e.failure;
    }
    if (options->check)
        printf("%s is right\n", path);
    else
        failure = with_config(options, &config);
    client_config_free(&config);
    return failure;
}

enum failure client_main(int argc, char **argv)
{
    struct client_options options;
    char *path;
    enum failure failure = FAILURE_OTHER;
    if (!client_options_parse(&options, argc, argv, &failure)) {
        client_options_free(&options);
        return failure;
    }
    /* With -W another program talks over this one: only what goes wrong is worth a line. */
    log_setup("client",
              options.verbose ? LOG_DEBUG
              : options.stdio ? LOG_WARNING
                              : LOG_INFO,
              options.json);
    path = options.config_path ? strdup(options.config_path) : config_default_path("client");
    if (path)
        failure = run(&options, path);
    else
        log_error(NO_MEMORY_TEXT);
    free(path);
    client_options_free(&options);
    return failure;
}
