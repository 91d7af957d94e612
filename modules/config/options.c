#include "config/options.h"

#include <getopt.h>
#include <stdio.h>

enum { OPTION_CHECK = 256, OPTION_JSON };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, OPTION_CHECK},
    {"verbose", no_argument, NULL, 'v'},      {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
};

enum failure usage_error(const char *role, const char *what)
{
    if (what)
        fprintf(stderr, "spx %s: %s\n", role, what);
    fprintf(stderr, "Try 'spx %s --help'.\n", role);
    return FAILURE_USAGE;
}

bool role_options_parse(struct role_options *o, int argc, char **argv, enum failure *failure)
{
    int option;
    while ((option = getopt_long(argc, argv, "c:vh", long_options, NULL)) != -1) {
        if (option == 'c' && !o->config_path) {
            o->config_path = optarg;
        } else if (option == 'v') {
            o->verbose = true;
        } else if (option == OPTION_CHECK) {
            o->check = true;
        } else if (option == OPTION_JSON) {
            o->json = true;
        } else if (option == 'h') {
            fputs(o->help, stdout);
            *failure = FAILURE_NONE;
            return false;
        } else {
            *failure = usage_error(o->role, option == 'c' ? "-c is given twice" : NULL);
            return false;
        }
    }
    o->word_count = argc - optind;
    o->words = argv + optind;
    return true;
}
