/* The options of the client's command line, and which may be combined. */
#include "client/options.h"

#include <stdlib.h>

#include "base/array.h"

static struct client_options *options_of(struct cli *c)
{
    struct client_command *command = c->state;

    return &command->options;
}

static bool add_forward(struct cli *c, enum forward_kind kind, const char *value, struct error *e)
{
    struct client_options *o = options_of(c);
    struct forward *more = array_append(o->forwards, &o->forward_count, sizeof *more);

    if (!more)
        return error_no_memory(e);
    o->forwards = more;
    return value_forward(&more[o->forward_count - 1], kind, value, e);
}

static bool take_local(struct cli *c, const char *value, struct error *e)
{
    return add_forward(c, FORWARD_LOCAL, value, e);
}

static bool take_dynamic(struct cli *c, const char *value, struct error *e)
{
    return add_forward(c, FORWARD_DYNAMIC, value, e);
}

static bool take_remote(struct cli *c, const char *value, struct error *e)
{
    return add_forward(c, FORWARD_REMOTE, value, e);
}

static bool take_udp(struct cli *c, const char *value, struct error *e)
{
    return add_forward(c, FORWARD_UDP, value, e);
}

static bool take_stdio(struct cli *c, const char *value, struct error *e)
{
    struct client_options *o = options_of(c);

    if (o->stdio)
        return error_set(e, FAILURE_USAGE, "-W is given twice");
    o->stdio = true;
    o->stdio_target.kind = TARGET_TCP;
    return value_host_port(&o->stdio_target.at, value, 0, e);
}

static bool take_watch(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    options_of(c)->watch = true;
    return true;
}

#define LOCAL "[ADDR:]PORT:HOST:PORT"

const struct cli_option client_connect_options[] = {
    {'L', NULL, LOCAL, take_local,
     "listen here, connect from the agent to HOST:PORT;\n"
     "port 0: the system chooses one, and the log shows it;\n"
     "instead of either side: the /PATH of a UNIX socket"},
    {'D', NULL, "[ADDR:]PORT", take_dynamic,
     "listen here as a SOCKS 5 and HTTP proxy: the\n"
     "application names the target, the agent resolves names"},
    {'R', NULL, LOCAL, take_remote, "listen at the agent, connect from here to HOST:PORT"},
    {'U', NULL, LOCAL, take_udp,
     "like -L, for UDP\n"
     "without any of these: the Forward lines of the configuration"},
    {'W', NULL, "HOST:PORT", take_stdio,
     "connect standard input and output to HOST:PORT\n"
     "(for ssh: -o ProxyCommand='spx client -W %h:%p AGENT')"},
    {0},
};

const struct cli_option client_list_options[] = {
    {'w', "watch", NULL, take_watch, "go on with changes until interrupted"},
    {0},
};

bool client_settle_connect(struct cli *c, struct error *e)
{
    struct client_options *o = options_of(c);
    char name[NAME_TEXT_BYTES];

    if (c->word_count == 0)
        return error_set(e, FAILURE_USAGE, "no agent is given; 'spx client list' shows them");
    o->agent = c->words[0];
    if (!value_name(name, o->agent, e))
        return false;
    if (o->stdio && o->forward_count)
        return error_set(e, FAILURE_USAGE, "-W cannot be combined with -L, -D, -R or -U");
    return true;
}

void client_options_free(struct client_options *o)
{
    free(o->forwards);
    o->forwards = NULL;
}
