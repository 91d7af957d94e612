/* Known keys: what is kept of whom, over changes of the configuration. */
#include "crypto/known_keys.h"

#include "vectors.h"

static const uint8_t alice[KEY_BYTES] = {1}, bob[KEY_BYTES] = {2}, result[KEY_BYTES] = {7, 8, 9};

static void test_results_of_known_keys(void **state)
{
    struct known_keys *known = known_keys_new();
    uint8_t shared[KEY_BYTES] = {0};
    (void)state;
    assert_non_null(known);
    assert_int_equal(known_keys_find(known, alice, shared), KEY_UNKNOWN);
    assert_true(known_keys_add(known, alice));
    assert_true(known_keys_add(known, alice)); /* once is enough */
    assert_int_equal(known_keys_find(known, alice, shared), KEY_KNOWN);
    known_keys_keep(known, alice, result);
    assert_int_equal(known_keys_find(known, alice, shared), KEY_COMPUTED);
    assert_memory_equal(shared, result, KEY_BYTES);
    known_keys_keep(known, bob, result); /* a stranger's is not kept */
    assert_int_equal(known_keys_find(known, bob, shared), KEY_UNKNOWN);
    known_keys_free(known);
    known_keys_free(NULL);
}

static void test_new_configuration(void **state)
{
    struct known_keys *known = known_keys_new();
    uint8_t shared[KEY_BYTES] = {0};
    (void)state;
    assert_non_null(known);
    known_keys_begin(known);
    known_keys_add(known, alice);
    known_keys_add(known, bob);
    known_keys_end(known);
    known_keys_keep(known, alice, result);
    known_keys_keep(known, bob, result);
    known_keys_begin(known);
    known_keys_add(known, bob);
    known_keys_end(known);
    assert_int_equal(known_keys_find(known, alice, shared), KEY_UNKNOWN);
    assert_int_equal(known_keys_find(known, bob, shared), KEY_COMPUTED);
    known_keys_add(known, alice); /* back again: nothing is left of before */
    assert_int_equal(known_keys_find(known, alice, shared), KEY_KNOWN);
    known_keys_free(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_of_known_keys),
        cmocka_unit_test(test_new_configuration),
    };
    return cmocka_run_group_tests_name("known_keys", tests, NULL, NULL);
}
