/* Keys as text and in files, and the key applet. */
#include "vectors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "crypto/keys.h"
#include "key/key.h"

/* Made with `wg genkey` and `wg pubkey`; the fingerprint with
 * `base64 -d | openssl dgst -sha256 -binary | base64`. */
#define WG_PRIVATE "4P1OwY55kax9PEiZcjtkmTyyIGxFzaktBE4D9HE96FE="
#define WG_PUBLIC "5woZ8Eg8WAYmg5M2smmoMsFEg6hqBkoP1+piWKKVnV4="
#define WG_FINGERPRINT "SHA256:m28tkqGNIA1EBDTgfEFvMeUnhPqOvgQ86i1yJpRFpqQ"

static char directory[64];

static int enter_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/spx-test-keys-XXXXXX");
    return crypto_start(false) && mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    (void)state;
    unlink("key");
    unlink("out");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static void test_public_key_text(void **state)
{
    uint8_t key[KEY_BYTES];
    char text[KEY_TEXT_BYTES];
    (void)state;
    assert_true(public_key_from_text(key, view_of_string(WG_PUBLIC)));
    key_to_text(text, key);
    assert_string_equal(text, WG_PUBLIC);
}

/* The last character before '=' holds two bits that must be zero; 'A', 'E', … are canonical. */
static void test_bad_public_keys(void **state)
{
    static const char *const bad[] = {
        "",
        "=",
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", /* unused bits set */
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD=",
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* no padding */
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",  /* 31 bytes */
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* 33 bytes */
        " CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* white space */
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "CQAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAAA=", /* base64url */
        "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA=", /* bit 255 */
        "7f///////////////////////////////////////38=", /* 2^255 - 19 */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* zero */
    };
    uint8_t key[KEY_BYTES];
    (void)state;
    assert_true(
        public_key_from_text(key, view_of_string("CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(public_key_from_text(key, view_of_string(bad[i])));
}

static void test_fingerprint(void **state)
{
    uint8_t key[KEY_BYTES];
    char text[FINGERPRINT_TEXT_BYTES];
    (void)state;
    assert_true(public_key_from_text(key, view_of_string(WG_PUBLIC)));
    key_fingerprint(text, key);
    assert_string_equal(text, WG_FINGERPRINT);
    assert_int_equal(strlen(text) + 1, FINGERPRINT_TEXT_BYTES);
}

static void assert_wg_pair(const struct keypair *pair)
{
    char text[KEY_TEXT_BYTES];
    key_to_text(text, pair->private_key);
    assert_string_equal(text, WG_PRIVATE);
    key_to_text(text, pair->public_key);
    assert_string_equal(text, WG_PUBLIC);
}

static void test_load(void **state)
{
    static const char *const texts[] = {WG_PRIVATE "\n", WG_PRIVATE, WG_PRIVATE "\r\n",
                                        " \n\t" WG_PRIVATE "  \n\n",
                                        "\xef\xbb\xbf" WG_PRIVATE "\r\n"};
    struct keypair pair;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file("key", texts[i], 0600);
        memset(&pair, 0, sizeof pair);
        assert_true(keypair_load(&pair, "key", &e));
        assert_wg_pair(&pair);
    }
    assert_int_equal(chmod("key", 0400), 0);
    assert_true(keypair_load(&pair, "key", &e));
    assert_int_equal(e.failure, 0);
}

/* The error names the file and the pair stays as it was. */
static void assert_not_loaded(const char *path, const char *reason)
{
    struct keypair pair, before;
    struct error e = {0};
    memset(&pair, 0xaa, sizeof pair);
    before = pair;
    assert_false(keypair_load(&pair, path, &e));
    assert_int_equal(e.failure, FAILURE_CONFIG);
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.text, reason));
    assert_null(strstr(e.text, WG_PRIVATE));
    assert_memory_equal(&pair, &before, sizeof pair);
}

static void test_modes(void **state)
{
    static const mode_t modes[] = {0660, 0620, 0610, 0604, 0602, 0601, 0644, 0666, 0777};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file("key", WG_PRIVATE "\n", modes[i]);
        assert_not_loaded("key", "chmod 600");
    }
    unlink("key");
    assert_not_loaded("key", "cannot open");
    assert_not_loaded("/", "not a regular file");
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "no key"},
        {"\n \n", "no key"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "all zero"},
        {"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n", "canonical"},
        {"CQAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAA=\n", "canonical"},
        {WG_PRIVATE "\n" WG_PRIVATE "\n", "89 characters"},
        {"# a comment\n" WG_PRIVATE "\n", "characters"},
        {"CQ==", "4 characters"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("key", cases[i].text, 0600);
        assert_not_loaded("key", cases[i].reason);
    }
    char large[2000];
    memset(large, ' ', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    write_file("key", large, 0600);
    assert_not_loaded("key", "larger");
}

/* ---- the applet ---- */

/* Runs it in a process of its own with standard input from a file; what it prints on standard
 * output is in out. Returns its exit code. */
static int run_key(const char *input, char *out, size_t size, const char *word1, const char *word2,
                   const char *word3)
{
    char name[] = "key", word[3][64] = {{0}};
    const char *words[] = {word1, word2, word3};
    char *argv[5] = {name};
    int argc = 1, status;
    for (; argc <= 3 && words[argc - 1]; argc++)
        argv[argc] = strcpy(word[argc - 1], words[argc - 1]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen(input, "r", stdin) || !freopen("out", "w", stdout) ||
            !freopen("/dev/null", "w", stderr))
            _exit(99);
        status = key_main(argc, argv);
        fflush(stdout);
        _exit(status);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    FILE *f = fopen("out", "r");
    assert_non_null(f);
    out[fread(out, 1, size - 1, f)] = '\0';
    fclose(f);
    return WEXITSTATUS(status);
}

static void test_key_new(void **state)
{
    char out[256], again[256];
    struct stat st;
    struct error e = {0};
    char *text;
    size_t len;
    (void)state;
    unlink("key");
    assert_int_equal(run_key("/dev/null", out, sizeof out, "new", "key", NULL), FAILURE_NONE);
    assert_int_equal(stat("key", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(file_read("key", 1024, true, &text, &len, &e));
    assert_int_equal(len, KEY_TEXT_BYTES);
    assert_int_equal(text[len - 1], '\n');

    assert_int_equal(strlen(out), KEY_TEXT_BYTES);
    assert_int_equal(run_key("/dev/null", again, sizeof again, "public", "key", NULL),
                     FAILURE_NONE);
    assert_string_equal(again, out);

    /* never overwritten */
    assert_int_not_equal(run_key("/dev/null", out, sizeof out, "new", "key", NULL), FAILURE_NONE);
    assert_string_equal(out, "");
    char *before = text;
    assert_true(file_read("key", 1024, true, &text, &len, &e));
    assert_string_equal(text, before);
    free(before);
    free(text);
}

static void test_key_public(void **state)
{
    char out[256];
    (void)state;
    write_file("key", WG_PRIVATE "\n", 0600);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "public", "key", NULL), FAILURE_NONE);
    assert_string_equal(out, WG_PUBLIC "\n");
    assert_int_equal(run_key("key", out, sizeof out, "public", NULL, NULL), FAILURE_NONE);
    assert_string_equal(out, WG_PUBLIC "\n");
    assert_int_equal(run_key("key", out, sizeof out, "public", "-", NULL), FAILURE_NONE);
    assert_string_equal(out, WG_PUBLIC "\n");
    assert_int_equal(chmod("key", 0644), 0);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "public", "key", NULL), FAILURE_CONFIG);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "public", "-", NULL), FAILURE_CONFIG);
    assert_string_equal(out, "");
}

static void test_key_usage(void **state)
{
    char out[2048];
    (void)state;
    assert_int_equal(run_key("/dev/null", out, sizeof out, "--help", NULL, NULL), FAILURE_NONE);
    assert_non_null(strstr(out, "new [--authority] FILE"));
    assert_int_equal(run_key("/dev/null", out, sizeof out, "-h", NULL, NULL), FAILURE_NONE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "new", "--help", NULL), FAILURE_NONE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, NULL, NULL, NULL), FAILURE_USAGE);
    assert_string_equal(out, "");
    assert_int_equal(run_key("/dev/null", out, sizeof out, "new", NULL, NULL), FAILURE_USAGE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "new", "-", NULL), FAILURE_USAGE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "new", "a", "b"), FAILURE_USAGE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "public", "a", "b"), FAILURE_USAGE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "old", "key", NULL), FAILURE_USAGE);
    assert_int_equal(run_key("/dev/null", out, sizeof out, "--old", NULL, NULL), FAILURE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_key_text), cmocka_unit_test(test_bad_public_keys),
        cmocka_unit_test(test_fingerprint),     cmocka_unit_test(test_load),
        cmocka_unit_test(test_modes),           cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_key_new),         cmocka_unit_test(test_key_public),
        cmocka_unit_test(test_key_usage),
    };
    return cmocka_run_group_tests_name("keys", tests, enter_directory, leave_directory);
}
