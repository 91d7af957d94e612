#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/call.h"
#include "agent/server.h"
#include "base/exits.h"
#include "base/log.h"

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

struct options {
    const char *config_path;
    bool check, json;
    int verbose;
};

enum { OPTION_CHECK = 256, OPTION_JSON };

static const struct option long_options[] = {
    {"config",  required_argument, NULL, 'c'         },
    {"check",   no_argument,       NULL, OPTION_CHECK},
    {"verbose", no_argument,       NULL, 'v'         },
    {"json",    no_argument,       NULL, OPTION_JSON },
    {"help",    no_argument,       NULL, 'h'         },
    {NULL,      0,                 NULL, 0           },
};

static int usage(const char *what)
{
    if (what)
        fprintf(stderr, "spx agent: %s\n", what);
    fputs("Try 'spx agent --help'.\n", stderr);
    return EXIT_USAGE;
}

static bool take_option(struct options *o, int option)
{
    switch (option) {
    case 'c':
        o->config_path = optarg;
        return true;
    case 'v':
        o->verbose++;
        return true;
    case OPTION_CHECK:
        o->check = true;
        return true;
    case OPTION_JSON:
        o->json = true;
        return true;
    default:
        return false;
    }
}

static int show_check(const struct agent_config *config, const char *path)
{
    char key[KEY_TEXT_BYTES], fingerprint[FINGERPRINT_TEXT_BYTES];
    key_to_text(key, config->key.public_key);
    key_fingerprint(fingerprint, config->key.public_key);
    printf("%s is right\nagent %s\npublic key %s\nfingerprint %s\n", path, config->name, key, fingerprint);
    return EXIT_OK;
}

/* call SEVERITY [TEXT] */
static int call(const struct agent_config *config, int count, char **words)
{
    struct error e = {0};
    uint64_t severity;
    if (count < 2 || count > 3 || !value_number(&severity, words[1], 0, 255, &e))
        return usage(e.code ? e.text : "call takes SEVERITY and TEXT");
    if ((severity == 0) != (count == 2))
        return usage("a call has a text; severity 0 has none");
    if (!config->call_socket)
        return usage("the configuration has no CallSocket");
    return call_send(config->call_socket, (unsigned)severity, count == 3 ? words[2] : "");
}

static int with_config(const struct options *o, int count, char **words)
{
    struct agent_config config;
    struct error e = {0};
    int exit_code;
    char *path = o->config_path ? strdup(o->config_path) : config_default_path("agent");
    if (!path || !agent_config_load(&config, path, &e)) {
        log_error("%s", path ? e.text : "out of memory");
        free(path);
        return path ? e.code : EXIT_OTHER;
    }
    if (o->check || count) {
        exit_code = o->check ? show_check(&config, path) : call(&config, count, words);
        agent_config_free(&config);
    } else {
        exit_code = agent_serve(&config, path);
    }
    free(path);
    return exit_code;
}

int agent_main(int argc, char **argv)
{
    struct options o = {0};
    int option, count;
    while ((option = getopt_long(argc, argv, "c:vh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return EXIT_OK;
        }
        if (!take_option(&o, option))
            return usage(NULL);
    }
    count = argc - optind;
    if (count && strcmp(argv[optind], "call") != 0)
        return usage("the only word it takes is 'call'");
    log_setup("agent", o.verbose ? LOG_DEBUG : LOG_INFO, o.json);
    return with_config(&o, count, argv + optind);
}
