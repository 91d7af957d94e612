/* The options that the relay's and the agent's command lines share. */
#ifndef SPX_CONFIG_OPTIONS_H
#define SPX_CONFIG_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"

struct role_options {
    const char *role; /* "relay" or "agent" */
    const char *help;
    const char *config_path; /* NULL: the default place */
    bool check, verbose, json;
    int word_count; /* what is left after the options */
    char **words;
};

/* Fills o (role and help are set before) from -c, --check, -v, --json and -h. False: *failure
 * says how it ended; the help (standard output) or the usage error (standard error) was
 * written. */
bool role_options_parse(struct role_options *o, int argc, char **argv, enum failure *failure);

/* Writes "spx ROLE: what" and where to find help; returns FAILURE_USAGE. what NULL: getopt_long has
 * said it. */
enum failure usage_error(const char *role, const char *what);

#endif
