/* The command line, by getopt_long. It is gone through twice: once up to the first word, which says
 * the verb and so which options there are, and then as a whole. */
#include "cli/parse.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/nearest.h"

#define OPTIONS_MAX 48  /* of all verbs of an applet */
#define FIRST_VALUE 256 /* of an option for getopt_long: above all letters */

/* The shared options. */

static bool take_config(struct cli *c, const char *value, struct error *e)
{
    return cli_take_once(&c->config_option, value, "-c", e);
}

static bool take_check(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    c->check = true;
    return true;
}

static bool take_verbose(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    c->verbose = true;
    return true;
}

static bool take_json(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    c->json = true;
    return true;
}

static bool take_help(struct cli *c, const char *value, struct error *e)
{
    (void)value, (void)e;
    c->help = true;
    return true;
}

const struct cli_option cli_config_options[] = {
    {'c', "config", "FILE", take_config, "the configuration"},
    {0, "check", NULL, take_check, "check the configuration, and exit"},
    {'v', "verbose", NULL, take_verbose, "log more"},
    {0, "json", NULL, take_json, "log lines as JSON"},
    {0},
};

const struct cli_option cli_help_options[] = {
    {'h', "help", NULL, take_help, "show this"},
    {0},
};

/* The options that getopt_long knows: the verb's own, the shared ones, and then those of the
 * other verbs, to say that they do not go with this one. */
struct option_set {
    const struct cli_option *rows[OPTIONS_MAX];
    size_t count, own_count;
    struct option names[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 3];
};

static bool is_same_option(const struct cli_option *a, const struct cli_option *b)
{
    return (a->letter && a->letter == b->letter) ||
           (a->name && b->name && strcmp(a->name, b->name) == 0);
}

static bool has_option(const struct option_set *set, const struct cli_option *o)
{
    for (size_t i = 0; i < set->count; i++)
        if (is_same_option(o, set->rows[i]))
            return true;
    return false;
}

static void add_options(struct option_set *set, const struct cli_option *o)
{
    for (; o && o->take && set->count < OPTIONS_MAX; o++)
        if (!has_option(set, o))
            set->rows[set->count++] = o;
}

/* Makes getopt_long's own tables. */
static void make_tables(struct option_set *set, bool up_to_first_word)
{
    struct option *name = set->names;
    char *letter = set->letters;
    if (up_to_first_word)
        *letter++ = '+';
    *letter++ = ':'; /* a missing value is told apart from an unknown option */
    for (size_t i = 0; i < set->count; i++) {
        const struct cli_option *o = set->rows[i];
        if (o->name)
            *name++ = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                      FIRST_VALUE + (int)i};
        if (o->letter)
            *letter++ = (char)o->letter;
        if (o->letter && o->value)
            *letter++ = ':';
    }
}

static void collect(struct option_set *set, const struct cli_applet *applet,
                    const struct cli_verb *verb, bool up_to_first_word)
{
    *set = (struct option_set){0};
    add_options(set, verb ? verb->options : NULL);
    if (applet->load)
        add_options(set, cli_config_options);
    add_options(set, cli_help_options);
    set->own_count = set->count;
    for (const struct cli_verb *v = applet->verbs; v->run; v++)
        add_options(set, v->options);
    make_tables(set, up_to_first_word);
    optind = 0; /* getopt_long begins anew */
    opterr = 0; /* its own messages are not of our form */
}

/* Which option getopt_long has returned, by its letter or long. */
static size_t index_of(const struct option_set *set, int value)
{
    for (size_t i = 0; i < set->count; i++)
        if (value == set->rows[i]->letter || value == FIRST_VALUE + (int)i)
            return i;
    return set->count;
}

/* Verbs. */

const struct cli_verb *cli_find_verb(const struct cli_applet *applet, const char *name)
{
    for (const struct cli_verb *v = applet->verbs; v->run; v++)
        if (name ? v->name && strcmp(v->name, name) == 0 : !v->name)
            return v;
    return NULL;
}

static bool has_named_verbs(const struct cli_applet *applet)
{
    for (const struct cli_verb *v = applet->verbs; v->run; v++)
        if (v->name)
            return true;
    return false;
}

/* The first word, and whether "--" stands before it; NULL: there is none, or an option is wrong. */
static const char *first_word(const struct cli_applet *applet, int argc, char **argv,
                              bool *after_dashes)
{
    struct option_set set;
    int value, at;
    collect(&set, applet, cli_find_verb(applet, NULL), true);
    do {
        at = optind ? optind : 1;
        value = getopt_long(argc, argv, set.letters, set.names, NULL);
    } while (value != -1 && value != '?' && value != ':');
    *after_dashes = value == -1 && optind == at + 1 && strcmp(argv[at], "--") == 0;
    return value == -1 && optind < argc ? argv[optind] : NULL;
}

/* NULL: the first word should have been a verb, or there is none and should be. */
static const struct cli_verb *choose_verb(const struct cli_applet *applet, int argc, char **argv)
{
    const struct cli_verb *other = cli_find_verb(applet, NULL), *named = NULL;
    bool after_dashes;
    const char *word = first_word(applet, argc, argv, &after_dashes);
    if (word && !(after_dashes && other && other->words_max > 0))
        named = cli_find_verb(applet, word);
    if (named || !word || !other)
        return named ? named : other;
    return other->words_max > 0 || !has_named_verbs(applet) ? other : NULL;
}

/* The whole line. */

/* As it is typed: "-L" or "--check". */
#define OPTION_TEXT_BYTES 32

static void option_text(char out[OPTION_TEXT_BYTES], const struct cli_option *o)
{
    if (o->letter)
        snprintf(out, OPTION_TEXT_BYTES, "-%c", o->letter);
    else
        snprintf(out, OPTION_TEXT_BYTES, "--%s", o->name);
}

/* name: of the first verb that has it. */
static bool is_of_one_verb(const struct cli_applet *applet, const struct cli_option *o,
                           const char **name)
{
    unsigned count = 0;
    for (const struct cli_verb *v = applet->verbs; v->run; v++)
        for (const struct cli_option *own = v->options; own && own->take; own++)
            if (is_same_option(own, o) && count++ == 0)
                *name = v->name;
    return count == 1;
}

/* An option of another verb. Always returns false. */
static bool refuse_option(const struct cli *c, const struct cli_option *o, struct error *e)
{
    char text[OPTION_TEXT_BYTES];
    const char *name = "";
    option_text(text, o);
    if (c->verb && c->verb->name)
        return error_set(e, FAILURE_USAGE, "%s does not go with '%s'", text, c->verb->name);
    return is_of_one_verb(c->applet, o, &name)
               ? error_set(e, FAILURE_USAGE, "%s goes with '%s' only", text, name)
               : error_set(e, FAILURE_USAGE, "%s goes with commands only, such as '%s'", text,
                           name);
}

/* A long option that none of the names begins with, or more than one. Always returns false. */
static bool unknown_long_option(const struct option_set *set, const char *name, struct error *e)
{
    char word[64], text[NEAREST_TEXT_BYTES];
    struct nearest n = {.word = word};
    size_t len = strcspn(name, "=");
    snprintf(word, sizeof word, "%.*s", (int)len, name);
    for (size_t i = 0; i < set->count; i++)
        if (set->rows[i]->name && strncmp(set->rows[i]->name, word, strlen(word)) == 0)
            return error_set(e, FAILURE_USAGE, "ambiguous option '--%s'", word);
    for (size_t i = 0; i < set->own_count; i++)
        if (set->rows[i]->name)
            nearest_offer(&n, set->rows[i]->name);
    nearest_text(text, &n, "option", "--");
    return error_set(e, FAILURE_USAGE, "%s", text);
}

/* getopt_long takes no option here: optopt and the last word it looked at say why. Always returns
 * false. */
static bool malformed_option(const struct option_set *set, int value, const char *word,
                             struct error *e)
{
    size_t i = index_of(set, optopt);
    char text[OPTION_TEXT_BYTES];
    if (optopt == 0)
        return unknown_long_option(set, word + 2, e);
    if (i == set->count)
        return error_set(e, FAILURE_USAGE, "unknown option '-%c'", optopt);
    option_text(text, set->rows[i]);
    if (value == ':')
        return error_set(e, FAILURE_USAGE, "missing argument: %s %s", text, set->rows[i]->value);
    return error_set(e, FAILURE_USAGE, "--%s takes no argument", set->rows[i]->name);
}

static bool parse_options(struct cli *c, int argc, char **argv, struct error *e)
{
    struct option_set set;
    int value;
    collect(&set, c->applet, c->verb, false);
    while ((value = getopt_long(argc, argv, set.letters, set.names, NULL)) != -1) {
        size_t i = index_of(&set, value);
        if (value == '?' || value == ':' || i == set.count)
            return malformed_option(&set, value, argv[optind - 1], e);
        if (i >= set.own_count && !c->verb)
            continue; /* the word that is no verb is what is wrong */
        if (i >= set.own_count)
            return refuse_option(c, set.rows[i], e);
        if (!set.rows[i]->take(c, optarg, e))
            return false;
        if (c->help)
            return true;
    }
    c->word_count = argc - optind;
    c->words = argv + optind;
    return true;
}

static bool unknown_verb(const struct cli *c, struct error *e)
{
    struct nearest n = {.word = c->words[0]};
    char text[NEAREST_TEXT_BYTES];
    for (const struct cli_verb *v = c->applet->verbs; v->run; v++)
        if (v->name)
            nearest_offer(&n, v->name);
    nearest_text(text, &n, "command", "");
    return error_set(e, FAILURE_USAGE, "%s", text);
}

/* Of a usage, without the options that may be left out before and behind: AGENT [N] of
 * "[--json] AGENT [N] [--why TEXT]". Always returns false. */
static bool missing_words(const char *usage, struct error *e)
{
    const char *words = usage, *end;
    while (*words == '[' && (end = strchr(words, ']')))
        words = end + 1 + strspn(end + 1, " ");
    if (*words == '\0')
        words = usage;
    end = strstr(words, " [-");
    return error_set(e, FAILURE_USAGE, "missing argument: %.*s",
                     (int)(end ? (size_t)(end - words) : strlen(words)), words);
}

static bool check_words(struct cli *c, struct error *e)
{
    if (!c->verb)
        return c->word_count == 0 ? error_set(e, FAILURE_USAGE, "missing command")
                                  : unknown_verb(c, e);
    if (c->verb->name) {
        c->words++;
        c->word_count--;
    }
    if (c->word_count > c->verb->words_max)
        return error_set(e, FAILURE_USAGE, "unexpected argument '%s'",
                         c->words[c->verb->words_max]);
    if (c->check)
        return true;
    if (c->word_count < c->verb->words_min)
        return missing_words(c->verb->words, e);
    return !c->verb->settle || c->verb->settle(c, e);
}

bool cli_parse(struct cli *c, int argc, char **argv, struct error *e)
{
    c->verb = choose_verb(c->applet, argc, argv);
    return parse_options(c, argc, argv, e) && (c->help || check_words(c, e));
}
