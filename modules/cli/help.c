/* The help, made of the tables alone: two columns, the right one with lines of its own. */
#include "cli/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/parse.h"
#include "config/config.h"

#define LEFT_WIDTH 28 /* of the column with the options */

/* A line of usage for each form of the verb. The first begins with `begin`. */
static void print_usage_lines(const char *begin, const char *applet, const struct cli_verb *v,
                              bool options)
{
    for (const char *line = v->words; line; begin = "       ") {
        size_t len = strcspn(line, "\n");
        printf("%sspx %s%s%s%s%s%.*s\n", begin, applet, options ? " [options]" : "",
               v->name ? " " : "", v->name ? v->name : "", len > 0 ? " " : "", (int)len, line);
        line = line[len] ? line + len + 1 : NULL;
    }
}

/* One entry of a list: its name, and beside it its help's lines. */
static void print_entry(const char *left, const char *help)
{
    if (printf("  %s", left) > LEFT_WIDTH - 2)
        printf("\n%*s", LEFT_WIDTH, "");
    else
        printf("%*s", LEFT_WIDTH - 2 - (int)strlen(left), "");
    while (*help != '\0') {
        size_t len = strcspn(help, "\n");
        printf("%.*s\n", (int)len, help);
        help += len;
        if (*help == '\n') {
            help++;
            printf("%*s", LEFT_WIDTH, "");
        }
    }
}

static void print_option(const struct cli *c, const struct cli_option *o)
{
    char left[64], short_form[8] = "    ", help[600];
    char *place = NULL;
    if (o->letter)
        snprintf(short_form, sizeof short_form, "-%c%s", o->letter, o->name ? ", " : "");
    snprintf(left, sizeof left, "%s%s%s%s%s", short_form, o->name ? "--" : "",
             o->name ? o->name : "", o->value ? " " : "", o->value ? o->value : "");
    if (o == cli_config_options)
        place = config_default_path(c->applet->name);
    if (place)
        snprintf(help, sizeof help, "%s\n(default: %s)", o->help, place);
    print_entry(left, place ? help : o->help);
    free(place);
}

static void print_options(const struct cli *c, const struct cli_option *o)
{
    for (; o && o->take; o++)
        print_option(c, o);
}

static void print_verbs(const struct cli_applet *applet)
{
    for (const struct cli_verb *v = applet->verbs; v->run; v++) {
        char left[64];
        if (!v->name)
            continue;
        snprintf(left, sizeof left, "%s %s", v->name, v->words);
        print_entry(left, v->help);
    }
}

static void print_usage(const struct cli_applet *applet)
{
    const char *begin = "usage: ";
    for (const struct cli_verb *v = applet->verbs; v->run; v++) {
        print_usage_lines(begin, applet->name, v, applet->load || v->options);
        begin = "       ";
    }
}

/* Below the usage: the verb's options, and those that all have. */
static void print_all_options(const struct cli *c)
{
    if (c->verb)
        print_options(c, c->verb->options);
    if (c->applet->load)
        print_options(c, cli_config_options);
    print_options(c, cli_help_options);
}

static void print_verb_help(const struct cli *c)
{
    const struct cli_verb *v = c->verb;
    print_usage_lines("usage: ", c->applet->name, v, c->applet->load || v->options);
    printf("\n%s\n\n", v->help);
    print_all_options(c);
}

static void print_applet_help(const struct cli *c)
{
    print_usage(c->applet);
    printf("\n%s\n\n", c->applet->about);
    print_verbs(c->applet);
    print_all_options(c);
    if (c->applet->notes)
        printf("\n%s\n", c->applet->notes);
}

void cli_print_help(const struct cli *c)
{
    if (c->verb && c->verb->name)
        print_verb_help(c);
    else
        print_applet_help(c);
}
