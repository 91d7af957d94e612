/* Signed heads: one spelling, every bit counts; and whose key counts for whom. */
#include "vectors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "audit/heads.h"
#include "audit/signed_head.h"
#include "base/files.h"
#include "base/text.h"

#define SIGNER "SHA256:m28tkqGNIA1EBDTgfEFvMeUnhPqOvgQ86i1yJpRFpqQ"
#define CHAIN "0123456789abcdef0123456789abcdef"

static char directory[64];

static int enter_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/spx-test-heads-XXXXXX");
    return crypto_start(false) && mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    (void)state;
    unlink(".audit.key");
    unlink(".audit.peers");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static struct signed_head make(enum audit_role role, struct sign_key *key)
{
    struct audit_head head = {.chain = CHAIN, .number = 258, .hash = {7, 8, 9}};
    struct signed_head h;
    sign_key_generate(key);
    signed_head_make(&h, key, role, &head, 1796018066123);
    return h;
}

static void encoding(void **state)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    char text[SIGNED_HEAD_TEXT_BYTES];
    struct sign_key key;
    struct signed_head h = make(AUDIT_AGENT, &key), again;
    (void)state;
    signed_head_encode(bytes, &h);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(bytes[1], AUDIT_AGENT);
    assert_memory_equal(bytes + 2, key.public_key, sizeof key.public_key);
    assert_memory_equal(bytes + 66, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
    assert_memory_equal(bytes + 82, "\0\0\0\0\0\0\1\2", 8);
    assert_memory_equal(bytes + 98, "\7\10\11\0", 4);
    assert_true(signed_head_decode(&again, view_of(bytes, sizeof bytes)));
    assert_memory_equal(&again, &h, sizeof h);
    text_hex(text, bytes, sizeof bytes);
    assert_true(signed_head_from_text(&again, text));
    assert_memory_equal(&again, &h, sizeof h);
    text[0] = 'g';
    assert_false(signed_head_from_text(&again, text));
    for (size_t len = 0; len < sizeof bytes; len++)
        assert_false(signed_head_decode(&again, view_of(bytes, len)));
    bytes[0] = 2;
    assert_false(signed_head_decode(&again, view_of(bytes, sizeof bytes)));
    bytes[0] = 1;
    bytes[1] = 4;
    assert_false(signed_head_decode(&again, view_of(bytes, sizeof bytes)));
    bytes[1] = 0;
    assert_false(signed_head_decode(&again, view_of(bytes, sizeof bytes)));
    bytes[1] = AUDIT_RELAY;
    memset(bytes + 82, 0, 8);
    assert_false(signed_head_decode(&again, view_of(bytes, sizeof bytes)));
}

static void roles(void **state)
{
    (void)state;
    assert_string_equal(audit_role_name(AUDIT_CLIENT), "client");
    assert_null(audit_role_name((enum audit_role)0));
    assert_null(audit_role_name((enum audit_role)4));
    assert_int_equal(audit_role_of("relay"), AUDIT_RELAY);
    assert_int_equal(audit_role_of("agent"), AUDIT_AGENT);
    assert_int_equal(audit_role_of("key"), 0);
}

/* A bit of each byte, also of those that are no part of what is signed. */
static void every_byte_counts(void **state)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    struct sign_key key;
    struct signed_head h = make(AUDIT_CLIENT, &key), changed;
    (void)state;
    assert_true(signed_head_is_good(&h));
    for (size_t i = 1; i < sizeof bytes; i++) {
        signed_head_encode(bytes, &h);
        bytes[i] ^= 2;
        if (signed_head_decode(&changed, view_of(bytes, sizeof bytes)))
            assert_false(signed_head_is_good(&changed));
    }
}

static void judge(struct audit_heads *all, const struct signed_head *h, const char *signer,
                  enum head_worth expected)
{
    struct error e = {0};
    enum head_worth worth;
    char pinned[FINGERPRINT_TEXT_BYTES];
    assert_true(audit_heads_judge(all, h, signer, &worth, pinned, &e));
    assert_int_equal(worth, expected);
}

/* The first key of a signer in a role counts, also for another process and after a restart. */
static void the_first_key_counts(void **state)
{
    struct audit_heads one, two;
    struct sign_key key, other_key;
    struct signed_head h = make(AUDIT_AGENT, &key), other = make(AUDIT_AGENT, &other_key);
    struct signed_head forged = h, client = make(AUDIT_CLIENT, &key);
    struct stat st;
    (void)state;
    assert_true(audit_heads_init(&one, AUDIT_RELAY, "audit"));
    assert_true(audit_heads_init(&two, AUDIT_RELAY, "audit"));
    forged.signature[5] ^= 1;
    judge(&one, &forged, SIGNER, HEAD_FORGED);
    judge(&one, &h, SIGNER, HEAD_PINNED);
    judge(&one, &h, SIGNER, HEAD_GOOD);
    judge(&one, &other, SIGNER, HEAD_FOREIGN);
    judge(&two, &other, SIGNER, HEAD_FOREIGN);
    judge(&two, &client, SIGNER, HEAD_PINNED);
    judge(&one, &other, "SHA256:another", HEAD_PINNED);
    audit_heads_free(&two);
    assert_true(audit_heads_init(&two, AUDIT_RELAY, "audit"));
    judge(&two, &other, SIGNER, HEAD_FOREIGN);
    judge(&two, &other, "SHA256:another", HEAD_GOOD);
    assert_true(stat(".audit.peers", &st) == 0 && (st.st_mode & 0777) == 0600);
    audit_heads_free(&one);
    audit_heads_free(&two);
}

/* With one key a user may have audits on several computers, but not any number. */
static void a_user_has_several(void **state)
{
    struct audit_heads all;
    struct sign_key key;
    struct signed_head heads[AUDITS_PER_USER + 1];
    (void)state;
    assert_true(audit_heads_init(&all, AUDIT_AGENT, "audit"));
    for (size_t i = 0; i <= AUDITS_PER_USER; i++) {
        heads[i] = make(AUDIT_CLIENT, &key);
        judge(&all, &heads[i], SIGNER, i < AUDITS_PER_USER ? HEAD_PINNED : HEAD_FOREIGN);
    }
    for (size_t i = 0; i < AUDITS_PER_USER; i++)
        judge(&all, &heads[i], SIGNER, HEAD_GOOD);
    audit_heads_free(&all);
}

/* A key is made once; a file that is none is left alone. */
static void the_own_key(void **state)
{
    struct audit_heads one, two;
    struct signed_head a, b;
    struct audit_head head = {.chain = CHAIN, .number = 1};
    struct error e = {0};
    char shown[FINGERPRINT_TEXT_BYTES], expected[FINGERPRINT_TEXT_BYTES];
    struct stat st;
    (void)state;
    assert_true(audit_heads_own("audit", shown, &e));
    assert_string_equal(shown, "");
    assert_true(audit_heads_init(&one, AUDIT_AGENT, "audit"));
    assert_true(audit_heads_init(&two, AUDIT_AGENT, "audit"));
    assert_true(audit_heads_sign(&one, &head, &a, &e));
    assert_true(audit_heads_sign(&two, &head, &b, &e));
    assert_memory_equal(a.key, b.key, sizeof a.key);
    assert_true(signed_head_is_good(&a) && signed_head_is_good(&b));
    assert_true(stat(".audit.key", &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_nlink == 1);
    assert_true(audit_heads_own("audit", shown, &e));
    sign_fingerprint(expected, a.key);
    assert_string_equal(shown, expected);
    audit_heads_free(&one);
    audit_heads_free(&two);
    assert_true(file_replace(".audit.key", "spx-audit-key hello\n", 20, &e));
    assert_true(audit_heads_init(&one, AUDIT_AGENT, "audit"));
    assert_false(audit_heads_sign(&one, &head, &a, &e));
    assert_non_null(strstr(e.text, ".audit.key: is not an audit key"));
    audit_heads_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(encoding, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(roles, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(every_byte_counts, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(the_first_key_counts, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(a_user_has_several, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(the_own_key, enter_directory, leave_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
