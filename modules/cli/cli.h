/* Command lines: reading them by an applet's tables, their help, the options that applets share and
 * the applet's configuration. */
#ifndef SPX_CLI_CLI_H
#define SPX_CLI_CLI_H

#include <stdint.h>

#include "cli/tables.h"

/* Reads the command line and runs it. Returns how it ended, having told why. */
enum failure cli_run(const struct cli_applet *applet, void *state, int argc, char **argv);

struct keypair;

/* For an applet's show: "public key …" and "fingerprint …" on lines of their own. */
void cli_show_key(const struct keypair *own);

/* The same for the public key of another party, KEY_BYTES: "user alice, key SHA256:…". */
void cli_show_peer(const char *kind, const char *name, const uint8_t *public_key);

#endif
