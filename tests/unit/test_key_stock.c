/* The stock of ephemeral keys: each pair is whole, given out once, and nothing of it stays. */
#include "crypto/key_stock.h"

#include "vectors.h"

static bool same(const struct keypair *a, const struct keypair *b)
{
    return memcmp(a->private_key, b->private_key, KEY_BYTES) == 0;
}

static void test_each_is_given_once(void **state)
{
    struct key_stock stock;
    struct keypair taken[KEY_STOCK_MAX], more;
    (void)state;
    key_stock_init(&stock);
    assert_false(key_stock_take(&stock, &more));
    key_stock_fill(&stock);
    for (unsigned i = 0; i < KEY_STOCK_MAX; i++) {
        assert_true(key_stock_take(&stock, &taken[i]));
        more = taken[i];
        keypair_derive(&more);
        assert_memory_equal(more.public_key, taken[i].public_key, KEY_BYTES);
        for (unsigned j = 0; j < i; j++)
            assert_false(same(&taken[i], &taken[j]));
    }
    assert_false(key_stock_take(&stock, &more));
    assert_true(bytes_are_zero((const uint8_t *)stock.pairs, sizeof stock.pairs));
    key_stock_end(&stock);
}

static void test_what_is_missing_is_made(void **state)
{
    struct key_stock stock;
    struct keypair first, pair;
    (void)state;
    key_stock_init(&stock);
    key_stock_fill(&stock);
    first = stock.pairs[0];
    assert_true(key_stock_take(&stock, &pair));
    key_stock_fill(&stock);
    assert_int_equal(stock.count, KEY_STOCK_MAX);
    assert_true(same(&first, &stock.pairs[0])); /* the others stayed */
    key_stock_end(&stock);
    assert_true(bytes_are_zero((const uint8_t *)stock.pairs, sizeof stock.pairs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_given_once),
        cmocka_unit_test(test_what_is_missing_is_made),
    };
    return cmocka_run_group_tests_name("key_stock", tests, NULL, NULL);
}
