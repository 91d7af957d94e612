/* The guard from inside: each case in a process of its own that gives up what a role does, and then
 * tries what somebody who has taken it over would. Where the kernel has no Landlock or no seccomp,
 * its cases are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "guard/build.h"
#include "guard/calls.h"
#include "guard/capabilities.h"
#include "guard/fence.h"
#include "guard/guard.h"

static char folder[] = "/tmp/spx-test-guard-XXXXXX";

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && file_write_all(fd, text, strlen(text)));
    close(fd);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0 || mkdir("own", 0700) != 0 ||
        mkdir("state", 0700) != 0 || mkdir("other", 0700) != 0)
        return 1;
    write_file("own/conf", "conf");
    write_file("other/secret", "secret");
    write_file("state/old", "old");
    return symlink("../own/conf", "other/link");
}

static int remove_folder(void **state)
{
    static const char *const made[] = {"own/conf",     "own",        "state/old", "state",
                                       "other/secret", "other/link", "other"};
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (remove(made[i]) != 0)
            return 1;
    return chdir("/") != 0 || rmdir(folder) != 0;
}

/* Runs f in a child that is guarded as the role; f returns the line of what was wrong, or 0. */
static void in_role(unsigned role, bool connects, bool listens, int (*f)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fence fence;
        fence_begin(&fence, connects, listens);
        fence_allow_system(&fence);
        fence_allow_beside(&fence, "own/conf", FENCE_READ);
        fence_allow(&fence, "state", FENCE_WRITE);
        log_setup("test", LOG_ERROR, false);
        guard_enter(&(struct guard_settings){.role = role, .fence = &fence});
        _exit(f());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status))
        fail_msg("what line %d expects of the child is not so", WEXITSTATUS(status));
}

static void in_both(int (*f)(void))
{
    in_role(GUARD_RELAY, false, false, f);
    in_role(GUARD_RELAY | GUARD_DIALS, true, false, f);
    in_role(GUARD_AGENT, true, true, f);
}

/* Lines of this file fit an exit code by this. */
#define EXPECT(condition)              \
    do {                               \
        if (!(condition))              \
            return __LINE__ % 255 + 1; \
    } while (0)
#define REFUSED(call) EXPECT((errno = 0, (call)) == -1 && (errno == EACCES || errno == EPERM))

static bool can(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- Files. ---- */

static int opens_its_files(void)
{
    EXPECT(can("own/conf", O_RDONLY));
    EXPECT(can("/etc/passwd", O_RDONLY));
    EXPECT(can("other/link", O_RDONLY)); /* which leads to its own */
    EXPECT(rename("state/old", "state/new") == 0);
    EXPECT(can("state/more", O_WRONLY | O_CREAT | O_EXCL));
    EXPECT(unlink("state/more") == 0);
    EXPECT(rename("state/new", "state/old") == 0);
    return 0;
}

static int opens_no_others(void)
{
    REFUSED(open("other/secret", O_RDONLY));
    REFUSED(open("own/conf", O_RDWR));
    REFUSED(open("own/new", O_WRONLY | O_CREAT, 0600));
    REFUSED(open("/etc/new", O_WRONLY | O_CREAT, 0600));
    REFUSED(unlink("own/conf"));
    REFUSED(unlink("other/secret"));
    REFUSED(rename("state/old", "other/old"));
    REFUSED(open("/proc/self/environ", O_RDONLY));
    REFUSED(open("/proc/self/mem", O_RDWR));
    return 0;
}

static void files(void **state)
{
    (void)state;
    if (fence_version() == 0)
        skip();
    in_both(opens_its_files);
    if (!BUILT_WITH_SANITIZERS)
        in_both(opens_no_others);
}

/* ---- The network. ---- */

static int listening_socket(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 4) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static uint16_t open_port;

static int connect_there(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(open_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int bind_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof a);
}

static int connects_nowhere(void)
{
    REFUSED(connect_there());
    REFUSED(bind_somewhere());
    return 0;
}

static int connects_and_does_not_listen(void)
{
    EXPECT(connect_there() == 0);
    if (fence_version() >= FENCE_TCP)
        REFUSED(bind_somewhere());
    return 0;
}

static int connects_and_listens(void)
{
    EXPECT(connect_there() == 0);
    EXPECT(bind_somewhere() == 0);
    REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
    return 0;
}

static void network(void **state)
{
    int fd = listening_socket(&open_port);
    (void)state;
    if (!filter_is_there() || BUILT_WITH_SANITIZERS)
        skip();
    in_role(GUARD_RELAY, false, false, connects_nowhere);
    in_role(GUARD_WEB, false, false, connects_nowhere);
    in_role(GUARD_RELAY | GUARD_DIALS, true, false, connects_and_does_not_listen);
    in_role(GUARD_AGENT, true, true, connects_and_listens);
    close(fd);
}

/* ---- System calls. ---- */

static void *nothing(void *arg)
{
    return arg;
}

static int makes_no_other_calls(void)
{
    static char program[] = "/bin/true";
    char *const words[] = {program, NULL};
    pthread_t thread;
    void *page;
    REFUSED(execve(program, words, NULL));
    REFUSED(fork());
    REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    REFUSED(syscall(SYS_process_vm_readv, getppid(), NULL, 0UL, NULL, 0UL, 0UL));
    REFUSED(mount("none", "/", "tmpfs", 0, NULL));
    REFUSED(syscall(SYS_init_module, NULL, 0UL, ""));
    REFUSED(syscall(SYS_keyctl, 0L, 0L));
    REFUSED(syscall(SYS_unshare, 0x10000000L));
    REFUSED(syscall(SYS_bpf, 0L, NULL, 0L));
    REFUSED(syscall(SYS_io_uring_setup, 1L, NULL));
    REFUSED(syscall(SYS_memfd_create, "x", 0L));
    REFUSED(kill(1, 0));
    REFUSED(setuid(0));
    REFUSED(chroot("/"));
    REFUSED(prctl(PR_SET_DUMPABLE, 1));
    REFUSED(
        (int)(intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(page != MAP_FAILED);
    REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    EXPECT(pthread_create(&thread, NULL, nothing, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    return 0;
}

static int tells_once(void)
{
    uint32_t number;
    EXPECT(!filter_next_refused(&number));
    REFUSED(chroot("/"));
    REFUSED(chroot("/"));
    EXPECT(filter_next_refused(&number) && number == SYS_chroot);
    EXPECT(!filter_next_refused(&number));
    return 0;
}

static void calls(void **state)
{
    (void)state;
    if (!filter_is_there() || BUILT_WITH_SANITIZERS)
        skip();
    in_both(makes_no_other_calls);
    in_role(GUARD_WEB, false, false, makes_no_other_calls);
    in_both(tells_once);
}

/* With sanitizers the process ends instead, so that tests find what the table lacks. */
static void call_that_ends_the_process(void **state)
{
    struct fence fence;
    int status;
    pid_t pid;
    (void)state;
    if (!filter_is_there() || !BUILT_WITH_SANITIZERS)
        skip();
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fence_begin(&fence, true, true);
        guard_enter(&(struct guard_settings){.role = GUARD_AGENT, .fence = &fence});
        (void)!chroot("/");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* ---- The program of the filter. ---- */

/* The kernel's verdict on a call, by the words that filter_build makes. */
static uint32_t judge(const struct filter_word *words, size_t count, const uint32_t data[16])
{
    uint32_t a = 0;
    for (size_t i = 0; i < count; i++) {
        const struct filter_word *w = &words[i];
        bool yes = w->code == 0x15 ? a == w->k : w->code == 0x35 ? a >= w->k : (a & w->k) != 0;
        if (w->code == 0x06)
            return w->k;
        if (w->code == 0x20)
            a = data[w->k / 4];
        else
            i += yes ? w->if_true : w->if_false;
    }
    fail_msg("the filter has no end");
    return 0;
}

#define ALLOWED 0x7fff0000U
#define TRAPPED 0x00030000U
#define KILLED 0x80000000U
#define NO_SUCH_CALL (0x00050000U | ENOSYS)
#if defined(__aarch64__)
#define THIS_PROCESSOR 0xc00000b7U
#else
#define THIS_PROCESSOR 0xc000003eU
#endif

static uint32_t judge_call(const struct filter_word *words, size_t count, uint32_t number,
                           uint32_t second)
{
    const uint32_t data[16] = {number, THIS_PROCESSOR, [6] = second};
    return judge(words, count, data);
}

static void rows_mean_what_they_say(void **state)
{
    static const struct allowed_call table[] = {
        {1, 10, CALL_ALWAYS, 0, 0}, {2, 11, CALL_ALWAYS, 0, 0}, {3, 12, CALL_IS, 1, 7},
        {3, 12, CALL_IS, 1, 8},     {3, 13, CALL_HAS, 1, 4},    {3, 14, CALL_LACKS, 1, 4},
        {3, 15, CALL_ABSENT, 0, 0},
    };
    static const struct {
        uint32_t number, second, verdict;
    } cases[] = {
        {10, 0, ALLOWED}, {11, 0, TRAPPED},      {12, 7, ALLOWED}, {12, 8, ALLOWED},
        {12, 9, TRAPPED}, {13, 5, ALLOWED},      {13, 3, TRAPPED}, {14, 3, ALLOWED},
        {14, 4, TRAPPED}, {15, 0, NO_SUCH_CALL}, {16, 0, TRAPPED},
    };
    struct filter_word words[64];
    size_t count = filter_build(words, 64, table, sizeof table / sizeof *table, 1);
    const uint32_t foreign[16] = {10, THIS_PROCESSOR + 1};
    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(judge_call(words, count, cases[i].number, cases[i].second),
                         cases[i].verdict);
    assert_int_equal(judge(words, count, foreign), KILLED);
    assert_int_equal(filter_build(words, count - 1, table, sizeof table / sizeof *table, 1), 0);
}

/* ---- Capabilities. ---- */

static int has_no_capabilities(void)
{
    EXPECT(!capabilities_has_low_ports());
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 || errno == EPERM);
    return 0;
}

static void capabilities(void **state)
{
    (void)state;
    if (!BUILT_WITH_SANITIZERS)
        in_both(has_no_capabilities);
}

static void texts(void **state)
{
    struct error denied = {0}, other = {0};
    (void)state;
    error_set(&denied, FAILURE_CONFIG, "cannot open x: %s", system_text(EACCES));
    error_set(&other, FAILURE_CONFIG, "x:1: unknown key");
    assert_string_equal(guard_hint(&denied), ""); /* this process is not fenced */
    assert_string_equal(guard_hint(&other), "");
    assert_string_equal(guard_text(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(network),
        cmocka_unit_test(calls),
        cmocka_unit_test(call_that_ends_the_process),
        cmocka_unit_test(rows_mean_what_they_say),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
