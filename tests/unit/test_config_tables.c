/* The tables of the configuration files against what is written of them: every key stands in its
 * manual page and in the README's table, with its range, its default and when a change counts, and
 * nothing else stands there. Runs in the project's directory. Also what a reload leaves for
 * later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/files.h"
#include "config/reload.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ENTRIES_MAX 128
#define TEXT_BYTES 2048

static const struct config_file *const files[] = {&relay_config_file, &agent_config_file,
                                                  &client_config_file};

/* A key as a document has it. */
struct entry {
    char file[16], section[32], key[32], text[TEXT_BYTES];
};

static struct entry entries[ENTRIES_MAX];
static size_t entry_count;

static struct entry *add_entry(const char *file, const char *section, const char *key)
{
    struct entry *n = &entries[entry_count];
    assert_true(entry_count++ < ENTRIES_MAX);
    snprintf(n->file, sizeof n->file, "%s", file);
    snprintf(n->section, sizeof n->section, "%s", section);
    snprintf(n->key, sizeof n->key, "%s", key);
    n->text[0] = '\0';
    return n;
}

static void add_text(struct entry *n, const char *text)
{
    size_t len = strlen(n->text);
    snprintf(n->text + len, sizeof n->text - len, "%s ", text);
}

static char *read_document(const char *path)
{
    struct error e = {0};
    FILE *f = fopen(path, "r");
    char *text;
    size_t len;
    if (!f || !file_read_fd(fileno(f), path, 1 << 20, &text, &len, &e))
        fail_msg("%s cannot be read here: %s", path, e.text);
    fclose(f);
    return text;
}

/* The line at *next, cut out of the text; NULL at its end. */
static char *next_line(char **next)
{
    char *line = *next, *end = strchr(line, '\n');
    if (*line == '\0')
        return NULL;
    *next = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

/* The items of the lists that stand right below ".Ss The X section". */
static void read_page(const char *role)
{
    char path[64], section[32] = "", *text, *next, *line;
    struct entry *n = NULL;
    unsigned depth = 0;
    snprintf(path, sizeof path, "docs/spx-%s.conf.5", role);
    text = next = read_document(path);
    entry_count = 0;
    while ((line = next_line(&next))) {
        char word[32];
        if (strncmp(line, ".Sh", 3) == 0 || strncmp(line, ".Ss", 3) == 0) {
            section[0] = '\0';
            if (sscanf(line, ".Ss The %31s section", section) != 1)
                section[0] = '\0';
        } else if (strncmp(line, ".Bl", 3) == 0) {
            depth++;
        } else if (strncmp(line, ".El", 3) == 0) {
            if (--depth == 0)
                n = NULL;
        } else if (depth == 1 && section[0] && sscanf(line, ".It Cm %31s", word) == 1) {
            n = add_entry(role, section, word);
        } else if (n) {
            add_text(n, line);
        }
    }
    free(text);
}

/* "| relay | `[Relay]` once | `Listen`, `X` | text |", where an empty cell is the one above. */
static void read_table(void)
{
    char *text = read_document("README.md"), *next = text, *line;
    char file[16] = "", section[32] = "";
    bool inside = false;
    entry_count = 0;
    while ((line = next_line(&next))) {
        char *cell[4] = {NULL}, *rest = line + 1;
        if (*line == '|')
            for (size_t i = 0; i < COUNT(cell); i++)
                cell[i] = strsep(&rest, "|");
        if (!cell[3] || strncmp(line, "| ---", 5) == 0)
            inside = inside && *line == '|';
        else if (strstr(cell[0], "file") && strstr(cell[1], "section"))
            inside = true;
        if (!inside || !cell[3] || strstr(cell[0], "---") || strstr(cell[1], "section"))
            continue;
        (void)sscanf(cell[0], " %15s", file);
        (void)sscanf(cell[1], " `[%31[^]]", section);
        for (char *at = strchr(cell[2], '`'), *end; at; at = strchr(end + 1, '`')) {
            end = strchr(at + 1, '`');
            assert_non_null(end);
            *end = '\0';
            add_text(add_entry(file, section, at + 1), cell[3]);
        }
    }
    free(text);
}

static const struct entry *find_entry(const char *file, const char *section, const char *key)
{
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(entries[i].file, file) == 0 && strcmp(entries[i].section, section) == 0 &&
            strcmp(entries[i].key, key) == 0)
            return &entries[i];
    fail_msg("%s.conf: %s in [%s] is not told of", file, key, section);
    return NULL;
}

static void assert_tells(const struct entry *n, const char *expected)
{
    if (!strstr(n->text, expected))
        fail_msg("%s.conf: %s in [%s] is told of without '%s': %s", n->file, n->key, n->section,
                 expected, n->text);
}

static void assert_number_told(const struct entry *n, const struct config_key *k)
{
    char text[64];
    if (k->type != &config_number)
        return;
    snprintf(text, sizeof text, "%u to %u", k->range.low, k->range.high);
    assert_tells(n, text);
    snprintf(text, sizeof text, "default %u", k->initial);
    assert_tells(n, k->initial ? text : "default one for each processor");
}

static void assert_effect_told(const struct entry *n, const struct config_key *k)
{
    static const char *const effects[] = {
        [NEXT_HOP] = "takes effect with the next connection",
        [NEXT_SESSION] = "takes effect with the next session",
        [NEXT_START] = "takes effect at the next start",
    };
    if (k->effect != AT_ONCE)
        assert_tells(n, effects[k->effect]);
    else if (strstr(n->text, "takes effect"))
        fail_msg("%s.conf: %s in [%s] takes effect at once", n->file, n->key, n->section);
}

static void assert_required_told(const struct entry *n, const struct config_key *k)
{
    bool required = k->count == EXACTLY_ONE || k->count == AT_LEAST_ONE;
    if (required != (strncmp(n->text, "Required", 8) == 0))
        fail_msg("%s.conf: %s in [%s]: required or not?", n->file, n->key, n->section);
}

static size_t key_count(const struct config_file *f)
{
    size_t count = 0;
    for (size_t i = 0; i < f->section_count; i++)
        count += f->sections[i].key_count;
    return count;
}

static void manual_pages_tell_of_every_key(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT(files); f++) {
        read_page(files[f]->role);
        for (size_t i = 0; i < files[f]->section_count; i++) {
            const struct config_section *s = &files[f]->sections[i];
            for (size_t j = 0; j < s->key_count; j++) {
                const struct entry *n = find_entry(files[f]->role, s->name, s->keys[j].name);
                assert_number_told(n, &s->keys[j]);
                assert_effect_told(n, &s->keys[j]);
                assert_required_told(n, &s->keys[j]);
            }
        }
        assert_int_equal(entry_count, key_count(files[f])); /* and of nothing else */
    }
}

static void readme_tells_of_every_key(void **state)
{
    size_t all = 0;
    (void)state;
    read_table();
    for (size_t f = 0; f < COUNT(files); f++) {
        for (size_t i = 0; i < files[f]->section_count; i++) {
            const struct config_section *s = &files[f]->sections[i];
            for (size_t j = 0; j < s->key_count; j++)
                assert_number_told(find_entry(files[f]->role, s->name, s->keys[j].name),
                                   &s->keys[j]);
        }
        all += key_count(files[f]);
    }
    assert_int_equal(entry_count, all);
}

static void tables_are_sound(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT(files); f++) {
        for (size_t i = 0; i < files[f]->section_count; i++) {
            const struct config_section *s = &files[f]->sections[i];
            bool repeats = s->count == ANY_NUMBER || s->count == AT_LEAST_ONE;
            assert_true(repeats == (s->items.item_bytes > 0));
            for (size_t j = 0; j < s->key_count; j++) {
                const struct config_key *k = &s->keys[j];
                assert_true(k->effect == AT_ONCE || (!repeats && k->type->same && k->type->bytes));
                assert_true(k->type->parse || k->type == &config_number);
                assert_true((k->type == &config_number) == (k->range.high > 0));
            }
        }
    }
}

/* A reload. */

static void set_listen(struct address_list *list, const char *text)
{
    struct error e = {0};
    list->items = calloc(1, sizeof *list->items);
    list->count = 1;
    assert_true(value_listen(list->items, text, "::", &e));
}

static struct agent_config *new_agent(const char *listen, const char *call_socket)
{
    struct agent_config *c = calloc(1, sizeof *c);
    strcpy(c->name, "lab-1");
    set_listen(&c->listen, listen);
    c->call_socket = call_socket ? strdup(call_socket) : NULL;
    c->labels = strdup("rack=7");
    c->resume_window_s = 600;
    memset(&c->key, 7, sizeof c->key);
    return c;
}

static void free_agent(struct agent_config *c)
{
    agent_config_free(c);
    free(c);
}

/* The log's lines about a reload, in a static buffer. */
static const char *carry_over(struct agent_config *running, struct agent_config *fresh)
{
    static char told[4096];
    FILE *log = tmpfile();
    int kept = dup(2);
    size_t len;
    assert_non_null(log);
    assert_true(dup2(fileno(log), 2) == 2);
    config_carry_over(&agent_config_file, running, fresh);
    dup2(kept, 2);
    close(kept);
    rewind(log);
    len = fread(told, 1, sizeof told - 1, log);
    told[len] = '\0';
    fclose(log);
    return told;
}

static void the_same_is_not_worth_a_word(void **state)
{
    struct agent_config *running = new_agent("7444", "/run/call");
    struct agent_config *fresh = new_agent("7444", "/run/call");
    (void)state;
    strcpy(fresh->labels, "rack=8"); /* counts at once */
    assert_string_equal(carry_over(running, fresh), "");
    assert_string_equal(fresh->labels, "rack=8");
    free_agent(running);
    free_agent(fresh);
}

static void changes_for_the_next_start_are_told_and_kept_out(void **state)
{
    struct agent_config *running = new_agent("7444", "/run/call");
    struct agent_config *fresh = new_agent("7445", NULL);
    const struct address *listening = running->listen.items;
    const char *told;
    (void)state;
    strcpy(fresh->name, "lab-2");
    memset(&fresh->key, 9, sizeof fresh->key);
    told = carry_over(running, fresh);
    assert_non_null(strstr(told, "Name in [Agent]: takes effect at the next start\n"));
    assert_non_null(strstr(told, "KeyFile in [Agent]: takes effect at the next start\n"));
    assert_non_null(strstr(told, "Listen in [Agent]: takes effect at the next start\n"));
    assert_non_null(strstr(told, "CallSocket in [Agent]: takes effect at the next start\n"));
    assert_null(strstr(told, "ResumeWindow"));
    assert_string_equal(fresh->name, "lab-1");
    assert_string_equal(fresh->call_socket, "/run/call");
    assert_ptr_equal(fresh->listen.items, listening);
    assert_int_equal(fresh->key.private_key[0], 7);
    free_agent(running);
    free_agent(fresh);
}

static void changes_for_the_next_session_are_told_and_taken(void **state)
{
    struct agent_config *running = new_agent("7444", NULL), *fresh = new_agent("7444", NULL);
    (void)state;
    fresh->resume_window_s = 60;
    assert_non_null(strstr(carry_over(running, fresh),
                           "ResumeWindow in [Agent]: takes effect with the next session\n"));
    assert_int_equal(fresh->resume_window_s, 60);
    free_agent(running);
    free_agent(fresh);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_sound),
        cmocka_unit_test(manual_pages_tell_of_every_key),
        cmocka_unit_test(readme_tells_of_every_key),
        cmocka_unit_test(the_same_is_not_worth_a_word),
        cmocka_unit_test(changes_for_the_next_start_are_told_and_kept_out),
        cmocka_unit_test(changes_for_the_next_session_are_told_and_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
