/* The command line of `spx agent`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/call.h"
#include "agent/server.h"
#include "base/log.h"
#include "config/options.h"

static const char help[] =
    "usage: spx agent [options]\n"
    "       spx agent [options] call SEVERITY TEXT\n"
    "\n"
    "Serves a storage system's TCP services to the users and for the targets that its\n"
    "configuration allows. Calls home to its relays, or waits to be dialled by them.\n"
    "\n"
    "  call SEVERITY TEXT   tell the running agent (by its CallSocket) that the storage\n"
    "                       system asks for help: severity 1 to 255; 0 and no text: over\n"
    "  -c, --config FILE    configuration (default: /etc/spx/agent.conf)\n"
    "      --check          say whether the configuration is right, show the agent's key\n"
    "                       and fingerprint, and exit\n"
    "  -v, --verbose        log more\n"
    "      --json           log lines as JSON\n"
    "  -h, --help           show this\n"
    "\n"
    "Signals: HUP loads the configuration again (what is no longer allowed ends at once),\n"
    "TERM and INT end.\n";

static enum failure show_check(const struct agent_config *config, const char *path)
{
    char key[KEY_TEXT_BYTES], fingerprint[FINGERPRINT_TEXT_BYTES];
    key_to_text(key, config->key.public_key);
    key_fingerprint(fingerprint, config->key.public_key);
    printf("%s is right\nagent %s\npublic key %s\nfingerprint %s\n", path, config->name, key,
           fingerprint);
    return FAILURE_NONE;
}

/* call SEVERITY [TEXT] */
static enum failure call(const struct agent_config *config, int count, char **words)
{
    struct error e = {0};
    static const struct number_range severities = {0, UINT8_MAX, PLAIN_NUMBER};
    uint32_t severity;
    if (count < 2 || count > 3 || !value_number(&severity, words[1], &severities, &e))
        return usage_error("agent", e.failure ? e.text : "call takes SEVERITY and TEXT");
    if ((severity == 0) != (count == 2))
        return usage_error("agent", "a call has a text; severity 0 has none");
    if (!config->call_socket)
        return usage_error("agent", "the configuration has no CallSocket");
    return call_send(config->call_socket, severity, count == 3 ? words[2] : "");
}

static enum failure run(const struct role_options *o, const char *path)
{
    struct agent_config config;
    struct error e = {0};
    enum failure failure;
    if (!agent_config_load(&config, path, &e)) {
        log_error("%s", e.text);
        return e.failure;
    }
    if (!o->check && !o->word_count)
        return agent_serve(&config, path);
    failure = o->check ? show_check(&config, path) : call(&config, o->word_count, o->words);
    agent_config_free(&config);
    return failure;
}

enum failure agent_main(int argc, char **argv)
{
    struct role_options o = {.role = "agent", .help = help};
    enum failure failure = FAILURE_OTHER;
    char *path;
    if (!role_options_parse(&o, argc, argv, &failure))
        return failure;
    if (o.word_count && strcmp(o.words[0], "call") != 0)
        return usage_error(o.role, "the only word it takes is 'call'");
    log_setup(o.role, o.verbose ? LOG_DEBUG : LOG_INFO, o.json);
    path = o.config_path ? strdup(o.config_path) : config_default_path(o.role);
    if (path)
        failure = run(&o, path);
    else
        log_error("out of memory");
    free(path);
    return failure;
}
