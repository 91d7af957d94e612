/* The tables of which a command line is made: an applet has verbs, a verb has options. */
#ifndef SPX_CLI_TABLES_H
#define SPX_CLI_TABLES_H

#include <stdbool.h>

#include "base/error.h"

struct cli;

/* An option. take handles it; its errors are usage errors. An option of one verb may stand before
 * the verb too, so that a letter or name means the same in all verbs of an applet. */
struct cli_option {
    int letter;        /* 0: only the long form */
    const char *name;  /* NULL: only the letter */
    const char *value; /* as the help calls what follows it; NULL: nothing does */
    bool (*take)(struct cli *c, const char *value, struct error *e);
    const char *help; /* lines, without a newline at the end */
};

/* A verb: `spx APPLET NAME WORDS`. One without a name runs when the first word is no verb, or comes
 * after "--". */
struct cli_verb {
    const char *name;
    const char *words; /* of the usage; a newline begins another form */
    const char *help;
    int words_min, words_max;
    const struct cli_option *options; /* ended by one without take; or NULL */
    /* Checks words and options together; NULL: nothing to check. Not called with --check. */
    bool (*settle)(struct cli *c, struct error *e);
    enum failure (*run)(struct cli *c);
};

/* An applet. With load it has the options -c, --check, -v and --json, and the configuration is
 * loaded before a verb runs. */
struct cli_applet {
    const char *name;
    const char *about;
    const struct cli_verb *verbs; /* ended by one without run */
    bool (*load)(struct cli *c, const char *path, struct error *e);
    void (*unload)(struct cli *c);
    void (*show)(struct cli *c); /* what --check prints after "FILE: OK"; may be NULL */
    /* Offers, with cli_offer, what could stand where the usage has this word: the names of agents
     * for AGENT. The configuration is loaded. May be NULL. */
    void (*suggest)(struct cli *c, const char *kind);
    const char *notes; /* the end of the help; may be NULL */
    /* How its named verbs do without a configuration that cannot be read, as the end of the error;
     * may be NULL. */
    const char *way_around;
};

/* A command line as it was read. */
struct cli {
    const struct cli_applet *applet;
    const struct cli_verb *verb;
    void *state; /* the applet's own */
    char *path;  /* of the configuration, once it is loaded */
    const char *config_option;
    bool check, verbose, json, help;
    bool configless;    /* set by an option: the verb needs no configuration, and none is loaded */
    const char *prefix; /* of the word that is being completed */
    int word_count;     /* what is left after verb and options */
    char **words;
};

/* For an option's take: keeps its value, which may be there once. option: "--why". */
bool cli_take_once(const char **kept, const char *value, const char *option, struct error *e);

#endif
