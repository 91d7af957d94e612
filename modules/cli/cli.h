/* Command lines: reading them by an applet's tables, their help, the options that applets share and
 * the applet's configuration. */
#ifndef SPX_CLI_CLI_H
#define SPX_CLI_CLI_H

#include "cli/tables.h"

/* Reads the command line and runs it. Returns how it ended, having told why. */
enum failure cli_run(const struct cli_applet *applet, void *state, int argc, char **argv);

struct keypair;

/* For an applet's show: "public key …" and "fingerprint …" on lines of their own. */
void cli_show_key(const struct keypair *own);

#endif
