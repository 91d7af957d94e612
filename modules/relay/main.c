/* The relay's command line. */
#include "audit/show.h"
#include "cli/cli.h"
#include "config/config.h"
#include "relay/guard.h"
#include "relay/relay.h"
#include "relay/server.h"
#include "relay/show.h"

static bool load(struct cli *c, const char *path, struct error *e)
{
    return relay_config_load(c->state, path, e);
}

static void unload(struct cli *c)
{
    relay_config_free(c->state);
}

static void show(struct cli *c)
{
    const struct relay_config *config = c->state;
    cli_show_key(&config->key);
    show_users(config);
    relay_guard_check(config, c->path);
    audit_show(config->audit);
}

static enum failure serve(struct cli *c)
{
    return relay_run(c->state, c->path);
}

static const struct cli_verb verbs[] = {
    {.words = "", .run = serve},
    {0},
};

static const struct cli_applet applet = {
    .name = "relay",
    .about =
        "The place where clients and agents meet: authenticates both, joins them, reads nothing.",
    .verbs = verbs,
    .load = load,
    .unload = unload,
    .show = show,
    .notes = "--check also shows the public key and fingerprint, which agents each user may\n"
             "reach, and audit keys.\n"
             "Signals: HUP reloads the configuration (what is no longer allowed ends at once),\n"
             "USR1 writes a status to the log, TERM and INT end the relay.",
};

enum failure relay_main(int argc, char **argv)
{
    struct relay_config config;
    return cli_run(&applet, &config, argc, argv);
}
