/* The agent's command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/approvals.h"
#include "agent/call_command.h"
#include "agent/control.h"
#include "agent/control_command.h"
#include "agent/emergency.h"
#include "agent/guard.h"
#include "agent/server.h"
#include "agent/show.h"
#include "audit/recent.h"
#include "audit/show.h"
#include "cli/cli.h"
#include "web/web.h"

struct command {
    struct agent_config config;
    uint32_t severity; /* of a call */
    const char *why;   /* sessions are ended */
    uint32_t for_s;    /* it is unlocked or approved; 0: not given */
    uint32_t number;   /* of a request or an approval */
    uint32_t last;     /* entries of the audit; 0: some */
    bool makes_codes;
    uint32_t codes;     /* emergency codes to make */
    const char *listen; /* where the page is; NULL: somewhere */
    const char *socket; /* given in place of the configuration's */
};

static bool load(struct cli *c, const char *path, struct error *e)
{
    struct command *command = c->state;
    return agent_config_load(&command->config, path, e);
}

static void unload(struct cli *c)
{
    struct command *command = c->state;
    agent_config_free(&command->config);
}

static void show(struct cli *c)
{
    const struct command *command = c->state;
    printf("agent %s\n", command->config.name);
    cli_show_key(&command->config.key);
    show_policy(&command->config);
    agent_guard_check(&command->config, c->path);
    show_places(&command->config);
    audit_show(command->config.audit);
}

static enum failure serve(struct cli *c)
{
    struct command *command = c->state;
    return agent_run(&command->config, c->path);
}

static bool settle_call(struct cli *c, struct error *e)
{
    static const struct number_range severities = {0, UINT8_MAX, PLAIN_NUMBER};
    struct command *command = c->state;
    static const struct number_range numbers = {1, UINT32_MAX, PLAIN_NUMBER};
    uint32_t number;

    if (!value_number(&command->severity, c->words[0], &severities, e))
        return false;
    if (command->severity && c->word_count == 1)
        return error_set(e, FAILURE_USAGE, "a call has a TEXT");
    return command->severity || c->word_count == 1 ||
           value_number(&number, c->words[1], &numbers, e);
}

/* ---- Commands over the control socket. ---- */

/* NULL: there is none, which is said. */
static const char *control_socket(const struct cli *c)
{
    const struct command *command = c->state;
    const char *path = command->socket ? command->socket : agent_config_socket(&command->config);
    if (!path)
        fprintf(stderr, "spx agent %s: %s: no ControlSocket in [Agent]\n", c->verb->name, c->path);
    return path;
}

/* Members of ControlGroup need not be able to read the configuration and its key. */
static bool take_socket(struct cli *c, const char *value, struct error *e)
{
    struct command *command = c->state;
    c->configless = true;
    return cli_take_once(&command->socket, value, "--socket", e);
}

static enum failure call(struct cli *c)
{
    const struct command *command = c->state;
    const char *path = control_socket(c);
    return path ? call_send(path, command->severity, c->word_count == 2 ? c->words[1] : "", c->json)
                : FAILURE_CONFIG;
}

static bool settle_codes(struct cli *c, struct error *e)
{
    static const struct number_range counts = {0, EMERGENCY_CODES_MAX, PLAIN_NUMBER};
    struct command *command = c->state;
    command->makes_codes = c->word_count > 0;
    if (c->word_count == 0)
        return true;
    if (strcmp(c->words[0], "new") != 0)
        return error_set(e, FAILURE_USAGE, "expected codes, or codes new COUNT");
    return c->word_count == 2 ? value_number(&command->codes, c->words[1], &counts, e)
                              : error_set(e, FAILURE_USAGE, "codes new takes a COUNT");
}

static enum failure order(struct cli *c)
{
    const struct command *command = c->state;
    struct control_order given = {
        .path = control_socket(c),
        .verb = c->verb->name,
        .json = c->json,
        .what = c->word_count && !command->number && !command->makes_codes ? c->words[0] : NULL,
        .number = command->number,
        .makes_codes = command->makes_codes,
        .codes = command->codes,
        .why = command->why,
        .for_s = command->for_s,
    };
    return given.path ? control_command(&given) : FAILURE_CONFIG;
}

static bool settle_audit(struct cli *c, struct error *e)
{
    static const struct number_range counts = {1, AUDIT_RECENT_MAX, PLAIN_NUMBER};
    struct command *command = c->state;
    return c->word_count == 0 || value_number(&command->last, c->words[0], &counts, e);
}

static enum failure show_audit(struct cli *c)
{
    const struct command *command = c->state;
    const struct control_order given = {
        .path = control_socket(c), .verb = "audit", .json = c->json, .last = command->last};
    return given.path ? control_command(&given) : FAILURE_CONFIG;
}

static bool take_why(struct cli *c, const char *value, struct error *e)
{
    struct command *command = c->state;
    return cli_take_once(&command->why, value, "--why", e);
}

/* ---- The page. ---- */

static bool take_listen(struct cli *c, const char *value, struct error *e)
{
    struct command *command = c->state;
    return cli_take_once(&command->listen, value, "--listen", e);
}

static bool settle_web(struct cli *c, struct error *e)
{
    const struct command *command = c->state;
    return web_check(&(struct web_settings){.listen = command->listen}, e);
}

/* The process has read the configuration, and the agent's key with it: it begins anew without. */
static enum failure begin_anew(const struct cli *c, const char *socket)
{
    const struct command *command = c->state;
    const char *more[4] = {NULL};
    size_t count = 0;
    if (c->json)
        more[count++] = "--json";
    if (c->verbose)
        more[count++] = "-v";
    if (command->listen) {
        more[count++] = "--listen";
        more[count++] = command->listen;
    }
    execl("/proc/self/exe", "spx", "agent", "web", "--socket", socket, more[0], more[1], more[2],
          more[3], NULL);
    fprintf(stderr, "spx agent web: cannot start again: %s; give --socket %s\n", system_text(errno),
            socket);
    return FAILURE_OTHER;
}

static enum failure serve_page(struct cli *c)
{
    const struct command *command = c->state;
    const char *socket = control_socket(c);
    const struct web_settings settings = {
        .socket = socket, .listen = command->listen, .json = c->json, .verbose = c->verbose};
    if (!socket)
        return FAILURE_CONFIG;
    return command->socket ? web_run(&settings) : begin_anew(c, socket);
}

#define SOCKET_OPTION                                                                        \
    {                                                                                        \
        0, "socket", "PATH", take_socket, "the ControlSocket; no configuration is read then" \
    }

static const struct cli_option control_options[] = {SOCKET_OPTION, {0}};

static const struct cli_option end_options[] = {
    SOCKET_OPTION,
    {0, "why", "TEXT", take_why, "the reason, which the users read"},
    {0},
};

static bool take_duration(struct cli *c, const char *value, uint32_t most_s, struct error *e)
{
    const struct number_range times = {1, most_s, SECONDS};
    struct command *command = c->state;
    if (command->for_s)
        return error_set(e, FAILURE_USAGE, "--for is given twice");
    if (value_number(&command->for_s, value, &times, e))
        return true;
    e->failure = FAILURE_USAGE;
    return false;
}

static bool take_unlocked(struct cli *c, const char *value, struct error *e)
{
    return take_duration(c, value, UNLOCK_MAX_S, e);
}

static bool take_approved(struct cli *c, const char *value, struct error *e)
{
    return take_duration(c, value, APPROVAL_MAX_S, e);
}

static const struct cli_option unlock_options[] = {
    SOCKET_OPTION,
    {0, "for", "TIME", take_unlocked, "lock itself again after so long: 4h, 30min"},
    {0},
};

static const struct cli_option approve_options[] = {
    SOCKET_OPTION,
    {0, "for", "TIME", take_approved, "no session of this user's key has to ask for so\nlong: 4h"},
    {0},
};

static const struct cli_option deny_options[] = {
    SOCKET_OPTION,
    {0, "why", "TEXT", take_why, "the reason, which the user reads"},
    {0},
};

static bool settle_number(struct cli *c, struct error *e)
{
    static const struct number_range numbers = {1, UINT32_MAX, PLAIN_NUMBER};
    struct command *command = c->state;
    return value_number(&command->number, c->words[0], &numbers, e);
}

static const struct cli_option web_options[] = {
    SOCKET_OPTION,
    {0, "listen", "ADDRESS", take_listen,
     "a loopback address and port, or the path of a socket;\n"
     "otherwise a port that is free"},
    {0},
};

static const struct cli_verb verbs[] = {
    {.words = "", .run = serve},
    {
        .name = "call",
        .words = "SEVERITY [TEXT|NUMBER]",
        .help = "call for help for the storage system, through the\n"
                "running agent's ControlSocket: severity 1 to 255, the\n"
                "gravest; 0 ends all calls, or the one of this number",
        .words_min = 1,
        .words_max = 2,
        .options = control_options,
        .settle = settle_call,
        .run = call,
    },
    {
        .name = "status",
        .words = "",
        .help = "how the running agent stands: its relays, and who may\n"
                "connect now",
        .options = control_options,
        .run = order,
    },
    {
        .name = "sessions",
        .words = "",
        .help = "the sessions that there are, and what they reach",
        .options = control_options,
        .run = order,
    },
    {
        .name = "requests",
        .words = "",
        .help = "the sessions that wait for approval",
        .options = control_options,
        .run = order,
    },
    {
        .name = "approve",
        .words = "CODE [--for TIME]",
        .help = "let the session begin whose user has read you this\n"
                "code from the client's status line",
        .words_min = 1,
        .words_max = 1,
        .options = approve_options,
        .run = order,
    },
    {
        .name = "deny",
        .words = "NUMBER [--why TEXT]",
        .help = "refuse the request of this number; its user may not\n"
                "ask for some minutes",
        .words_min = 1,
        .words_max = 1,
        .options = deny_options,
        .settle = settle_number,
        .run = order,
    },
    {
        .name = "approvals",
        .words = "",
        .help = "what is approved for a time",
        .options = control_options,
        .run = order,
    },
    {
        .name = "withdraw",
        .words = "NUMBER",
        .help = "end the approval of this number before its time",
        .words_min = 1,
        .words_max = 1,
        .options = control_options,
        .settle = settle_number,
        .run = order,
    },
    {
        .name = "codes",
        .words = "[new COUNT]",
        .help = "how many emergency codes are left, each of which stands\n"
                "once in place of an approval; new: make COUNT of them,\n"
                "0 to 20, in place of those before, and show them",
        .words_max = 2,
        .options = control_options,
        .settle = settle_codes,
        .run = order,
    },
    {
        .name = "end",
        .words = "SESSION|USER|all [--why TEXT]",
        .help = "end a session by its number, those of a user, or all,\n"
                "at once; the users may come again",
        .words_min = 1,
        .words_max = 1,
        .options = end_options,
        .run = order,
    },
    {
        .name = "lock",
        .words = "[--why TEXT]",
        .help = "end all sessions, and let nobody in until unlock, also\n"
                "after a restart",
        .options = end_options,
        .run = order,
    },
    {
        .name = "unlock",
        .words = "[--for TIME]",
        .help = "let users in again who may have sessions",
        .options = unlock_options,
        .run = order,
    },
    {
        .name = "watch",
        .words = "",
        .help = "show each event as it happens, until interrupted",
        .options = control_options,
        .run = order,
    },
    {
        .name = "audit",
        .words = "[COUNT]",
        .help = "the last entries of the agent's audit",
        .words_max = 1,
        .options = control_options,
        .settle = settle_audit,
        .run = show_audit,
    },
    {
        .name = "web",
        .words = "[--listen ADDRESS]",
        .help = "a page for a browser on this machine: requests,\n"
                "sessions, the lock; prints its address",
        .options = web_options,
        .settle = settle_web,
        .run = serve_page,
    },
    {0},
};

static const struct cli_applet applet = {
    .name = "agent",
    .about = "Serves a storage system's services to the users and for the targets that its\n"
             "configuration allows. Calls home to its relays, or waits to be dialled by them.",
    .verbs = verbs,
    .load = load,
    .unload = unload,
    .show = show,
    .notes = "'spx agent COMMAND --help' tells the options of a command.\n"
             "--check also shows the agent's name, public key and fingerprint, and what each user\n"
             "may do, and audit keys.\n"
             "Signals: HUP reloads the configuration (what is no longer allowed ends at once),\n"
             "USR1 writes a status to the log, TERM and INT end the agent.",
    .way_around = "; with --socket PATH no configuration is read",
};

enum failure agent_main(int argc, char **argv)
{
    struct command command = {0};
    return cli_run(&applet, &command, argc, argv);
}
