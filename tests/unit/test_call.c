/* `spx agent call`: what it says when the system refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/call_command.h"

/* Calls with standard error in a file; out: what it said. */
static enum failure call(const char *path, const char *text, char out[512])
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    enum failure failure;
    size_t n;
    dup2(fileno(file), STDERR_FILENO);
    failure = call_send(path, 3, text, false);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    n = fread(out, 1, 511, file);
    out[n] = '\0';
    fclose(file);
    return failure;
}

/* Neither the path nor the text is at fault. */
static void test_no_socket(void **state)
{
    struct rlimit limit, none;
    char said[512];
    enum failure failure;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 5; /* 0 to 2, and what call() opens before */
    setrlimit(RLIMIT_NOFILE, &none);
    failure = call("/nowhere", "a fan", said);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(failure, FAILURE_OTHER);
    assert_string_equal(said, "spx agent call: cannot open a socket: too many open files\n");
}

static void test_no_agent(void **state)
{
    char said[512];
    (void)state;
    assert_int_equal(call("/nowhere", "a fan", said), FAILURE_OTHER);
    assert_non_null(strstr(said, "/nowhere: no such file or directory: nothing runs"));
}

/* The text is at fault, or the path, and it is told which. */
static void test_too_long(void **state)
{
    char said[512], text[1100];
    (void)state;
    memset(text, 'x', sizeof text);
    text[1025] = '\0';
    assert_int_equal(call("/nowhere", text, said), FAILURE_USAGE);
    assert_string_equal(said, "spx agent call: a text of 1025 bytes: expected at most 1024\n");
    text[1024] = '\0';
    assert_int_equal(call("/nowhere", text, said), FAILURE_OTHER);
    text[200] = '\0';
    assert_int_equal(call(text, "a fan", said), FAILURE_OTHER);
    assert_non_null(strstr(said, "x: file name too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_socket),
        cmocka_unit_test(test_no_agent),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
