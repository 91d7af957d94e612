/* The relay's knowledge of users and agents: reloading, permission, queries, labels, calls,
 * duplicates, rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/list.h"
#include "relay/directory.h"
#include "relay/labels.h"

#define S CLOCK_US_PER_S

static const uint8_t hash_key[16] = {1, 2, 3};

/* A configuration of users u0, u1, … and agents a0, a1, …, keys by number. */
struct configuration {
    struct relay_user users[8];
    struct relay_agent agents[8];
    char patterns[8][4][NAME_TEXT_BYTES];
    char labels[8][2048];
    struct relay_config config;
};

struct fixture {
    struct configuration *taken; /* the directory's */
    struct configuration now;    /* being written */
    struct directory directory;
    struct list gone_users, gone_agents;
};

static void add_user(struct fixture *f, const char *name, uint8_t key)
{
    struct configuration *c = &f->now;
    struct relay_user *u = &c->users[c->config.user_count];
    snprintf(u->name, sizeof u->name, "%s", name);
    memset(u->public_key, key, KEY_BYTES);
    u->agents = c->patterns[c->config.user_count++];
}

static void allow(struct fixture *f, const char *pattern)
{
    struct relay_user *u = &f->now.users[f->now.config.user_count - 1];
    snprintf(u->agents[u->agent_count++], sizeof u->agents[0], "%s", pattern);
}

static void add_agent(struct fixture *f, const char *name, uint8_t key, const char *labels)
{
    char *words = f->now.labels[f->now.config.agent_count];
    struct relay_agent *a = &f->now.agents[f->now.config.agent_count++];
    snprintf(a->name, sizeof a->name, "%s", name);
    memset(a->public_key, key, KEY_BYTES);
    snprintf(words, sizeof f->now.labels[0], "%s", labels);
    a->labels = words;
}

/* The configuration as written so far, from memory of its own, as a reload has it. */
static void update(struct fixture *f, uint64_t now_us)
{
    struct configuration *fresh = malloc(sizeof *fresh);
    assert_non_null(fresh);
    *fresh = f->now;
    for (size_t i = 0; i < fresh->config.user_count; i++)
        fresh->users[i].agents = fresh->patterns[i];
    for (size_t i = 0; i < fresh->config.agent_count; i++)
        fresh->agents[i].labels = fresh->labels[i];
    fresh->config.users = fresh->users;
    fresh->config.agents = fresh->agents;
    list_init(&f->gone_users);
    list_init(&f->gone_agents);
    assert_true(
        directory_update(&f->directory, &fresh->config, now_us, &f->gone_users, &f->gone_agents));
    free(f->taken);
    f->taken = fresh;
    memset(&f->now, 0, sizeof f->now);
}

static size_t free_gone(struct fixture *f)
{
    size_t count = 0;
    list_each (link, &f->gone_users) {
        directory_free_user(container_of(link, struct known_user, all));
        count++;
    }
    list_each (link, &f->gone_agents) {
        directory_free_agent(container_of(link, struct known_agent, all));
        count++;
    }
    return count;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    directory_init(&f->directory, hash_key);
    add_user(f, "alice", 1);
    allow(f, "boston-*");
    allow(f, "lab-1");
    add_user(f, "bob", 2);
    add_agent(f, "boston-1", 11, "site=boston model=vmax");
    add_agent(f, "boston-2", 12, "");
    add_agent(f, "lab-1", 13, "site=lab");
    add_agent(f, "paris-1", 14, "");
    update(f, 5 * S);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    free_gone(f);
    directory_free(&f->directory);
    free(f->taken);
    free(f);
    return 0;
}

static struct known_user *user(struct fixture *f, uint8_t key)
{
    uint8_t bytes[KEY_BYTES];
    memset(bytes, key, sizeof bytes);
    return directory_user_by_key(&f->directory, bytes);
}

static struct known_agent *agent(struct fixture *f, uint8_t key)
{
    uint8_t bytes[KEY_BYTES];
    memset(bytes, key, sizeof bytes);
    return directory_agent_by_key(&f->directory, bytes);
}

static struct known_agent *reach(struct fixture *f, uint8_t user_key, const char *name)
{
    return directory_agent_for(&f->directory, user(f, user_key), view_of_string(name));
}

static void test_looks_up(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(user(f, 1)->config->name, "alice");
    assert_string_equal(agent(f, 13)->name, "lab-1");
    assert_null(user(f, 11));
    assert_null(agent(f, 1));
}

static void test_permits(void **state)
{
    struct fixture *f = *state;
    assert_ptr_equal(reach(f, 1, "boston-1"), agent(f, 11));
    assert_ptr_equal(reach(f, 1, "lab-1"), agent(f, 13));
    assert_null(reach(f, 1, "paris-1"));  /* not permitted */
    assert_null(reach(f, 1, "boston-9")); /* permitted, not there */
    assert_null(reach(f, 1, "boston-*")); /* no name */
    assert_null(reach(f, 1, ""));
    assert_null(reach(f, 2, "lab-1")); /* no pattern permits nothing */
}

static void test_lists_in_order(void **state)
{
    struct fixture *f = *state;
    const char *expected[] = {"boston-1", "boston-2", "lab-1", "paris-1"};
    size_t i = 0;
    list_each (link, &f->directory.agents)
        assert_string_equal(container_of(link, struct known_agent, all)->name, expected[i++]);
    assert_int_equal(i, 4);
}

static void test_reload_keeps_and_removes(void **state)
{
    struct fixture *f = *state;
    struct known_agent *kept = agent(f, 11);
    struct known_user *alice = user(f, 1);
    kept->presence.flags = 3;
    add_user(f, "alice", 1);
    allow(f, "paris-*");
    add_agent(f, "new", 15, "");
    add_agent(f, "boston-1", 11, "site=moved");
    add_agent(f, "boston-2", 22, ""); /* another key: another agent */
    add_agent(f, "lab-renamed", 13, "");
    update(f, 9 * S);

    assert_ptr_equal(agent(f, 11), kept);
    assert_ptr_equal(user(f, 1), alice);
    assert_int_equal(kept->presence.flags, 3);
    assert_int_equal(kept->presence.since_us, 5 * S);
    assert_string_equal(kept->config->labels, "site=moved");
    assert_string_equal(alice->config->agents[0], "paris-*");
    assert_null(user(f, 2));
    assert_null(agent(f, 12));
    assert_non_null(agent(f, 22));
    assert_int_equal(agent(f, 22)->presence.since_us, 9 * S);
    assert_string_equal(agent(f, 13)->name, "lab-renamed");
    assert_null(agent(f, 14));
    assert_int_equal(free_gone(f), 1 + 3); /* bob; old boston-2, lab-1, paris-1 */

    const char *expected[] = {"new", "boston-1", "boston-2", "lab-renamed"};
    size_t i = 0;
    list_each (link, &f->directory.agents)
        assert_string_equal(container_of(link, struct known_agent, all)->name, expected[i++]);
    assert_int_equal(i, 4);
}

static void test_reload_swaps_names(void **state)
{
    struct fixture *f = *state;
    add_user(f, "bob", 1);
    allow(f, "*");
    add_user(f, "alice", 2);
    add_agent(f, "boston-2", 11, "");
    add_agent(f, "boston-1", 12, "");
    update(f, 9 * S);
    assert_string_equal(user(f, 1)->config->name, "bob");
    assert_ptr_equal(reach(f, 1, "boston-1"), agent(f, 12));
    assert_ptr_equal(reach(f, 1, "boston-2"), agent(f, 11));
    assert_int_equal(free_gone(f), 2 + 4);
}

static void test_queries(void **state)
{
    static const struct {
        const char *query;
        bool matches;
    } cases[] = {
        {"", true},
        {"   ", true},
        {"boston-1", true},
        {"boston-*", true},
        {"boston-?", true},
        {"boston", false},
        {"paris-*", false},
        {"site=boston", true},
        {"site=bos*", true},
        {"model=vmax", true},
        {"site=vmax", false},
        {"ite=boston", false},
        {"site=bosto", false},
        {"vmax", false},
        {"site=boston model=vmax", true},
        {" boston-*  site=boston ", true},
        {"boston-1 site=paris", false},
        {"paris-1 site=boston", false},
        {"rack=7", true},
        {"boston-1 boston-1 boston-1 *", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (query_matches(cases[i].query, "boston-1", "site=boston model=vmax rack=7") !=
            cases[i].matches)
            fail_msg("query \"%s\"", cases[i].query);
    assert_false(query_matches("site=boston", "boston-1", ""));
    assert_true(query_matches("site=boston boston-*", "boston-1", NULL));
    assert_false(query_matches("site=boston paris-*", "boston-1", NULL));
}

static void set_labels(struct known_agent *a, const char *labels)
{
    struct info info = {.flags = 1, .labels = view_of_string(labels)};
    presence_set_info(&a->presence, &info);
}

static void test_labels(void **state)
{
    struct fixture *f = *state;
    char out[LABELS_MAX_BYTES + 1];
    struct known_agent *a = agent(f, 11);
    known_agent_labels(out, a);
    assert_string_equal(out, "site=boston model=vmax");
    set_labels(a, "rack=7  site=forged urgent");
    known_agent_labels(out, a);
    assert_string_equal(out, "site=boston model=vmax rack=7 urgent");
    set_labels(a, "a=\x1b[2J");
    known_agent_labels(out, a);
    assert_string_equal(out, "site=boston model=vmax a=?[2J");
    set_labels(a, "");
    known_agent_labels(out, a);
    assert_string_equal(out, "site=boston model=vmax");
    set_labels(agent(f, 12), "x=1");
    known_agent_labels(out, agent(f, 12));
    assert_string_equal(out, "x=1");
}

static void test_labels_are_bounded(void **state)
{
    struct fixture *f = *state;
    char out[LABELS_MAX_BYTES + 1], longest[LABELS_MAX_BYTES + 1];
    struct known_agent *a = agent(f, 11);
    memset(longest, 'x', LABELS_MAX_BYTES);
    longest[LABELS_MAX_BYTES] = '\0';
    set_labels(a, longest);
    known_agent_labels(out, a);
    assert_string_equal(out, "site=boston model=vmax");
    set_labels(agent(f, 12), longest);
    known_agent_labels(out, agent(f, 12));
    assert_string_equal(out, longest);
}

#define TEXT(S)                             \
    {                                       \
        (const uint8_t *)(S), sizeof(S) - 1 \
    }

static bool call(struct known_agent *a, uint8_t severity, const char *text, uint64_t now_us)
{
    struct call c = {.severity = severity, .text = view_of_string(text)};
    return presence_set_call(&a->presence, &c, now_us);
}

static bool set_calls(struct known_agent *a, const struct told_calls *calls, uint64_t now_us)
{
    uint8_t bytes[TOLD_CALLS_BYTES];
    size_t len = told_calls_encode(calls, bytes, sizeof bytes);
    assert_true(len > 0);
    return presence_set_calls(&a->presence, view_of(bytes, len), now_us);
}

static void check_call(const struct known_agent *a, uint64_t now_us, size_t i,
                       struct told_call expected)
{
    struct told_calls told;
    presence_calls(&a->presence, &told, now_us);
    assert_true(i < told.count);
    assert_int_equal(told.all[i].number, expected.number);
    assert_int_equal(told.all[i].severity, expected.severity);
    assert_int_equal(told.all[i].age_s, expected.age_s);
    assert_true(view_equal(told.all[i].taken_by, expected.taken_by));
    assert_true(view_equal(told.all[i].text, expected.text));
}

static void test_calls(void **state)
{
    struct fixture *f = *state;
    struct known_agent *a = agent(f, 11);
    struct told_calls told;
    assert_true(call(a, 2, "disk 7 failed", 100 * S));
    check_call(a, 103 * S, 0, (struct told_call){0, 2, 3, TEXT(""), TEXT("disk 7 failed")});
    assert_true(call(a, 3, "worse", 100 * S + 1)); /* at once, and in its place */
    check_call(a, 100 * S + 1, 0, (struct told_call){0, 3, 0, TEXT(""), TEXT("worse")});
    assert_true(call(a, 0, "", 120 * S));
    presence_calls(&a->presence, &told, 120 * S);
    assert_int_equal(told.count, 0);
}

/* Several, whose ages go on; what is told next takes the place of all. */
static void test_several_calls(void **state)
{
    struct fixture *f = *state;
    struct known_agent *a = agent(f, 11);
    struct told_calls told = {
        2,
        {{7, 2, 10, TEXT("alice"), TEXT("disk")}, {8, 9, UINT32_MAX - 1, TEXT(""), TEXT("fan")}}};
    presence_calls(&a->presence, &told, 1 * S + 1);
    assert_int_equal(told.count, 0);
    told.count = 2;
    assert_true(set_calls(a, &told, 100 * S));
    check_call(a, 105 * S, 0, (struct told_call){7, 2, 15, TEXT("alice"), TEXT("disk")});
    check_call(a, 105 * S, 1, (struct told_call){8, 9, UINT32_MAX, TEXT(""), TEXT("fan")});
    told.count = 1;
    assert_true(set_calls(a, &told, 200 * S));
    presence_calls(&a->presence, &told, 200 * S);
    assert_int_equal(told.count, 1);
    presence_left(&a->presence, 300 * S);
    check_call(a, 300 * S, 0, (struct told_call){7, 2, 110, TEXT("alice"), TEXT("disk")});
}

static void come(struct known_agent *a, uint64_t now_us)
{
    struct info info = {0};
    presence_came(&a->presence, &info, now_us);
}

static void test_states(void **state)
{
    struct fixture *f = *state;
    struct known_agent *a = agent(f, 11);
    struct relay_agent dialled = *a->config;
    dialled.has_dial = true;
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_OFFLINE);
    come(a, 100 * S);
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_ONLINE);
    presence_left(&a->presence, 100 * S);
    a->config = &dialled;
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_DIALLED);
    come(a, 100 * S);
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_ONLINE);
    presence_left(&a->presence, 100 * S);
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_DIALLED);
}

static void test_since(void **state)
{
    struct fixture *f = *state;
    struct known_agent *a = agent(f, 11);
    assert_int_equal(a->presence.since_us, 5 * S);
    come(a, 100 * S);
    assert_int_equal(a->presence.since_us, 100 * S);
    come(a, 110 * S); /* in the place of another hop: it was here all the time */
    assert_int_equal(a->presence.since_us, 100 * S);
    presence_left(&a->presence, 120 * S);
    assert_int_equal(a->presence.since_us, 120 * S);
}

static unsigned changes;
static struct presence *changed;

static void on_changed(struct presence_watch *watch, struct presence *p)
{
    (void)watch;
    changes++;
    changed = p;
}

/* Whoever watches hears of each change that LIST shows, and of nothing else. */
static void test_watch(void **state)
{
    struct fixture *f = *state;
    struct presence_watch watch = {.on_changed = on_changed};
    f->directory.watch = &watch;
    add_agent(f, "new", 15, "");
    update(f, 9 * S);
    struct known_agent *a = agent(f, 15);
    changes = 0;
    set_labels(a, "x=1"); /* dialled */
    assert_int_equal(changes, 1);
    assert_ptr_equal(changed, &a->presence);
    come(a, 10 * S);
    assert_int_equal(changes, 2);
    set_labels(a, "x=2"); /* its control hop has said another thing */
    assert_int_equal(changes, 2);
    assert_null(a->presence.labels);
    assert_true(call(a, 2, "disk", 20 * S));
    assert_int_equal(changes, 3);
    assert_true(call(a, 1, "fan", 21 * S));
    assert_int_equal(changes, 4);
    presence_left(&a->presence, 30 * S);
    assert_int_equal(changes, 5);
}

/* So it does of what a new configuration says otherwise, once for each agent. */
static void test_watch_of_a_reload(void **state)
{
    struct fixture *f = *state;
    struct presence_watch watch = {.on_changed = on_changed};
    f->directory.watch = &watch;
    changes = 0;
    add_agent(f, "new", 15, "a=1");
    update(f, 9 * S);
    assert_int_equal(free_gone(f), 2 + 4);
    assert_int_equal(changes, 1);
    assert_ptr_equal(changed, &agent(f, 15)->presence);
    add_agent(f, "new", 15, "a=1");
    update(f, 10 * S);
    assert_int_equal(changes, 1); /* it says the same */
    add_agent(f, "new", 15, "a=2");
    update(f, 11 * S);
    assert_int_equal(changes, 2);
    add_agent(f, "new", 15, "a=2");
    f->now.agents[0].has_dial = true;
    update(f, 12 * S);
    assert_int_equal(changes, 3);
    assert_ptr_equal(changed, &agent(f, 15)->presence);
}

static void test_duplicates(void **state)
{
    struct fixture *f = *state;
    struct known_agent *a = agent(f, 11);
    come(a, 90 * S);
    assert_false(presence_replaced(&a->presence, 100 * S)); /* once may be a lost connection */
    assert_int_equal(known_agent_state(a, 100 * S), AGENT_ONLINE);
    assert_false(presence_replaced(&a->presence, 160 * S)); /* 60 s later again */
    assert_int_equal(known_agent_state(a, 160 * S), AGENT_ONLINE);
    assert_true(presence_replaced(&a->presence, 219 * S)); /* they alternate */
    assert_int_equal(known_agent_state(a, 219 * S), AGENT_DUPLICATE);
    assert_false(presence_replaced(&a->presence, 220 * S)); /* known by now */
    assert_int_equal(known_agent_state(a, 220 * S + DUPLICATE_SHOWN_US - 1), AGENT_DUPLICATE);
    assert_int_equal(known_agent_state(a, 220 * S + DUPLICATE_SHOWN_US), AGENT_ONLINE);
    presence_left(&a->presence, 100 * S);
    assert_int_equal(known_agent_state(a, 220 * S), AGENT_OFFLINE);
}

static void test_pairs(void **state)
{
    struct fixture *f = *state;
    struct directory *d = &f->directory;
    struct pair *pair = directory_pair(d, user(f, 1), agent(f, 11));
    assert_ptr_equal(directory_pair(d, user(f, 1), agent(f, 11)), pair);
    assert_ptr_not_equal(directory_pair(d, user(f, 1), agent(f, 12)), pair);
    assert_ptr_not_equal(directory_pair(d, user(f, 2), agent(f, 11)), pair);
    assert_int_equal(d->pairs.count, 3);
    assert_true(rate_take(&pair->connects, 50 * S, 1, 10));
    directory_sweep(d, 50 * S);
    assert_int_equal(d->pairs.count, 1);
    directory_sweep(d, 51 * S - 1);
    assert_int_equal(d->pairs.count, 1);
    pair->pending = 1;
    directory_sweep(d, 51 * S);
    assert_int_equal(d->pairs.count, 1);
    pair->pending = 0;
    directory_sweep(d, 51 * S);
    assert_int_equal(d->pairs.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_looks_up),
        TEST(test_permits),
        TEST(test_lists_in_order),
        TEST(test_reload_keeps_and_removes),
        TEST(test_reload_swaps_names),
        TEST(test_queries),
        TEST(test_labels),
        TEST(test_labels_are_bounded),
        TEST(test_calls),
        TEST(test_several_calls),
        TEST(test_states),
        TEST(test_since),
        TEST(test_watch),
        TEST(test_watch_of_a_reload),
        TEST(test_duplicates),
        TEST(test_pairs),
    };
    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
