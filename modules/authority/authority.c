/* `spx permit`: its verbs and options. */
#include "authority/authority.h"

#include <stdio.h>
#include <stdlib.h>

#include "authority/issue.h"
#include "authority/revoke.h"
#include "authority/show.h"
#include "authority/vouch.h"
#include "cli/cli.h"

/* Of whichever verb. */
struct permit_order {
    struct issue_order issue;
    struct check_order check;
    struct revoke_order revoke;
    struct vouch_order vouch;
};

static struct issue_order *issue_of(struct cli *c)
{
    return &((struct permit_order *)c->state)->issue;
}

static struct check_order *check_of(struct cli *c)
{
    return &((struct permit_order *)c->state)->check;
}

static enum failure end(bool good, const struct error *e)
{
    if (good)
        return FAILURE_NONE;
    fprintf(stderr, "spx permit: %s\n", e->text);
    return e->failure;
}

/* ---- issue ---- */

static bool take_issue_authority(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->authority, value, "--authority", e);
}

static bool take_user(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->user, value, "--user", e);
}

static bool take_key(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->key, value, "--key", e);
}

static bool take_agents(struct cli *c, const char *value, struct error *e)
{
    return issue_add_patterns(issue_of(c), value, e);
}

static bool take_scope(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->scope, value, "--scope", e);
}

static bool take_agent_key(struct cli *c, const char *value, struct error *e)
{
    return issue_add_key(issue_of(c), value, e);
}

static bool take_allow(struct cli *c, const char *value, struct error *e)
{
    return issue_add_targets(issue_of(c), value, e);
}

static bool take_listen(struct cli *c, const char *value, struct error *e)
{
    return issue_add_places(issue_of(c), value, e);
}

static bool take_from(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->from, value, "--from", e);
}

static bool take_for(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->lasts, value, "--for", e);
}

static bool take_session(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->session, value, "--session", e);
}

static bool take_reason(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&issue_of(c)->reason, value, "--reason", e);
}

static const struct cli_option issue_options[] = {
    {0, "authority", "FILE", take_issue_authority,
     "the authority's private key, of 'spx key new\n--authority FILE'"},
    {0, "user", "NAME", take_user, "whom it is for"},
    {0, "key", "KEY", take_key, "the user's public key"},
    {0, "agents", "PATTERN", take_agents,
     "agents by their names, such as 'boston-*'; several with\ncommas, or the option again"},
    {0, "scope", "NAME", take_scope, "whose agents: the customer's name, as their Scope has it"},
    {0, "agent-key", "KEY", take_agent_key, "an agent by its public key; may be given again"},
    {0, "allow", "TARGET", take_allow,
     "what may be opened there, as Allow of an agent has it;\nseveral with commas, or the option "
     "again"},
    {0, "listen", "ADDRESS", take_listen, "where -R may listen, as Listen of an agent has it"},
    {0, "from", "TIME", take_from, "not before: 2026-12-31T18:00:00+01:00; by default now"},
    {0, "for", "DURATION", take_for, "how long sessions may begin: 30min, 12h, 7d; by default 12h"},
    {0, "session", "DURATION", take_session, "how long each may go on at most"},
    {0, "reason", "TEXT", take_reason, "why, for those at the agent"},
    {0},
};

static bool settle_issue(struct cli *c, struct error *e)
{
    return issue_settle(issue_of(c), e);
}

static enum failure run_issue(struct cli *c)
{
    struct error e = {0};
    return end(issue_print(issue_of(c), &e), &e);
}

/* ---- show, check ---- */

static bool take_check_authority(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&check_of(c)->authority, value, "--authority", e);
}

static bool take_agent(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&check_of(c)->agent, value, "--agent", e);
}

static bool take_check_scope(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&check_of(c)->scope, value, "--scope", e);
}

static bool take_check_key(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&check_of(c)->key, value, "--agent-key", e);
}

static const struct cli_option check_options[] = {
    {0, "authority", "KEY", take_check_authority,
     "the public key of the authority that counts there"},
    {0, "agent", "NAME", take_agent, "the agent, as its own file names it"},
    {0, "scope", "NAME", take_check_scope, "its Scope"},
    {0, "agent-key", "KEY", take_check_key, "its public key"},
    {0},
};

static enum failure run_show(struct cli *c)
{
    struct error e = {0};
    return end(show_permit(c->words[0], &e), &e);
}

static bool settle_check(struct cli *c, struct error *e)
{
    return check_settle(check_of(c), e);
}

static enum failure run_check(struct cli *c)
{
    struct error e = {0};
    return end(check_permit(check_of(c), c->words[0], &e), &e);
}

/* ---- revoke ---- */

static struct revoke_order *revoke_of(struct cli *c)
{
    return &((struct permit_order *)c->state)->revoke;
}

static bool take_revoke_authority(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&revoke_of(c)->authority, value, "--authority", e);
}

static bool take_list(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&revoke_of(c)->list, value, "--list", e);
}

static bool take_permit(struct cli *c, const char *value, struct error *e)
{
    return revoke_add_permit(revoke_of(c), value, e);
}

static bool take_revoked_key(struct cli *c, const char *value, struct error *e)
{
    return revoke_add_key(revoke_of(c), value, e);
}

static bool take_before(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&revoke_of(c)->before, value, "--before", e);
}

static const struct cli_option revoke_options[] = {
    {0, "authority", "FILE", take_revoke_authority, "the authority's private key"},
    {0, "list", "FILE", take_list, "the list before, which this one goes on"},
    {0, "permit", "ID", take_permit, "a permit, by the id that show prints; may be given again"},
    {0, "key", "KEY", take_revoked_key, "all permits of this user's key; may be given again"},
    {0, "before", "TIME", take_before,
     "all permits issued before this time:\n2026-12-31T18:00:00+01:00"},
    {0},
};

static bool settle_revoke(struct cli *c, struct error *e)
{
    return revoke_settle(revoke_of(c), e);
}

static enum failure run_revoke(struct cli *c)
{
    struct error e = {0};
    return end(revoke_print(revoke_of(c), &e), &e);
}

/* ---- agent ---- */

static struct vouch_order *vouch_of(struct cli *c)
{
    return &((struct permit_order *)c->state)->vouch;
}

static bool take_vouch_authority(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&vouch_of(c)->authority, value, "--authority", e);
}

static bool take_vouch_name(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&vouch_of(c)->agent, value, "--name", e);
}

static bool take_vouch_key(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&vouch_of(c)->key, value, "--key", e);
}

static bool take_vouch_for(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&vouch_of(c)->lasts, value, "--for", e);
}

static const struct cli_option vouch_options[] = {
    {0, "authority", "FILE", take_vouch_authority, "the authority's private key"},
    {0, "name", "NAME", take_vouch_name, "the agent's name"},
    {0, "key", "KEY", take_vouch_key, "the agent's public key"},
    {0, "for", "DURATION", take_vouch_for, "how long it counts; by default 366d"},
    {0},
};

static bool settle_vouch(struct cli *c, struct error *e)
{
    return vouch_settle(vouch_of(c), e);
}

static enum failure run_vouch(struct cli *c)
{
    struct error e = {0};
    return end(vouch_print(vouch_of(c), &e), &e);
}

static const struct cli_verb verbs[] = {
    {
        .name = "issue",
        .words = "--authority FILE --user NAME --key KEY ...",
        .help = "sign a permit, and print it",
        .options = issue_options,
        .settle = settle_issue,
        .run = run_issue,
    },
    {
        .name = "show",
        .words = "FILE",
        .help = "print what a permit says; the signature is not checked",
        .words_min = 1,
        .words_max = 1,
        .run = run_show,
    },
    {
        .name = "check",
        .words = "FILE --authority KEY --agent NAME [--scope NAME]",
        .help = "may a session begin by it, at this agent and now? The signature is\n"
                "checked",
        .words_min = 1,
        .words_max = 1,
        .options = check_options,
        .settle = settle_check,
        .run = run_check,
    },
    {
        .name = "revoke",
        .words = "--authority FILE [--list FILE] [--permit ID] [--key KEY] [--before TIME]",
        .help = "sign a list of what counts no more, for Revocations of agents, and\n"
                "print it",
        .options = revoke_options,
        .settle = settle_revoke,
        .run = run_revoke,
    },
    {
        .name = "agent",
        .words = "--authority FILE --name NAME --key KEY [--for DURATION]",
        .help = "sign a statement that the key is the agent's, for Statement of\n"
                "relays: clients that trust the authority ask nobody",
        .options = vouch_options,
        .settle = settle_vouch,
        .run = run_vouch,
    },
    {0},
};

static const struct cli_applet applet = {
    .name = "permit",
    .about = "Issues permits, by which users have sessions at agents that do not have their keys.",
    .verbs = verbs,
    .notes = "FILE may be '-' for standard input, and a mail with a permit in it.",
};

enum failure permit_main(int argc, char **argv)
{
    struct permit_order *order = calloc(1, sizeof *order);
    enum failure failure;
    struct error e = {0};
    if (!order) {
        error_no_memory(&e);
        return end(false, &e);
    }
    failure = cli_run(&applet, order, argc, argv);
    issue_free(&order->issue);
    free(order);
    return failure;
}
