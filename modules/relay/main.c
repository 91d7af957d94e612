/* The relay's command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/options.h"
#include "relay/relay.h"
#include "relay/server.h"

static const char help[] =
    "usage: spx relay [options]\n"
    "\n"
    "The place where clients and agents meet: authenticates both, joins them, reads nothing.\n"
    "\n"
    "  -c, --config FILE    configuration (default: /etc/spx/relay.conf)\n"
    "      --check          say whether the configuration is right, and exit\n"
    "  -v, --verbose        log more\n"
    "      --json           log lines as JSON\n"
    "  -h, --help           show this\n"
    "\n"
    "Signals: HUP loads the configuration again (what is no longer allowed ends at once),\n"
    "TERM and INT end.\n";

static enum failure run(const struct role_options *o, const char *path)
{
    struct relay_config config;
    struct error e = {0};
    if (!relay_config_load(&config, path, &e)) {
        log_error("%s", e.text);
        return e.failure;
    }
    if (o->check) {
        printf("%s is right; users: %zu, agents: %zu\n", path, config.user_count,
               config.agent_count);
        relay_config_free(&config);
        return FAILURE_NONE;
    }
    return relay_serve(&config, path);
}

enum failure relay_main(int argc, char **argv)
{
    struct role_options o = {.role = "relay", .help = help};
    enum failure failure = FAILURE_OTHER;
    char *path;
    if (!role_options_parse(&o, argc, argv, &failure))
        return failure;
    if (o.word_count)
        return usage_error(o.role, "it takes options only");
    log_setup(o.role, o.verbose ? LOG_DEBUG : LOG_INFO, o.json);
    path = o.config_path ? strdup(o.config_path) : config_default_path(o.role);
    if (path)
        failure = run(&o, path);
    else
        log_error("out of memory");
    free(path);
    return failure;
}
