/* Completions: the words before the last one are gone through for the verb, for an option that
 * waits for its value and for how many words there are; then the tables tell what may follow. */
#include "cli/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "cli/parse.h"
#include "config/config.h"

#define KIND_BYTES 32 /* "AGENT", as the usage calls a word */

/* The meaning of the words before the last one; the verb is c->verb once it is known. */
struct place {
    struct cli *c;
    const struct cli_option *waits; /* for its value; or NULL */
    bool words_only;                /* behind "--" */
    int words;                      /* of the verb */
};

/* The help up to its first semicolon or colon, on one line. */
static void print_help_begin(const char *help)
{
    for (; *help && !(strchr(";:", *help) && strchr(" \n", help[1])); help++)
        putchar(*help == '\n' ? ' ' : *help);
}

void cli_offer(const char *prefix, const char *word, const char *help)
{
    if (strncmp(word, prefix, strlen(prefix)) != 0)
        return;
    fputs(word, stdout);
    if (help) {
        putchar('\t');
        print_help_begin(help);
    }
    putchar('\n');
}

/* The words before the last one. */

static const struct cli_option *find_in(const struct cli_option *o, int letter, const char *name)
{
    for (; o && o->take; o++)
        if (name ? o->name && strcmp(o->name, name) == 0 : o->letter == letter)
            return o;
    return NULL;
}

/* An option of any verb, by its name or, without one, by its letter. */
static const struct cli_option *find_option(const struct cli_applet *applet, int letter,
                                            const char *name)
{
    const struct cli_option *found = find_in(cli_help_options, letter, name);
    if (!found && applet->load)
        found = find_in(cli_config_options, letter, name);
    for (const struct cli_verb *v = applet->verbs; !found && v->run; v++)
        found = find_in(v->options, letter, name);
    return found;
}

/* The option in the word whose value is the next word; NULL: none. */
static const struct cli_option *waiting_option(const struct cli_applet *applet, const char *word)
{
    const struct cli_option *o = NULL;
    if (word[1] == '-') { /* a name with "=value" is not found, and does not wait */
        o = find_option(applet, 0, word + 2);
        return o && o->value ? o : NULL;
    }
    for (const char *letter = word + 1; *letter; letter++) {
        o = find_option(applet, *letter, NULL);
        if (o && o->value)
            return letter[1] ? NULL : o;
    }
    return NULL;
}

static void take_word(struct place *p, const char *word)
{
    const struct cli_applet *applet = p->c->applet;
    const struct cli_verb *named = NULL;
    if (!p->c->verb && !p->words_only)
        named = cli_find_verb(applet, word);
    if (!p->c->verb)
        p->c->verb = named ? named : cli_find_verb(applet, NULL);
    if (!named)
        p->words++;
}

static void take(struct place *p, const char *word)
{
    if (p->waits && strcmp(word, "=") == 0) {
        /* bash takes "--config=FILE" for three words */
    } else if (p->waits) {
        if (p->waits == cli_config_options)
            p->c->config_option = word;
        p->waits = NULL;
    } else if (!p->words_only && strcmp(word, "--") == 0) {
        p->words_only = true;
    } else if (!p->words_only && word[0] == '-' && word[1]) {
        p->waits = waiting_option(p->c->applet, word);
    } else {
        take_word(p, word);
    }
}

/* The last word. */

/* How the usage's first form calls the word at an index, and each behind the last: "AGENT" of
 * "[-w] [AGENT ...]". Empty: there is none. */
static void kind_of_word(char kind[KIND_BYTES], const char *usage, int index)
{
    int depth = 0;
    bool begins = true; /* a word, at no depth but that of its own bracket */
    kind[0] = '\0';
    for (; *usage && *usage != '\n' && index >= 0; usage++) {
        size_t len = strspn(usage, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (begins && len > 0 && len < KIND_BYTES) {
            snprintf(kind, KIND_BYTES, "%.*s", (int)len, usage);
            index--;
        }
        depth += (*usage == '[') - (*usage == ']');
        begins = depth == 0 ? *usage == ' ' : begins && *usage == '[';
    }
}

/* Names of agents and the like, which the applet finds in its configuration. */
static void offer_suggestions(struct cli *c, const char *kind)
{
    struct error e = {0};
    const char *typed = c->config_option; /* as the shell has not expanded it yet */
    char *path = typed ? file_expand_home(typed) : config_default_path(c->applet->name);
    if (path && c->applet->load && c->applet->load(c, path, &e)) {
        c->applet->suggest(c, kind);
        c->applet->unload(c);
    }
    free(path);
}

static void offer_kind(struct cli *c, const char *kind)
{
    if (strcmp(kind, "FILE") == 0)
        puts(":files");
    else if (*kind && c->applet->suggest)
        offer_suggestions(c, kind);
}

static void offer_options(const struct cli *c, const struct cli_option *o)
{
    char text[KIND_BYTES];
    for (; o && o->take; o++) {
        snprintf(text, sizeof text, "-%c", o->letter);
        if (o->letter)
            cli_offer(c->prefix, text, o->help);
        snprintf(text, sizeof text, "--%s", o->name ? o->name : "");
        if (o->name)
            cli_offer(c->prefix, text, o->help);
    }
}

static void complete_option(const struct cli *c)
{
    const struct cli_verb *v = c->verb ? c->verb : cli_find_verb(c->applet, NULL);
    offer_options(c, v ? v->options : NULL);
    if (c->applet->load)
        offer_options(c, cli_config_options);
    offer_options(c, cli_help_options);
}

static void complete_word(struct place *p)
{
    const struct cli *c = p->c;
    const struct cli_verb *v = c->applet->verbs;
    char kind[KIND_BYTES];
    for (; !c->verb && !p->words_only && v->run; v++)
        if (v->name)
            cli_offer(c->prefix, v->name, v->help);
    v = c->verb ? c->verb : cli_find_verb(c->applet, NULL);
    if (!v || p->words >= v->words_max)
        return;
    kind_of_word(kind, v->words, p->words);
    offer_kind(p->c, kind);
}

void cli_complete(struct cli *c, int count, char **words)
{
    struct place p = {.c = c};
    for (int i = 0; i + 1 < count; i++)
        take(&p, words[i]);
    c->prefix = count > 0 ? words[count - 1] : "";
    if (p.waits && strcmp(c->prefix, "=") == 0)
        c->prefix = "";
    if (p.waits)
        offer_kind(c, p.waits->value);
    else if (c->prefix[0] == '-' && !p.words_only)
        complete_option(c);
    else
        complete_word(&p);
}
