/* Unit tests of modules/cli: which verb a command line means, which options go with it, the
 * names that a mistyped word may have meant, and how a line can go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/complete.h"
#include "cli/nearest.h"
#include "cli/parse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* An applet with a verb of each kind. The state is the value of the last option that was taken. */
static bool take(struct cli *c, const char *value, struct error *e)
{
    const char **taken = c->state;
    (void)e;
    *taken = value ? value : "";
    return true;
}

static enum failure run(struct cli *c)
{
    (void)c;
    return FAILURE_NONE;
}

static bool load(struct cli *c, const char *path, struct error *e)
{
    (void)c, (void)path, (void)e;
    return true;
}

static const struct cli_option own_options[] = {{'a', "all", "X", take, ""}, {0}};
static const struct cli_option show_options[] = {
    {'s', NULL, NULL, take, ""}, {0, "since", "T", take, ""}, {0}};

static const struct cli_verb two_verbs[] = {
    {.words = "WHO", .words_max = 1, .options = own_options, .run = run},
    {.name = "show",
     .words = "[WHAT]",
     .words_max = 1,
     .words_min = 1,
     .options = show_options,
     .run = run},
    {0},
};
static const struct cli_verb named_verbs[] = {
    {.name = "new", .words = "FILE", .words_max = 1, .run = run},
    {0},
};
static const struct cli_verb wordless_verbs[] = {
    {.words = "", .run = run},
    {.name = "call", .words = "[TEXT]", .words_max = 1, .run = run},
    {.name = "ask",
     .words = "[--json] [-a N] WHO [N]",
     .words_min = 1,
     .words_max = 2,
     .options = own_options,
     .run = run},
    {.name = "show",
     .words = "WHO [-a N]",
     .words_min = 1,
     .words_max = 1,
     .options = own_options,
     .run = run},
    {0},
};

static const struct cli_applet two = {.name = "two", .verbs = two_verbs, .load = load};
static const struct cli_applet named = {.name = "named", .verbs = named_verbs};
static const struct cli_applet wordless = {.name = "wordless", .verbs = wordless_verbs};

/* A line of words with single spaces, and how it is read. */
struct line {
    const struct cli_applet *applet;
    const char *text;
    const char *verb;  /* NULL: the one without a name */
    const char *word;  /* the first one left; NULL: none */
    const char *taken; /* by the last option; NULL: none was */
    const char *error; /* NULL: it is right */
};

static void assert_read(const struct line *line)
{
    char copy[128] = "spx ", *rest = copy, *argv[16], *word;
    const char *taken = NULL;
    struct cli c = {.applet = line->applet, .state = &taken};
    struct error e = {0};
    int argc = 0;
    strcat(copy, line->text);
    while ((word = strsep(&rest, " ")))
        argv[argc++] = word;
    argv[argc] = NULL;
    if (cli_parse(&c, argc, argv, &e) != !line->error)
        fail_msg("'%s': %s", line->text, e.failure ? e.text : "is taken");
    if (line->error) {
        assert_string_equal(e.text, line->error);
        return;
    }
    assert_string_equal(c.verb->name ? c.verb->name : "", line->verb ? line->verb : "");
    assert_string_equal(c.word_count ? c.words[0] : "", line->word ? line->word : "");
    assert_string_equal(taken ? taken : "-", line->taken ? line->taken : "-");
}

static void lines_are_read(void **state)
{
    static const struct line lines[] = {
        {&two, "bob", NULL, "bob", NULL, NULL},
        {&two, "-a 1 bob", NULL, "bob", "1", NULL},
        {&two, "bob -a 1", NULL, "bob", "1", NULL},
        {&two, "bob --all=2", NULL, "bob", "2", NULL},
        {&two, "show it", "show", "it", NULL, NULL},
        {&two, "-s show it", "show", "it", "", NULL},
        {&two, "show --since 5 it", "show", "it", "5", NULL},
        {&two, "--since show show it", "show", "it", "show", NULL},
        {&two, "-c show show it", "show", "it", NULL, NULL},
        {&two, "-- show", NULL, "show", NULL, NULL},
        {&two, "-a 1 -- show", NULL, "show", "1", NULL},
        {&two, "-a -- show it", NULL, NULL, NULL, "-a does not go with 'show'"},
        {&two, "bob -s", NULL, NULL, NULL, "-s goes with 'show' only"},
        {&two, "--since 5 bob", NULL, NULL, NULL, "--since goes with 'show' only"},
        {&two, "show", NULL, NULL, NULL, "missing argument: [WHAT]"},
        {&two, "show --check", "show", NULL, NULL, NULL},
        {&two, "show a b", NULL, NULL, NULL, "unexpected argument 'b'"},
        {&two, "-- show bob", NULL, NULL, NULL, "unexpected argument 'bob'"},
        {&two, "-c a -c b bob", NULL, NULL, NULL, "-c is given twice"},
        {&named, "new x", "new", "x", NULL, NULL},
        {&wordless, "ask", NULL, NULL, NULL, "missing argument: WHO [N]"},
        {&named, "-- new x", "new", "x", NULL, NULL},
        {&named, "", NULL, NULL, NULL, "unknown command ''"},
        {&named, "nwe x", NULL, NULL, NULL, "unknown command 'nwe'; did you mean 'new'?"},
        {&wordless, "call x", "call", "x", NULL, NULL},
        {&wordless, "cal", NULL, NULL, NULL, "unknown command 'cal'; did you mean 'call'?"},
        {&wordless, "-a 1 cal", NULL, NULL, NULL, "unknown command 'cal'; did you mean 'call'?"},
        {&wordless, "cal -a 1", NULL, NULL, NULL, "unknown command 'cal'; did you mean 'call'?"},
        {&wordless, "-a 1", NULL, NULL, NULL, "-a goes with commands only, such as 'ask'"},
        {&wordless, "show", NULL, NULL, NULL, "missing argument: WHO"},
        {&wordless, "x", NULL, NULL, NULL, "unknown command 'x'"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_read(&lines[i]);
}

static void a_line_without_words(void **state)
{
    char *argv[] = {(char[]){"spx"}, NULL};
    struct cli c = {.applet = &named};
    struct error e = {0};
    (void)state;
    assert_false(cli_parse(&c, 1, argv, &e));
    assert_string_equal(e.text, "missing command");
    c = (struct cli){.applet = &wordless};
    assert_true(cli_parse(&c, 1, argv, &e));
    assert_ptr_equal(c.verb, wordless_verbs);
}

static void nearest_names(void **state)
{
    static const char *const names[] = {"client", "relay", "agent", "key"};
    static const struct {
        const char *word, *best;
    } cases[] = {
        {"agnet", "agent"},
        {"agen", "agent"},
        {"aggent", "agent"},
        {"agemt", "agent"},
        {"clinet", "client"},
        {"rely", "relay"},
        {"kye", "key"},
        {"keys", "key"},
        {"ky", "key"},
        {"k", NULL},
        {"nonsense", NULL},
        {"", NULL},
        {"agentagentagentagentagentagent", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nearest n = {.word = cases[i].word};
        for (size_t j = 0; j < COUNT(names); j++)
            nearest_offer(&n, names[j]);
        assert_string_equal(n.best ? n.best : "", cases[i].best ? cases[i].best : "");
    }
}

static void a_long_word_is_cut(void **state)
{
    char word[1000], text[NEAREST_TEXT_BYTES];
    (void)state;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    nearest_text(text, &(struct nearest){.word = word}, "command", "");
    assert_string_equal(text + strlen(text) - 2, "x'");
}

/* Each word of an applet's usage has another kind, which suggest offers as it is. */
static void suggest(struct cli *c, const char *kind)
{
    cli_offer(c->prefix, kind, "text: and more");
}

static void unload(struct cli *c)
{
    (void)c;
}

static const struct cli_verb kinds_verbs[] = {
    {.words = "FROM [-a X] [-s] [TO] [REST ...]\nOTHER",
     .words_max = 9,
     .options = own_options,
     .run = run},
    {.name = "copy",
     .words = "[--all X] FILE",
     .help = "copy it;\nall",
     .words_max = 1,
     .run = run},
    {0},
};
static const struct cli_applet kinds = {
    .name = "kinds", .verbs = kinds_verbs, .load = load, .unload = unload, .suggest = suggest};

static void assert_completed(const char *text, const char *expected)
{
    char copy[128], *rest = copy, *argv[16], *word, *told = NULL;
    struct cli c = {.applet = &kinds};
    FILE *out = stdout;
    size_t size;
    int argc = 0;
    strcpy(copy, text);
    while ((word = strsep(&rest, " ")))
        argv[argc++] = word;
    stdout = open_memstream(&told, &size);
    cli_complete(&c, argc, argv);
    fclose(stdout);
    stdout = out;
    if (strcmp(told, expected) != 0)
        fail_msg("'%s': '%s'", text, told);
    free(told);
}

static void completions(void **state)
{
    static const char *const lines[][2] = {
        {"", "copy\tcopy it\nFROM\ttext\n"},
        {"F", "FROM\ttext\n"},
        {"-- ", "FROM\ttext\n"},
        {"x ", "TO\ttext\n"},
        {"x y ", "REST\ttext\n"},
        {"x y z ", "REST\ttext\n"},
        {"-- x y z ", "REST\ttext\n"},
        {"1 2 3 4 5 6 7 8 9 ", ""},
        {"-a ", "X\ttext\n"},
        {"-a copy ", "copy\tcopy it\nFROM\ttext\n"},
        {"-a1 x T", "TO\ttext\n"},
        {"--all=1 x T", "TO\ttext\n"},
        {"-va copy x T", "TO\ttext\n"},
        {"copy ", ":files\n"},
        {"copy x ", ""},
        {"-- copy ", "TO\ttext\n"},
        {"x -- -", ""},
        {"x --al", "--all\t\n"},
        {"-c ", ":files\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_completed(lines[i][0], lines[i][1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read), cmocka_unit_test(a_line_without_words),
        cmocka_unit_test(nearest_names),  cmocka_unit_test(a_long_word_is_cut),
        cmocka_unit_test(completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
