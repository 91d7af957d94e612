/* The relay's command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exits.h"
#include "base/log.h"
#include "config/config.h"
#include "relay/relay.h"
#include "relay/server.h"

static const char help[] =
    "Usage: spx relay [-c FILE] [--check] [-v] [--json]\n"
    "The meeting place of clients and agents: authenticates both, joins them, reads nothing.\n"
    "\n"
    "  -c, --config FILE  configuration (default /etc/spx/relay.conf)\n"
    "      --check        only say whether the configuration is right\n"
    "  -v, --verbose      log more\n"
    "      --json         log as JSON, one object a line\n"
    "  -h, --help         show this\n"
    "\n"
    "SIGHUP loads the configuration again; SIGTERM and SIGINT end the relay.\n";

enum { OPTION_CHECK = 256, OPTION_JSON };

struct options {
    const char *config_path;
    bool check, verbose, json;
};

static int usage_error(const char *what)
{
    fprintf(stderr, "relay: %s\nTry 'spx relay --help'.\n", what);
    return EXIT_USAGE;
}

/* -1: go on; otherwise the exit code. */
static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"config",  required_argument, NULL, 'c'         },
        {"check",   no_argument,       NULL, OPTION_CHECK},
        {"verbose", no_argument,       NULL, 'v'         },
        {"json",    no_argument,       NULL, OPTION_JSON },
        {"help",    no_argument,       NULL, 'h'         },
        {NULL,      0,                 NULL, 0           },
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "c:vh", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            if (o->config_path) {
                return usage_error("-c is given twice");
            }
            o->config_path = optarg;
            break;
        case 'v':
            o->verbose = true;
            break;
        case OPTION_CHECK:
            o->check = true;
            break;
        case OPTION_JSON:
            o->json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_OK;
        default:
            fputs("Try 'spx relay --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    return optind < argc ? usage_error("it takes options only") : -1;
}

static int run(const struct options *o, const char *path)
{
    struct relay_config config;
    struct error e = {0};
    if (!relay_config_load(&config, path, &e)) {
        fprintf(stderr, "relay: %s\n", e.text);
        return EXIT_CONFIG;
    }
    if (o->check) {
        printf("%s is right: %zu users, %zu agents\n", path, config.user_count, config.agent_count);
        relay_config_free(&config);
        return EXIT_OK;
    }
    log_setup("relay", o->verbose ? LOG_DEBUG : LOG_INFO, o->json);
    return relay_serve(&config, path);
}

int relay_main(int argc, char **argv)
{
    struct options o = {0};
    int code = read_options(&o, argc, argv);
    if (code >= 0) {
        return code;
    }
    char *default_path = o.config_path ? NULL : config_default_path("relay");
    const char *path = o.config_path ? o.config_path : default_path;
    if (path) {
        code = run(&o, path);
    } else {
        fputs("relay: no memory\n", stderr);
        code = EXIT_OTHER;
    }
    free(default_path);
    return code;
}
