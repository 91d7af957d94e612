/* Unit tests of modules/base/files.h, in a directory of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

static char directory[64];

static int enter_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/spx-test-files-XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    static const char *const names[] = {"a", "key", "pipe", "big", "list", "dir/x"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    rmdir("dir");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static void write_file(const char *name, const char *content, size_t len, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static void assert_content(const char *name, const char *content)
{
    struct error e = {0};
    char *text;
    size_t len;
    assert_true(file_read(name, 1 << 20, false, &text, &len, &e));
    assert_int_equal(len, strlen(content));
    assert_string_equal(text, content);
    free(text);
}

static void assert_refused(const char *name, size_t max, bool secret, const char *message)
{
    struct error e = {0};
    char *text = NULL;
    size_t len;
    assert_false(file_read(name, max, secret, &text, &len, &e));
    assert_int_equal(e.failure, FAILURE_CONFIG);
    assert_string_equal(e.text, message);
    assert_null(text);
}

static void files_are_read_whole(void **state)
{
    static char big[100000];
    struct error e = {0};
    char *text;
    size_t len;
    (void)state;
    write_file("a", "", 0, 0644);
    assert_content("a", "");
    write_file("a", "x\n", 2, 0644);
    assert_content("a", "x\n");
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i % 251);
    write_file("big", big, sizeof big, 0644);
    assert_true(file_read("big", sizeof big, false, &text, &len, &e));
    assert_int_equal(len, sizeof big);
    assert_memory_equal(text, big, sizeof big);
    assert_int_equal(text[len], 0);
    free(text);
}

static void files_too_large_are_refused(void **state)
{
    static char big[4097];
    (void)state;
    write_file("big", big, sizeof big, 0644);
    assert_refused("big", 4096, false, "big: larger than 4096 bytes");
    assert_refused("big", 10, false, "big: larger than 10 bytes");
    assert_refused("big", 0, false, "big: larger than 0 bytes");
}

static void only_files_are_read(void **state)
{
    (void)state;
    assert_refused("missing", 10, false, "cannot open missing: no such file or directory");
    assert_refused(".", 10, false, ".: not a regular file");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_refused("pipe", 10, false, "pipe: not a regular file");
}

static void files_others_can_write_are_refused(void **state)
{
    static const mode_t wrong[] = {0660, 0606, 0620, 0602, 01606};
    struct error e = {0};
    char *text, message[128];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_file("list", "x", 1, wrong[i]);
        snprintf(message, sizeof message,
                 "list: its mode %04o lets others change it; run: chmod go-w list",
                 (unsigned)wrong[i]);
        assert_refused("list", 10, false, message);
    }
    write_file("list", "x", 1, 0644);
    assert_true(file_read("list", 10, false, &text, &len, &e));
    free(text);
}

/* The folder of the file, of what a symbolic link leads to, and one above them. */
static void folders_others_can_write_are_refused(void **state)
{
    struct error e = {0};
    char *text, message[256];
    size_t len;
    (void)state;
    assert_int_equal(mkdir("dir", 0700), 0);
    assert_int_equal(mkdir("dir/sub", 0700), 0);
    write_file("dir/sub/list", "x", 1, 0600);
    assert_int_equal(symlink("dir/sub/list", "link"), 0);
    assert_int_equal(chmod("dir", 0777), 0);
    snprintf(message, sizeof message,
             "%s/dir: its mode 0777 lets others change it; run: chmod go-w %s/dir", directory,
             directory);
    assert_refused("dir/sub/list", 10, false, message);
    assert_refused("link", 10, false, message);
    assert_int_equal(chmod("dir", 01777), 0); /* others may add files, not replace this one */
    assert_true(file_read("link", 10, false, &text, &len, &e));
    free(text);
    unlink("link");
    unlink("dir/sub/list");
    rmdir("dir/sub");
    rmdir("dir");
}

/* Only root can give files away. */
static void files_of_others_are_refused(void **state)
{
    struct error e = {0};
    char *text;
    size_t len;
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("list", "x", 1, 0600);
    assert_int_equal(chown("list", 4242, 0), 0);
    assert_refused("list", 10, false,
                   "list: owned by user 4242, who could change it; run: chown 0 list");
    assert_int_equal(mkdir("given", 0755), 0);
    write_file("given/list", "x", 1, 0644);
    assert_int_equal(chown("given", 4242, 0), 0);
    assert_false(file_read("given/list", 10, false, &text, &len, &e));
    assert_non_null(strstr(e.text, "/given: owned by user 4242"));
    e = (struct error){0};
    assert_int_equal(chmod("given", 01755), 0); /* its owner may replace any file in it */
    assert_false(file_read("given/list", 10, false, &text, &len, &e));
    assert_non_null(strstr(e.text, "/given: owned by user 4242"));

    /* A service's user reads root's and its own files, and secrets of its groups, not of another.
     */
    assert_int_equal(chown("given", 0, 0), 0);
    assert_int_equal(chown("given/list", 0, 4343), 0);
    assert_int_equal(chmod("given/list", 0640), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_true(file_read("given/list", 10, true, &text, &len, &e)); /* root does not know */
    free(text);
    e = (struct error){0};
    assert_int_equal(setegid(4343), 0);
    assert_int_equal(seteuid(4242), 0);
    assert_true(file_read("given/list", 10, true, &text, &len, &e));
    free(text);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown("given/list", 4242, 4444), 0);
    assert_int_equal(seteuid(4242), 0);
    assert_false(file_read("given/list", 10, true, &text, &len, &e));
    assert_non_null(strstr(e.text, "its mode 0640 gives others access to a secret"));
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setgroups(2, (const gid_t[]){4445, 4444}), 0);
    assert_int_equal(seteuid(4242), 0);
    e = (struct error){0};
    assert_true(file_read("given/list", 10, true, &text, &len, &e));
    free(text);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setegid(0), 0);
    unlink("list");
    unlink("given/list");
    rmdir("given");
}

static void secrets_others_can_read_are_refused(void **state)
{
    static const mode_t wrong[] = {0660, 0644, 0604, 0620, 0602, 0610, 0601};
    static const mode_t right[] = {0600, 0400, 0640, 0440};
    struct error e = {0};
    char *text, message[128];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_file("key", "s", 1, wrong[i]);
        snprintf(message, sizeof message,
                 "key: its mode %04o gives others access to a secret; run: chmod 600 key",
                 (unsigned)wrong[i]);
        assert_refused("key", 10, true, message);
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        write_file("key", "s", 1, right[i]); /* its group is the process's */
        assert_true(file_read("key", 10, true, &text, &len, &e));
        free(text);
    }
    unlink("key");
}

static void descriptors_are_read_to_their_end(void **state)
{
    struct error e = {0};
    char *text;
    size_t len;
    int fd[2];
    (void)state;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "one", 3), 3);
    close(fd[1]);
    assert_true(file_read_fd(fd[0], "standard input", 3, &text, &len, &e));
    assert_int_equal(len, 3);
    assert_string_equal(text, "one");
    free(text);
    close(fd[0]);
    assert_false(file_read_fd(-1, "standard input", 3, &text, &len, &e));
    assert_string_equal(e.text, "cannot read standard input: bad file descriptor");
}

static void secret_files_are_created_once(void **state)
{
    struct error e = {0};
    struct stat st;
    mode_t old = umask(0);
    (void)state;
    assert_true(file_create_secret("key", "first\n", 6, &e));
    umask(old);
    assert_int_equal(stat("key", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(file_create_secret("key", "second\n", 7, &e));
    assert_int_equal(e.failure, FAILURE_OTHER);
    assert_string_equal(e.text, "key: already exists; not overwritten");
    assert_content("key", "first\n");
    e = (struct error){0};
    assert_false(file_create_secret("dir/x", "x", 1, &e));
    assert_string_equal(e.text, "cannot create dir/x: no such file or directory");
    e = (struct error){0};
    assert_int_equal(mkdir("dir", 0700), 0);
    old = umask(0777);
    assert_true(file_create_secret("dir/x", "x", 1, &e));
    umask(old);
    assert_int_equal(stat("dir/x", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void lines_are_appended(void **state)
{
    struct error e = {0};
    struct stat st;
    (void)state;
    assert_true(file_append_line("list", "one", &e));
    assert_int_equal(stat("list", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(file_append_line("list", "two", &e));
    assert_content("list", "one\ntwo\n");
    write_file("list", "no end", 6, 0600);
    assert_true(file_append_line("list", "next", &e));
    assert_content("list", "no end\nnext\n");
    assert_false(file_append_line("missing/list", "x", &e));
    assert_string_equal(e.text, "cannot open missing/list for writing: no such file or directory");
}

static void full_disks_are_told(void **state)
{
    struct error e = {0};
    (void)state;
    assert_false(file_append_line("/dev/full", "x", &e));
    assert_int_equal(e.failure, FAILURE_OTHER);
    assert_string_equal(e.text, "cannot write /dev/full: no space left on device");
}

static void home_is_expanded(void **state)
{
    static const char *const cases[][2] = {
        {"~/x/y", "/home/alice/x/y"}, {"~", "~"}, {"~x/y", "~x/y"}, {"/a/~/", "/a/~/"}, {"", ""},
    };
    (void)state;
    setenv("HOME", "/home/alice", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = file_expand_home(cases[i][0]);
        assert_string_equal(path, cases[i][1]);
        free(path);
    }
    const struct passwd *user = getpwuid(geteuid());
    char expected[4096];
    snprintf(expected, sizeof expected, "%s/x", user ? user->pw_dir : "~");
    for (int empty = 0; empty < 2; empty++) { /* the user's own directory stands in for HOME */
        if (empty)
            setenv("HOME", "", 1);
        else
            unsetenv("HOME");
        char *path = file_expand_home("~/x");
        assert_string_equal(path, expected);
        free(path);
    }
}

static void a_lock_is_held_by_one(void **state)
{
    int first = file_lock("a.lock"), second;
    (void)state;
    assert_true(first >= 0);
    assert_int_equal(file_lock("a.lock"), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(first);
    second = file_lock("a.lock");
    assert_true(second >= 0);
    file_unlock(second, "a.lock");
    assert_int_not_equal(access("a.lock", F_OK), 0);
    assert_int_equal(file_lock("nowhere/a.lock"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(files_too_large_are_refused),
        cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(files_others_can_write_are_refused),
        cmocka_unit_test(folders_others_can_write_are_refused),
        cmocka_unit_test(files_of_others_are_refused),
        cmocka_unit_test(secrets_others_can_read_are_refused),
        cmocka_unit_test(descriptors_are_read_to_their_end),
        cmocka_unit_test(secret_files_are_created_once),
        cmocka_unit_test(lines_are_appended),
        cmocka_unit_test(full_disks_are_told),
        cmocka_unit_test(a_lock_is_held_by_one),
        cmocka_unit_test(home_is_expanded),
    };
    return cmocka_run_group_tests_name("files", tests, enter_directory, leave_directory);
}
