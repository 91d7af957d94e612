/* Signatures against those of pyca/cryptography, among them RFC 6979's, and what is none. */
#include "vectors.h"

#include "crypto/authority_key.h"

/* Runs f for each case of the file. */
static unsigned each_case(bool good, void (*f)(const struct vector *v))
{
    FILE *file = fopen("tests/vectors/signatures.txt", "r");
    struct vector v;
    unsigned count = 0;
    assert_non_null(file);
    while (vector_next(file, &v)) {
        if ((strcmp(vector_text(&v, "case"), "good") == 0) != good)
            continue;
        f(&v);
        count++;
    }
    assert_int_equal(fclose(file), 0);
    return count;
}

static bool check_case(const struct vector *v)
{
    uint8_t public_key[SIGN_PUBLIC_BYTES], hash[HASH_BYTES], signature[SIGNATURE_BYTES];
    assert_int_equal(vector_bytes(v, "public", public_key), sizeof public_key);
    assert_int_equal(vector_bytes(v, "hash", hash), sizeof hash);
    assert_int_equal(vector_bytes(v, "signature", signature), sizeof signature);
    return sign_check(signature, public_key, hash);
}

static void sign_again(const struct vector *v)
{
    struct sign_key key;
    uint8_t hash[HASH_BYTES], signature[SIGNATURE_BYTES];
    vector_bytes(v, "private", key.private_key);
    assert_true(sign_key_derive(&key));
    assert_hex(key.public_key, vector_text(v, "public"));
    vector_bytes(v, "hash", hash);
    sign_hash(signature, &key, hash);
    assert_hex(signature, vector_text(v, "signature"));
    assert_true(check_case(v));
}

static void refuse(const struct vector *v)
{
    if (check_case(v))
        fail_msg("taken for a signature: %s", vector_text(v, "case"));
}

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(each_case(true, sign_again), 8);
}

static void test_bad(void **state)
{
    (void)state;
    assert_int_equal(each_case(false, refuse), 21);
}

static void test_every_bit(void **state)
{
    struct sign_key key;
    uint8_t hash[HASH_BYTES] = {7}, signature[SIGNATURE_BYTES];
    (void)state;
    sign_key_generate(&key);
    sign_hash(signature, &key, hash);
    assert_true(sign_check(signature, key.public_key, hash));
    for (unsigned bit = 0; bit < 8 * SIGNATURE_BYTES; bit++) {
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(sign_check(signature, key.public_key, hash));
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void derive_none(const char *private_key)
{
    struct sign_key key;
    hex_read(key.private_key, private_key);
    assert_false(sign_key_derive(&key));
}

static void test_private_keys(void **state)
{
    (void)state;
    derive_none("0000000000000000000000000000000000000000000000000000000000000000");
    derive_none("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    derive_none("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
}

/* base64 -d | openssl dgst -sha256 -binary | base64 */
static void test_fingerprint(void **state)
{
    uint8_t key[SIGN_PUBLIC_BYTES] = {0};
    char text[FINGERPRINT_TEXT_BYTES];
    (void)state;
    sign_fingerprint(text, key);
    assert_string_equal(text, "SHA256:9aX9QtFqIDAnmO9u0wmXm0MAPSMg2fDo6pgxqSdZ+0s");
}

static void test_authority_text(void **state)
{
    uint8_t again[SIGN_PUBLIC_BYTES];
    char text[AUTHORITY_TEXT_BYTES];
    struct sign_key key;
    (void)state;
    sign_key_generate(&key);
    authority_to_text(text, key.public_key);
    assert_int_equal(strlen(text), 88);
    assert_true(authority_from_text(again, view_of_string(text)));
    assert_memory_equal(again, key.public_key, sizeof again);
    text[10] = text[10] == 'A' ? 'B' : 'A'; /* no point any more */
    assert_false(authority_from_text(again, view_of_string(text)));
    assert_false(authority_from_text(again, view_of(text, 84)));
}

static void test_authority_file(void **state)
{
    char text[AUTHORITY_FILE_BYTES];
    struct sign_key key, again;
    struct error e = {0};
    (void)state;
    sign_key_generate(&key);
    authority_file_text(text, &key);
    assert_true(authority_file_is_one(view_of_string(text)));
    assert_true(authority_key_from_text(&again, view_of_string(text), "f", &e));
    assert_memory_equal(&again, &key, sizeof key);
    assert_false(authority_key_from_text(&again, view_of(text, 40), "f", &e));
    assert_string_equal(e.text, "f: the authority's key in it is damaged");
    assert_false(authority_file_is_one(view_of(text + 1, 40)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
        cmocka_unit_test(test_every_bit),      cmocka_unit_test(test_private_keys),
        cmocka_unit_test(test_fingerprint),    cmocka_unit_test(test_authority_text),
        cmocka_unit_test(test_authority_file),
    };
    return cmocka_run_group_tests(tests, start_fast, NULL);
}
