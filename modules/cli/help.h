/* The help of applets and verbs, made of their tables. */
#ifndef SPX_CLI_HELP_H
#define SPX_CLI_HELP_H

#include "cli/tables.h"

/* Prints, to standard output, the help of c->verb if it has a name, otherwise of the applet. */
void cli_print_help(const struct cli *c);

#endif
