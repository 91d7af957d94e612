/* The client's options, each with its handler, and what they may not be combined with. */
#include "client/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

static const char help[] =
    "usage: spx client [options] AGENT [-L [ADDR:]PORT:HOST:PORT] [-D [ADDR:]PORT] ...\n"
    "       spx client [options] AGENT -W HOST:PORT\n"
    "       spx client [options] list [QUERY]\n"
    "\n"
    "Reaches services at an agent through a relay.\n"
    "\n"
    "  -L [ADDR:]PORT:HOST:PORT  listen here, connect from the agent to HOST:PORT;\n"
    "                            port 0: the system chooses one and it is shown;\n"
    "                            /PATH of a UNIX socket instead of either side\n"
    "  -D [ADDR:]PORT            listen here as a SOCKS 5 and HTTP CONNECT proxy: the\n"
    "                            application names the target, the agent looks names up\n"
    "  -R [ADDR:]PORT:HOST:PORT  listen at the agent, connect from here to HOST:PORT\n"
    "  -U [ADDR:]PORT:HOST:PORT  the same as -L for UDP\n"
    "                            Without these: the configuration's Forward lines\n"
    "  -W HOST:PORT              tie standard input and output to HOST:PORT\n"
    "                            (for ssh: -o ProxyCommand='spx client -W %h:%p AGENT')\n"
    "  list [QUERY]              list the agents that you may reach: names, patterns or\n"
    "                            label=value, all must match\n"
    "  -w, --watch               list: go on with changes until interrupted\n"
    "  -c, --config FILE         configuration (default: $XDG_CONFIG_HOME/spx/client.conf\n"
    "                            or ~/.config/spx/client.conf)\n"
    "      --check               say whether the configuration is right, and exit\n"
    "  -v, --verbose             log more\n"
    "      --json                log lines as JSON\n"
    "  -h, --help                show this\n"
    "\n"
    "Exit codes: 0 ok, 1 other, 2 usage, 3 configuration, 4 not authenticated,\n"
    "5 denied by policy, 6 no such agent or offline, 7 network, 8 timed out,\n"
    "130 interrupted.\n";

enum { OPTION_CHECK = 256, OPTION_JSON };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"watch", no_argument, NULL, 'w'},
    {"verbose", no_argument, NULL, 'v'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool usage(enum failure *failure, const char *what)
{
    *failure = usage_error("client", what);
    return false;
}

static bool add_forward(struct client_options *o, enum forward_kind kind, const char *text,
                        struct error *e)
{
    struct forward *more = realloc(o->forwards, (o->forward_count + 1) * sizeof *more);
    if (!more)
        return error_no_memory(e);
    o->forwards = more;
    if (!value_forward(&more[o->forward_count], kind, text, e))
        return false;
    o->forward_count++;
    return true;
}

static bool set_stdio(struct client_options *o, const char *text, struct error *e)
{
    if (o->stdio)
        return error_set(e, FAILURE_USAGE, "-W is given twice");
    o->stdio = true;
    o->stdio_target.kind = TARGET_TCP;
    return value_host_port(&o->stdio_target.at, text, 0, e);
}

static bool take_option(struct client_options *o, int option, struct error *e)
{
    switch (option) {
    case 'c':
        if (o->config_path)
            return error_set(e, FAILURE_USAGE, "-c is given twice");
        o->config_path = optarg;
        return true;
    case 'L':
        return add_forward(o, FORWARD_LOCAL, optarg, e);
    case 'D':
        return add_forward(o, FORWARD_DYNAMIC, optarg, e);
    case 'R':
        return add_forward(o, FORWARD_REMOTE, optarg, e);
    case 'U':
        return add_forward(o, FORWARD_UDP, optarg, e);
    case 'W':
        return set_stdio(o, optarg, e);
    case 'w':
        o->watch = true;
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
        return error_set(e, FAILURE_USAGE, "%s", "");
    }
}

/* AGENT, or list [QUERY …]. */
static bool take_words(struct client_options *o, int count, char **words, struct error *e)
{
    char name[NAME_TEXT_BYTES];
    if (count > 0 && strcmp(words[0], "list") == 0) {
        o->list = true;
        o->query = count > 1 ? words[1] : "";
        if (count > 2)
            return error_set(e, FAILURE_USAGE,
                             "list takes one QUERY; quote it when it has several words");
    } else if (count > 1) {
        return error_set(e, FAILURE_USAGE, "'%s' is one word too many", words[1]);
    } else if (count == 1) {
        o->agent = words[0];
        if (!value_name(name, o->agent, e))
            return false;
    } else if (!o->check) {
        return error_set(e, FAILURE_USAGE, "which agent? Give its name, or 'list'");
    }
    return true;
}

static bool check_together(const struct client_options *o, struct error *e)
{
    if (o->check)
        return true;
    if (o->list && (o->stdio || o->forward_count))
        return error_set(e, FAILURE_USAGE, "list goes with neither forwards nor -W");
    if (o->watch && !o->list)
        return error_set(e, FAILURE_USAGE, "--watch goes with list only");
    if (o->stdio && o->forward_count)
        return error_set(e, FAILURE_USAGE, "-W goes alone, without forwards");
    return true;
}

bool client_options_parse(struct client_options *o, int argc, char **argv, enum failure *failure)
{
    struct error e = {0};
    int option;
    *o = (struct client_options){0};
    while ((option = getopt_long(argc, argv, "c:L:D:R:U:W:wvh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            *failure = FAILURE_NONE;
            return false;
        }
        if (!take_option(o, option, &e))
            return usage(failure, e.text[0] ? e.text : NULL);
    }
    if (!take_words(o, argc - optind, argv + optind, &e) || !check_together(o, &e))
        return usage(failure, e.text);
    return true;
}

void client_options_free(struct client_options *o)
{
    free(o->forwards);
    o->forwards = NULL;
}
