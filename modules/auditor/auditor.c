/* `spx audit`: its verbs and options. */
#include "auditor/auditor.h"

#include <limits.h>
#include <string.h>

#include "auditor/compare.h"
#include "auditor/show.h"
#include "auditor/verify.h"
#include "cli/cli.h"

static bool take_user(struct cli *c, const char *value, struct error *e)
{
    struct show_options *o = c->state;
    return cli_take_once(&o->user, value, "--user", e);
}

static bool take_agent(struct cli *c, const char *value, struct error *e)
{
    struct show_options *o = c->state;
    return cli_take_once(&o->agent, value, "--agent", e);
}

static bool take_time(const char **out, const char *value, const char *name, struct error *e)
{
    if (show_is_time(value))
        return cli_take_once(out, value, name, e);
    return error_set(e, FAILURE_USAGE,
                     "malformed time '%s'; expected 2026-01-31T12:00:00.123Z, or the beginning of "
                     "that from the year to the day at least",
                     value);
}

static bool take_since(struct cli *c, const char *value, struct error *e)
{
    struct show_options *o = c->state;
    return take_time(&o->since, value, "--since", e);
}

static bool take_until(struct cli *c, const char *value, struct error *e)
{
    struct show_options *o = c->state;
    return take_time(&o->until, value, "--until", e);
}

static bool take_json(struct cli *c, const char *value, struct error *e)
{
    struct show_options *o = c->state;
    (void)value, (void)e;
    o->json = true;
    return true;
}

static const struct cli_option show_options[] = {
    {0, "user", "PATTERN", take_user, "only entries that name this user"},
    {0, "agent", "PATTERN", take_agent, "only entries that name this agent"},
    {0, "since", "TIME", take_since, "only from this time on, in UTC: 2026-01-31T12:00"},
    {0, "until", "TIME", take_until, "only before this time"},
    {0, "json", NULL, take_json, "the lines as they stand in the files"},
    {0},
};

static enum failure run_verify(struct cli *c)
{
    return verify_files(c->words, (size_t)c->word_count);
}

static enum failure run_show(struct cli *c)
{
    return show_files(c->state, c->words, (size_t)c->word_count);
}

static enum failure run_compare(struct cli *c)
{
    return compare_files(c->words, (size_t)c->word_count);
}

static const struct cli_verb verbs[] = {
    {
        .name = "verify",
        .words = "FILE...",
        .help = "check that the files, in any order, hold all entries as they were\n"
                "written",
        .words_min = 1,
        .words_max = INT_MAX,
        .run = run_verify,
    },
    {
        .name = "show",
        .words = "[--user PATTERN] [--since TIME] ... [--json] FILE...",
        .help = "print entries",
        .words_min = 1,
        .words_max = INT_MAX,
        .options = show_options,
        .run = run_show,
    },
    {
        .name = "compare",
        .words = "FILE FILE [FILE]",
        .help = "hold the audits of client, relay and agent against each other",
        .words_min = 2,
        .words_max = 3,
        .run = run_compare,
    },
    {0},
};

static const struct cli_applet applet = {
    .name = "audit",
    .about = "Reads the files that Audit = FILE makes a client, relay or agent write.",
    .verbs = verbs,
    .notes = "Exit codes: 0 all is well, 10 not all was seen by each, 11 altered or contradicted,\n"
             "2 usage, 3 a file cannot be read or holds no audit, 1 other.",
};

enum failure audit_main(int argc, char **argv)
{
    struct show_options options = {0};
    return cli_run(&applet, &options, argc, argv);
}
