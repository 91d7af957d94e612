/* The primitives against published vectors. */
#include "vectors.h"

#include "crypto/backend.h"
#include "crypto/cipher.h"

static void check_x25519(const char *scalar, const char *point, const char *expected)
{
    uint8_t k[KEY_BYTES], u[KEY_BYTES], out[KEY_BYTES];
    hex_read(k, scalar);
    hex_read(u, point);
    assert_true(x25519(out, k, u));
    assert_hex(out, expected);
}

/* RFC 7748 section 5.2. The second vector's point is given with bit 255 set, a spelling that is
 * refused here; with the bit clear it is the same point. */
static void test_x25519(void **state)
{
    static const char scalar2[] =
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d";
    uint8_t k[KEY_BYTES], u[KEY_BYTES], out[KEY_BYTES];
    (void)state;
    check_x25519("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    check_x25519(scalar2, "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413",
                 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
    hex_read(k, scalar2);
    hex_read(u, "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
    memset(out, 1, sizeof out);
    assert_false(x25519(out, k, u));
    assert_true(bytes_are_zero(out, sizeof out));
}

/* RFC 7748 section 5.2, the iterated function. */
static void test_x25519_iterated(void **state)
{
    uint8_t k[KEY_BYTES] = {9}, u[KEY_BYTES] = {9}, next[KEY_BYTES];
    (void)state;
    for (int i = 1; i <= 1000; i++) {
        assert_true(x25519(next, k, u));
        memcpy(u, k, sizeof u);
        memcpy(k, next, sizeof k);
        if (i == 1)
            assert_hex(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    assert_hex(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

/* RFC 7748 section 6.1. */
static void test_diffie_hellman(void **state)
{
    static const char shared[] = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    struct keypair alice, bob;
    uint8_t out[KEY_BYTES];
    (void)state;
    hex_read(alice.private_key, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    hex_read(bob.private_key, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    keypair_derive(&alice);
    keypair_derive(&bob);
    assert_hex(alice.public_key,
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_hex(bob.public_key, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_true(x25519(out, alice.private_key, bob.public_key));
    assert_hex(out, shared);
    assert_true(x25519(out, bob.private_key, alice.public_key));
    assert_hex(out, shared);
}

/* All points of small order in their canonical spelling: each gives zero with every scalar. */
static void test_low_order_points(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct keypair pair;
    uint8_t point[KEY_BYTES], out[KEY_BYTES];
    (void)state;
    keypair_generate(&pair);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        hex_read(point, points[i]);
        assert_true(public_key_canonical(point));
        memset(out, 1, sizeof out);
        assert_false(x25519(out, pair.private_key, point));
        assert_true(bytes_are_zero(out, sizeof out));
    }
}

static void test_canonical_keys(void **state)
{
    static const struct {
        const char *key;
        bool canonical;
    } cases[] = {
        {"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", true},
        {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
        {"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
        {"fffeffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", true},
        {"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe7f", true},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e", true},
        {"0900000000000000000000000000000000000000000000000000000000000000", true},
        {"0900000000000000000000000000000000000000000000000000000000000080", false},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", false},
    };
    uint8_t key[KEY_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hex_read(key, cases[i].key);
        assert_int_equal(public_key_canonical(key), cases[i].canonical);
    }
}

static void test_generated_keys(void **state)
{
    struct keypair a, b, copy;
    uint8_t ab[KEY_BYTES], ba[KEY_BYTES];
    (void)state;
    keypair_generate(&a);
    keypair_generate(&b);
    assert_memory_not_equal(a.private_key, b.private_key, KEY_BYTES);
    assert_int_equal(a.private_key[0] & 7, 0);
    assert_int_equal(a.private_key[31] & 0xc0, 0x40);
    assert_true(public_key_canonical(a.public_key));
    memcpy(copy.private_key, a.private_key, KEY_BYTES);
    keypair_derive(&copy);
    assert_memory_equal(copy.public_key, a.public_key, KEY_BYTES);
    assert_true(x25519(ab, a.private_key, b.public_key));
    assert_true(x25519(ba, b.private_key, a.public_key));
    assert_memory_equal(ab, ba, KEY_BYTES);
}

/* FIPS 180-4's examples, in one piece and cut in two. */
static void test_sha256(void **state)
{
    static const struct {
        const char *text, *hash;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t out[HASH_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view text = view_of_string(cases[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            sha256(out, view_of(text.data, cut), view_of(text.data + cut, text.len - cut));
            assert_hex(out, cases[i].hash);
        }
    }
}

/* RFC 4231, cases 1, 2, 6 and 7. */
static void test_hmac(void **state)
{
    static const char long_key[] = "aa*131";
    static const struct {
        const char *key, *data, *mac;
    } cases[] = {
        {"0b*20", "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {long_key, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {long_key,
         "This is a test using a larger than block-size key and a larger than block-size data. The "
         "key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    uint8_t key[VECTOR_TEXT], out[HASH_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view data = view_of_string(cases[i].data);
        const char *star = strchr(cases[i].key, '*'); /* a byte many times */
        size_t len = star ? (size_t)atoi(star + 1) : hex_read(key, cases[i].key);
        if (star)
            memset(key, hex_digit(cases[i].key[0]) << 4 | hex_digit(cases[i].key[1]), len);
        for (size_t cut = 0; cut <= data.len; cut++) {
            hmac_sha256(out, view_of(key, len), view_of(data.data, cut),
                        view_of(data.data + cut, data.len - cut));
            assert_hex(out, cases[i].mac);
        }
    }
}

/* RFC 5869 case 3: no salt is HMAC's zero key, and without info HKDF is Noise's. */
static void test_hkdf(void **state)
{
    uint8_t salt[HASH_BYTES] = {0}, ikm[22], out1[HASH_BYTES], out2[HASH_BYTES];
    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    noise_hkdf(out1, out2, salt, view_of(ikm, sizeof ikm));
    assert_hex(out1, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    assert_hex(out2, "9d201395faa4b61a96c8");
    /* The first output may replace the chaining key. */
    noise_hkdf(salt, out2, salt, view_of(ikm, sizeof ikm));
    assert_memory_equal(salt, out1, sizeof salt);
}

/* AEADs as the backend has them: vectors whose nonces do not begin with Noise's four zeros. */
static void test_chachapoly_rfc8439_2_8_2(void **state)
{
    char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
                  "the future, sunscreen would be it.";
    uint8_t key[KEY_BYTES], nonce[12], ad[12], tag[TAG_BYTES];
    (void)state;
    hex_read(key, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    hex_read(nonce, "070000004041424344454647");
    hex_read(ad, "50515253c0c1c2c3c4c5c6c7");
    crypto_backend()->poly1305(key, nonce, text, strlen(text), ad, sizeof ad, tag,
                               crypto_backend()->chacha20, 1);
    assert_hex((uint8_t *)text, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
                                "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
                                "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
                                "3ff4def08e4b7a9de576d26586cec64b6116");
    assert_hex(tag, "1ae10b594f09e26a7e902ecbd0600691");
}

/* RFC 8439 appendix A.5, whose nonce fits: sealed and opened through struct cipher. */
static void test_chachapoly_rfc8439_a_5(void **state)
{
    static const char text[] =
        "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
        "replaced, or obsoleted by other documents at any time. It is inappropriate to use "
        "Internet-Drafts as reference material or to cite them other than as "
        "/\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
    uint8_t key[KEY_BYTES], ad[12], tag[TAG_BYTES], data[sizeof text - 1];
    struct cipher c;
    (void)state;
    hex_read(key, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    hex_read(ad, "f33388860000000000004e91");
    cipher_init(&c, SUITE_CHACHAPOLY, key);
    memcpy(data, text, sizeof data);
    c.nonce = 0x0807060504030201;
    cipher_seal(&c, view_of(ad, sizeof ad), data, sizeof data, tag);
    assert_hex(data, "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2");
    assert_hex(tag, "eead9d67890cbb22392336fea1851f38");
    c.nonce = 0x0807060504030201;
    assert_true(cipher_open(&c, view_of(ad, sizeof ad), data, sizeof data, tag));
    assert_memory_equal(data, text, sizeof data);
}

/* The GCM specification's test cases 13 and 14: key and nonce zero. */
static void test_aesgcm_zero_nonce(void **state)
{
    static const uint8_t key[KEY_BYTES];
    uint8_t data[16] = {0}, tag[TAG_BYTES];
    struct cipher c;
    (void)state;
    cipher_init(&c, SUITE_AESGCM, key);
    cipher_seal(&c, view_of(NULL, 0), NULL, 0, tag);
    assert_hex(tag, "530f8afbc74536b9a963b4f1c4cb738b");
    assert_int_equal(c.nonce, 1);
    c.nonce = 0;
    cipher_seal(&c, view_of(NULL, 0), data, sizeof data, tag);
    assert_hex(data, "cea7403d4d606b6e074ec5d3baf39d18");
    assert_hex(tag, "d0d1c8a799996bf0265b98b5d48ab919");
}

/* The GCM specification's test cases 15 and 16. */
static void test_aesgcm_backend(void **state)
{
    static const char ciphertext[] =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
    static const struct {
        size_t len;
        const char *ad, *tag;
    } cases[] = {
        {64, "", "b094dac5d93471bdec1a502270e3cc6c"},
        {60, "feedfacedeadbeeffeedfacedeadbeefabaddad2", "76fc6ece0f4e1768cddf8853bb2d551b"},
    };
    br_aes_gen_ctr_keys aes;
    br_gcm_context gcm;
    uint8_t key[KEY_BYTES], iv[12], ad[32], data[64], expected[64], tag[TAG_BYTES];

    (void)state;
    hex_read(key, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    hex_read(iv, "cafebabefacedbaddecaf888");
    hex_read(expected, ciphertext);
    crypto_backend()->aes->init(&aes.vtable, key, sizeof key);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hex_read(data, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                       "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
        br_gcm_init(&gcm, &aes.vtable, crypto_backend()->ghash);
        br_gcm_reset(&gcm, iv, sizeof iv);
        br_gcm_aad_inject(&gcm, ad, hex_read(ad, cases[i].ad));
        br_gcm_flip(&gcm);
        br_gcm_run(&gcm, 1, data, cases[i].len);
        br_gcm_get_tag(&gcm, tag);
        assert_memory_equal(data, expected, cases[i].len);
        assert_hex(tag, cases[i].tag);
    }
}

static void test_portable_has_no_aes(void **state)
{
    (void)state;
    assert_true(crypto_start(true));
    assert_false(crypto_has_aes());
    assert_ptr_equal(crypto_backend()->aes, &br_aes_ct64_ctr_vtable);
    assert_true(crypto_start(false));
    assert_int_equal(crypto_has_aes(), br_aes_x86ni_ctr_get_vtable() && br_ghash_pclmul_get());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_x25519),
        BOTH(test_x25519_iterated),
        BOTH(test_diffie_hellman),
        BOTH(test_low_order_points),
        BOTH(test_canonical_keys),
        BOTH(test_generated_keys),
        BOTH(test_sha256),
        BOTH(test_hmac),
        BOTH(test_hkdf),
        BOTH(test_chachapoly_rfc8439_2_8_2),
        BOTH(test_chachapoly_rfc8439_a_5),
        BOTH(test_aesgcm_zero_nonce),
        BOTH(test_aesgcm_backend),
        cmocka_unit_test(test_portable_has_no_aes),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
