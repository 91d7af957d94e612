/* Users by permit: what permit and section allow together, and what a reload changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/guest.h"
#include "permit/judge.h"

static struct sign_key key;
static uint8_t bytes[PERMIT_MAX_BYTES];

/* A permit for these targets and places to listen, each a list ended by NULL. */
static struct permit issue(const char *const *targets, const char *const *places)
{
    struct permit p = {.outer = {.user = view_of_string("alice"),
                                 .user_key = {1},
                                 .from_s = 1,
                                 .until_s = 2,
                                 .scope = view_of_string("acme")},
                       .inner = {.longest_s = 3600, .reason = view_of_string("case\n4711")}};
    struct permit again;
    struct error e = {0};
    size_t len;
    permit_list_add(&p.outer.patterns, view_of_string("*"));
    for (; *targets; targets++)
        assert_true(permit_list_add(&p.inner.allow, view_of_string(*targets)));
    for (; *places; places++)
        assert_true(permit_list_add(&p.inner.listen, view_of_string(*places)));
    len = permit_issue(bytes, &p, &key, &e);
    assert_true(len > 0);
    assert_true(permit_decode(&again, view_of(bytes, len), true, &e));
    return again;
}

static struct view permit_bytes(const struct permit *p)
{
    size_t inner = load_be16(p->signature.data + SIGNATURE_BYTES);
    return view_of(bytes, 2 + p->outer_bytes.len + SIGNATURE_BYTES + 2 + inner);
}

static struct agent_authority section(const char *allow, const char *listen)
{
    struct agent_authority a = {.most = {.name = "support", .listeners = 3, .streams = 7}};
    struct error e = {0};
    memcpy(a.public_key, key.public_key, sizeof a.public_key);
    assert_true(!*allow || agent_user_add_allow(&a.most, allow, &e));
    assert_true(!*listen || agent_user_add_listen(&a.most, listen, &e));
    return a;
}

static void assert_patterns(const struct target_pattern *patterns, size_t count, bool listening,
                            const char *const *expected)
{
    char text[TARGET_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        assert_non_null(expected[i]);
        target_pattern_to_text(text, &patterns[i], listening);
        assert_string_equal(text, expected[i]);
    }
    assert_null(expected[count]);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void both_allow(void **state)
{
    struct permit p = issue(LIST("tcp:*:22", "tcp:db:5432", "udp:*:53"), LIST("default"));
    struct agent_authority by = section("tcp:10.0.0.0/8:*, udp:10.0.0.1:1-100", "127.0.0.1:2000");
    struct error e = {0};
    struct guest *g = guest_new(&p, permit_bytes(&p), &by, &e);
    (void)state;
    assert_non_null(g);
    assert_patterns(g->user.allow, g->user.allow_count, false,
                    LIST("tcp:10.0.0.0/8:22", "tcp:db:5432", "udp:10.0.0.1:53"));
    assert_patterns(g->user.listen, g->user.listen_count, true, LIST("127.0.0.1:2000"));
    assert_int_equal(g->user.listeners, 3);
    assert_int_equal(g->user.streams, 7);
    assert_int_equal(g->user.public_key[0], 1);
    assert_int_equal(g->user.given.rules.max_session_s, 3600);
    assert_string_equal(g->reason, "case?4711");
    assert_memory_equal(g->user.name, "alice (support, permit ", 23);
    assert_int_equal(strlen(g->user.name), 23 + 8 + 1);
    guest_free(g);
    agent_user_free(&by.most);
}

static void nothing_in_common(void **state)
{
    struct permit p = issue(LIST("tcp:10.0.0.1:22"), LIST("127.0.0.1:2000"));
    struct agent_authority by = section("tcp:10.0.0.2:22, udp:*:*", "");
    struct error e = {0};
    struct guest *g = guest_new(&p, permit_bytes(&p), &by, &e);
    (void)state;
    assert_non_null(g);
    assert_int_equal(g->user.allow_count + g->user.listen_count, 0);
    guest_free(g);
    agent_user_free(&by.most);
}

static void refuse(struct permit p, struct agent_authority by, const char *why)
{
    struct error e = {0};
    assert_null(guest_new(&p, permit_bytes(&p), &by, &e));
    assert_int_equal(e.failure, FAILURE_DENIED);
    if (!strstr(e.text, why))
        fail_msg("%s", e.text);
    agent_user_free(&by.most);
}

static void not_used_here(void **state)
{
    char wide[2048] = "tcp:*:1";
    const char *many[PERMIT_ITEMS_MAX + 1];
    (void)state;
    refuse(issue(LIST("tcp:nothing"), NONE), section("", ""),
           "the permit cannot be used here: 'tcp:nothing' is not a target");
    refuse(issue(NONE, LIST("x:1")), section("", ""), "is not where listening can be allowed");
    refuse(issue(LIST("tcp:*:1, tcp:*:2"), NONE), section("", ""), "is more than one");
    for (unsigned i = 0; i < 8; i++)
        strcat(wide, ", tcp:*:1");
    for (unsigned i = 0; i < PERMIT_ITEMS_MAX; i++)
        many[i] = "tcp:*:1";
    many[PERMIT_ITEMS_MAX] = NULL;
    refuse(issue(many, NONE), section(wide, ""), "more than 256 patterns");
}

static void find(void **state)
{
    static const uint8_t other[PERMIT_ID_BYTES] = {9}, nobody[KEY_BYTES] = {9};
    struct permit p = issue(NONE, NONE);
    struct agent_authority by = section("", "");
    struct error e = {0};
    struct guest *g = guest_new(&p, permit_bytes(&p), &by, &e);
    struct list all;
    (void)state;
    list_init(&all);
    assert_non_null(g);
    list_append(&all, &g->place);
    assert_ptr_equal(guest_find(&all, g->user.public_key, g->id), g);
    assert_ptr_equal(guest_find(&all, g->user.public_key, NULL), g);
    assert_null(guest_find(&all, g->user.public_key, other));
    assert_null(guest_find(&all, nobody, NULL));
    guest_free(g);
    assert_true(list_empty(&all));
}

static void renewed(void **state)
{
    struct permit p = issue(LIST("tcp:*:*"), NONE);
    struct agent_authority by = section("tcp:*:22", ""), wider = section("tcp:*:22, tcp:*:23", "");
    struct error e = {0};
    struct guest *g = guest_new(&p, permit_bytes(&p), &by, &e);
    (void)state;
    assert_non_null(g);
    assert_true(guest_renew(g, &by, &e));
    assert_false(g->changed);
    assert_true(guest_renew(g, &wider, &e));
    assert_true(g->changed);
    assert_int_equal(g->user.allow_count, 2);
    wider.most.given.rules.idle_end_s = 60;
    assert_true(guest_renew(g, &wider, &e));
    assert_true(g->changed);
    assert_true(guest_renew(g, &wider, &e));
    assert_false(g->changed);
    assert_string_equal(guest_section(&wider).name, "permits of support");
    guest_free(g);
    agent_user_free(&by.most);
    agent_user_free(&wider.most);
}

static int start(void **state)
{
    (void)state;
    sign_key_generate(&key);
    return crypto_start(false) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_allow),    cmocka_unit_test(nothing_in_common),
        cmocka_unit_test(not_used_here), cmocka_unit_test(find),
        cmocka_unit_test(renewed),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
