/* The relay's authorities: whose permit in HELLO is vouched for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "permit/permit.h"
#include "relay/authorities.h"
#include "wire/messages.h"

static struct sign_key keys[2];
static const uint8_t alice[KEY_BYTES] = {1}, bob[KEY_BYTES] = {2};

/* HELLO with the outer part of a permit of keys[0] for alice; or of none. */
static uint8_t payload[PERMIT_MAX_BYTES + 64];
static size_t payload_len;

static void make_hello(bool with_permit)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct permit p = {.outer = {.user = view_of_string("alice"),
                                 .user_key = {1},
                                 .from_s = 1,
                                 .until_s = 2,
                                 .scope = view_of_string("acme")}};
    struct hello hello = {.version = 1, .role = ROLE_CLIENT};
    struct error e = {0};
    size_t len;
    assert_true(permit_list_add(&p.outer.patterns, view_of_string("*")));
    len = permit_issue(bytes, &p, &keys[0], &e);
    assert_true(len > 0);
    if (with_permit)
        hello.permit = permit_for_relay(view_of(bytes, len));
    payload_len = hello_encode(&hello, payload, sizeof payload);
    assert_true(payload_len > 0);
}

static struct authorities *trusting(size_t first, size_t count)
{
    struct relay_authority all[2] = {{.name = "a"}, {.name = "b"}};
    struct relay_config config = {.authorities = all, .authority_count = count};
    struct authorities *a = authorities_new();
    assert_non_null(a);
    for (size_t i = 0; i < count; i++)
        memcpy(all[i].public_key, keys[(first + i) % 2].public_key, SIGN_PUBLIC_BYTES);
    authorities_set(a, &config);
    return a;
}

static enum vouching vouch(struct authorities *a, const uint8_t *key)
{
    return authorities_vouch(a, key, view_of(payload, payload_len));
}

/* The second time, too, when nothing is computed. */
static void test_good(void **state)
{
    struct authorities *a = trusting(1, 2);
    (void)state;
    make_hello(true);
    assert_int_equal(vouch(a, alice), VOUCHING_GOOD);
    assert_int_equal(vouch(a, alice), VOUCHING_GOOD);
    authorities_free(a);
}

static void test_nothing_to_vouch_for(void **state)
{
    struct authorities *none = trusting(0, 0), *other = trusting(1, 1), *right = trusting(0, 1);
    (void)state;
    make_hello(true);
    assert_int_equal(vouch(none, alice), VOUCHING_NONE);
    assert_int_equal(vouch(other, alice), VOUCHING_NONE);
    assert_int_equal(vouch(right, bob), VOUCHING_NONE);
    make_hello(false);
    assert_int_equal(vouch(right, alice), VOUCHING_NONE);
    payload_len = 3;
    assert_int_equal(vouch(right, alice), VOUCHING_NONE);
    authorities_free(none);
    authorities_free(other);
    authorities_free(right);
}

/* A signature that differs in a bit is none, also after the right one was found good. */
static void test_bad_signature(void **state)
{
    struct authorities *a = trusting(0, 1);
    (void)state;
    make_hello(true);
    assert_int_equal(vouch(a, alice), VOUCHING_GOOD);
    payload[payload_len - 1] ^= 1;
    assert_int_equal(vouch(a, alice), VOUCHING_BAD);
    assert_int_equal(vouch(a, alice), VOUCHING_BAD);
    authorities_free(a);
}

/* One that is no longer trusted vouches for nothing, whatever was good before. */
static void test_removed(void **state)
{
    struct authorities *a = trusting(0, 1);
    (void)state;
    make_hello(true);
    assert_int_equal(vouch(a, alice), VOUCHING_GOOD);
    authorities_set(a, &(struct relay_config){0});
    assert_int_equal(vouch(a, alice), VOUCHING_NONE);
    authorities_free(a);
}

static int start(void **state)
{
    (void)state;
    sign_key_generate(&keys[0]);
    sign_key_generate(&keys[1]);
    return crypto_start(false) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_nothing_to_vouch_for),
        cmocka_unit_test(test_bad_signature),
        cmocka_unit_test(test_removed),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
