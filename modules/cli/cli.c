/* Running a command line: help, usage errors, the configuration and --check. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/complete.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "config/config.h"

static enum failure usage_error(const struct cli *c, const struct error *e)
{
    bool of_verb = c->verb && c->verb->name;
    const char *applet = c->applet->name, *verb = of_verb ? c->verb->name : "";
    const char *space = of_verb ? " " : "";
    fprintf(stderr, "spx %s%s%s: %s\nTry 'spx %s%s%s --help'.\n", applet, space, verb, e->text,
            applet, space, verb);
    return e->failure;
}

static bool find_config(struct cli *c, struct error *e)
{
    c->path = c->config_option ? strdup(c->config_option) : config_default_path(c->applet->name);
    if (!c->path)
        return error_no_memory(e);
    if (c->config_option || access(c->path, F_OK) == 0 || errno != ENOENT)
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "no configuration at %s: see spx-%s.conf(5) for an example, or name a file "
                     "with -c",
                     c->path, c->applet->name);
}

void cli_show_key(const struct keypair *own)
{
    char key[KEY_TEXT_BYTES], fingerprint[FINGERPRINT_TEXT_BYTES];
    key_to_text(key, own->public_key);
    key_fingerprint(fingerprint, own->public_key);
    printf("public key %s\nfingerprint %s\n", key, fingerprint);
}

void cli_show_peer(const char *kind, const char *name, const uint8_t *public_key)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(fingerprint, public_key);
    printf("%s %s, key %s\n", kind, name, fingerprint);
}

static enum failure check(struct cli *c)
{
    printf("%s: OK\n", c->path);
    if (c->applet->show)
        c->applet->show(c);
    return FAILURE_NONE;
}

/* Of a configuration that cannot be read. */
static const char *way_around(const struct cli *c)
{
    bool has_one = c->applet->way_around && c->verb->name && !c->check;
    return has_one ? c->applet->way_around : "";
}

static enum failure run_with_config(struct cli *c)
{
    struct error e = {0};
    enum failure failure;
    log_setup(c->applet->name, c->verbose ? LOG_DEBUG : LOG_INFO, c->json);
    if (c->configless) {
        failure = c->verb->run(c);
    } else if (find_config(c, &e) && c->applet->load(c, c->path, &e)) {
        failure = c->check ? check(c) : c->verb->run(c);
        c->applet->unload(c);
    } else {
        log_error("%s%s", e.text, way_around(c));
        failure = e.failure;
    }
    free(c->path);
    return failure;
}

enum failure cli_run(const struct cli_applet *applet, void *state, int argc, char **argv)
{
    struct cli c = {.applet = applet, .state = state};
    struct error e = {0};
    if (argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0) {
        cli_complete(&c, argc - 2, argv + 2);
        return FAILURE_NONE;
    }
    if (!cli_parse(&c, argc, argv, &e))
        return usage_error(&c, &e);
    if (!c.help)
        return applet->load ? run_with_config(&c) : c.verb->run(&c);
    cli_print_help(&c);
    return FAILURE_NONE;
}
