/* The options of the client's command line, and which may be combined. */
#include "client/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "wire/messages.h"

#define WAIT_MAX_S (7 * 86400)

static struct client_options *options_of(struct cli *c)
{
    struct client_command *command = c->state;
    return &command->options;
}

static bool add_forward(struct cli *c, enum forward_kind kind, const char *value, struct error *e)
{
    struct client_options *o = options_of(c);
    const char **values = array_append(o->values, &o->value_count, sizeof *values);
    o->values = values ? values : o->values;
    struct forward *more =
        values ? array_append(o->forwards, &o->forward_count, sizeof *more) : NULL;

    if (!more)
        return error_no_memory(e);
    o->forwards = more;
    values[o->value_count - 1] = value;
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

static bool take_reason(struct cli *c, const char *value, struct error *e)
{
    struct view text = view_of_string(value);
    if (text.len == 0 || text.len > REASON_MAX_BYTES || !text_is_clean(text))
        return error_set(e, FAILURE_USAGE,
                         "--reason takes a text of 1 to %d bytes in UTF-8, of one line",
                         REASON_MAX_BYTES);
    return cli_take_once(&options_of(c)->reason, value, "--reason", e);
}

static bool take_emergency(struct cli *c, const char *value, struct error *e)
{
    struct view text = view_of_string(value);
    if (text.len == 0 || text.len > EMERGENCY_MAX_BYTES || !text_is_clean(text))
        return error_set(e, FAILURE_USAGE, "'%.64s' is no emergency code", value);
    return cli_take_once(&options_of(c)->emergency, value, "--emergency-code", e);
}

static bool take_permit(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&options_of(c)->permit, value, "--permit", e);
}

static bool take_wait(struct cli *c, const char *value, struct error *e)
{
    static const struct number_range range = {1, WAIT_MAX_S, SECONDS};
    struct client_options *o = options_of(c);
    return cli_take_once(&o->wait, value, "--wait", e) &&
           value_number(&o->wait_s, value, &range, e);
}

static bool take_watch(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    options_of(c)->watch = true;
    return true;
}

static bool take_state(struct cli *c, const char *value, struct error *e)
{
    for (unsigned state = AGENT_OFFLINE; state <= AGENT_DUPLICATE; state++) {
        if (strcmp(value, agent_state_name(state)) == 0) {
            options_of(c)->states |= 1U << state;
            return true;
        }
    }
    return error_set(e, FAILURE_USAGE,
                     "'%s' is no state; expected is offline, online, dialled or duplicate", value);
}

#define LOCAL "[ADDR:]PORT:HOST:PORT"
#define PERMIT_OPTION                                                \
    {                                                                \
        0, "permit", "FILE", take_permit,                            \
            "the permit by which you have sessions at agents that\n" \
            "do not have your key, in place of Permit"               \
    }
#define SESSION_OPTIONS                                              \
    {0, "reason", "TEXT", take_reason,                               \
     "why you want in, for the people at the agent: they see it\n"   \
     "with the request, and it stands in the agent's log"},          \
        {0, "emergency-code", "CODE", take_emergency,                \
         "a code of the agent's emergency list, which stands once\n" \
         "in place of an approval"},                                 \
        {0, "wait", "DURATION", take_wait,                           \
         "how long to wait for approval at most, as in '10 min';\n"  \
         "then exit with 9"},                                        \
        PERMIT_OPTION,                                               \
    {                                                                \
        0                                                            \
    }

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
    SESSION_OPTIONS,
};

const struct cli_option client_session_options[] = {SESSION_OPTIONS};

const struct cli_option client_list_options[] = {
    {'w', "watch", NULL, take_watch, "go on with changes until interrupted"},
    {'s', "state", "STATE", take_state,
     "only agents in this state: offline, online, dialled, duplicate;\n"
     "can be given several times"},
    PERMIT_OPTION,
    {0},
};

/* The place of a word, or of the one that an option's value is part of, on the command line. */
static int place_of(const struct client_command *command, const char *text)
{
    for (int i = 0; i < command->argc; i++)
        if (text >= command->argv[i] && text <= command->argv[i] + strlen(command->argv[i]))
            return i;
    return command->argc;
}

/* The agent that an option belongs to: the last one before it; the first one, if none is. */
static struct client_wish *wish_before(const struct client_command *command, const char *value)
{
    const struct client_options *o = &command->options;
    size_t i = o->wish_count - 1;
    while (i > 0 && place_of(command, o->wishes[i].agent) > place_of(command, value))
        i--;
    return &o->wishes[i];
}

static bool add_wish(struct client_options *o, const char *agent, struct error *e)
{
    char name[NAME_TEXT_BYTES];
    struct client_wish *more;
    if (!value_name(name, agent, e))
        return false;
    for (size_t i = 0; i < o->wish_count; i++)
        if (strcmp(o->wishes[i].agent, agent) == 0)
            return error_set(e, FAILURE_USAGE, "agent '%s' is given twice", agent);
    more = array_append(o->wishes, &o->wish_count, sizeof *more);
    if (!more)
        return error_no_memory(e);
    o->wishes = more;
    more[o->wish_count - 1] = (struct client_wish){.agent = agent};
    return true;
}

static bool share_forwards(struct client_command *command, struct error *e)
{
    struct client_options *o = &command->options;
    for (size_t i = 0; i < o->forward_count; i++) {
        struct client_wish *wish = wish_before(command, o->values[i]);
        struct forward *more = array_append(wish->forwards, &wish->forward_count, sizeof *more);
        if (!more)
            return error_no_memory(e);
        wish->forwards = more;
        more[wish->forward_count - 1] = o->forwards[i];
    }
    return true;
}

/* "spx client lab-1 list": the command should stand first. */
static bool is_misplaced_verb(const struct cli *c, const char *word)
{
    for (const struct cli_verb *v = c->applet->verbs; v->run; v++)
        if (v->name && strcmp(v->name, word) == 0)
            return true;
    return false;
}

bool client_settle_connect(struct cli *c, struct error *e)
{
    struct client_options *o = options_of(c);
    if (c->word_count == 0)
        return error_set(e, FAILURE_USAGE, "no agent is given; 'spx client list' shows them");
    for (int i = 0; i < c->word_count; i++) {
        if (i > 0 && is_misplaced_verb(c, c->words[i]))
            return error_set(e, FAILURE_USAGE,
                             "unexpected argument '%s': a command stands first: spx client %s %s",
                             c->words[i], c->words[i], c->words[0]);
        if (!add_wish(o, c->words[i], e))
            return false;
    }
    if (o->stdio && o->forward_count)
        return error_set(e, FAILURE_USAGE, "-W cannot be combined with -L, -D, -R or -U");
    if (o->stdio && o->wish_count > 1)
        return error_set(e, FAILURE_USAGE, "-W is for one agent");
    if (o->emergency && o->wish_count > 1)
        return error_set(e, FAILURE_USAGE, "--emergency-code is for one agent");
    return share_forwards(c->state, e);
}

bool client_settle_agent(struct cli *c, struct error *e)
{
    return add_wish(options_of(c), c->words[0], e);
}

bool client_settle_take(struct cli *c, struct error *e)
{
    static const struct number_range numbers = {1, UINT32_MAX, PLAIN_NUMBER};
    uint32_t number;
    if (c->word_count == 2) {
        options_of(c)->call = c->words[1];
        if (!value_number(&number, c->words[1], &numbers, e))
            return false;
    }
    return client_settle_agent(c, e);
}

void client_options_free(struct client_options *o)
{
    for (size_t i = 0; i < o->wish_count; i++)
        free(o->wishes[i].forwards);
    free(o->wishes);
    free(o->forwards);
    free(o->values);
    *o = (struct client_options){0};
}
