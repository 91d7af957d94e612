/* Reading a command line by an applet's tables. */
#ifndef SPX_CLI_PARSE_H
#define SPX_CLI_PARSE_H

#include "cli/tables.h"

/* Fills c, whose applet and state are set. False: a usage error. With c->help nothing but that
 * counts, and c->verb is NULL when no verb was given. */
bool cli_parse(struct cli *c, int argc, char **argv, struct error *e);

/* The verb of this name; NULL: the one without a name. NULL: there is none. */
const struct cli_verb *cli_find_verb(const struct cli_applet *applet, const char *name);

/* The options that applets share: with a configuration, and all. */
extern const struct cli_option cli_config_options[], cli_help_options[];

#endif
