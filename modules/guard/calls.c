/* Which calls a role may make, once its ports are open: what musl, and glibc in the tests' build,
 * make for it. Never among them: to start a program, to look into or signal another process, to
 * change who it is, mount, module, keyring and namespace calls. The most frequent ones come first,
 * for kernels that do not remember what is always allowed (before 5.11). */
#include "guard/calls.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "guard/build.h"
#include "guard/roles.h"

#define BOTH (GUARD_RELAY | GUARD_AGENT)
#define ALL (BOTH | GUARD_WEB)
#define DIALS (GUARD_DIALS | GUARD_AGENT)

#define ANY(roles, name)                     \
    {                                        \
        roles, SYS_##name, CALL_ALWAYS, 0, 0 \
    }
#define IS(roles, name, argument, value)            \
    {                                               \
        roles, SYS_##name, CALL_IS, argument, value \
    }
#define HAS(roles, name, argument, value)            \
    {                                                \
        roles, SYS_##name, CALL_HAS, argument, value \
    }
#define LACKS(roles, name, argument, value)            \
    {                                                  \
        roles, SYS_##name, CALL_LACKS, argument, value \
    }
#define ABSENT(roles, name)                  \
    {                                        \
        roles, SYS_##name, CALL_ABSENT, 0, 0 \
    }

const struct allowed_call allowed_calls[] = {
    /* The loop, and bytes. */
    ANY(ALL, epoll_pwait),
    ANY(ALL, read),
    ANY(ALL, write),
    ANY(ALL, recvfrom),
    ANY(ALL, sendto),
    ANY(ALL, readv),
    ANY(ALL, writev),
    ANY(BOTH, splice),
    ANY(ALL, futex),
    ANY(ALL, clock_gettime),
    ANY(ALL, timerfd_settime),
    ANY(ALL, epoll_ctl),
    ANY(ALL, epoll_create1),
    ANY(ALL, timerfd_create),
    ANY(ALL, eventfd2),
    ANY(ALL, signalfd4),
    ANY(ALL, pipe2),
    ANY(ALL, ppoll),
    ANY(ALL, close),
    ANY(ALL, fcntl),
    ANY(ALL, recvmsg),
    ANY(ALL, sendmsg),
    /* Sockets. */
    IS(DIALS, socket, 0, AF_INET),
    IS(DIALS, socket, 0, AF_INET6),
    IS(ALL, socket, 0, AF_UNIX), /* of the C library's, to look up a user */
    ANY(ALL, accept4),
    ANY(BOTH, connect),
    ANY(DIALS, bind),
    ANY(GUARD_AGENT, listen),
    ANY(ALL, shutdown),
    ANY(ALL, setsockopt),
    ANY(ALL, getsockopt),
    ANY(ALL, getsockname),
    ANY(ALL, getpeername),
    IS(ALL, ioctl, 1, FIONREAD),
    IS(ALL, ioctl, 1, SIOCGIFINDEX), /* fe80::1%eth0 */
    IS(ALL, ioctl, 1, SIOCGIFNAME),
    IS(ALL, ioctl, 1, TCGETS), /* is standard error a terminal? */
    IS(ALL, ioctl, 1, TIOCGWINSZ),
    /* Files: which ones says the fence. */
    ANY(ALL, openat),
    ANY(ALL, fstat),
    ANY(ALL, newfstatat),
    ANY(ALL, statx),
    ANY(ALL, faccessat),
    ANY(ALL, faccessat2),
    ANY(ALL, readlinkat),
    ANY(ALL, lseek),
    ANY(BOTH, pread64),
    ANY(BOTH, pwrite64),
    ANY(BOTH, getdents64),
    ANY(BOTH, flock),
    ANY(BOTH, fsync),
    ANY(BOTH, fdatasync),
    ANY(BOTH, ftruncate),
    ANY(BOTH, fallocate),
    ANY(BOTH, fchmod),
    ANY(ALL, unlinkat),
    ANY(BOTH, renameat),
    ANY(BOTH, renameat2),
    ANY(BOTH, linkat),
    ANY(GUARD_AGENT, fchmodat), /* of the control socket */
    ANY(GUARD_AGENT, fchownat),
    ANY(ALL, umask),
    ANY(ALL, getcwd),
    /* Memory, none of it to run. */
    ANY(ALL, brk),
    LACKS(ALL, mmap, 2, PROT_EXEC),
    LACKS(ALL, mprotect, 2, PROT_EXEC),
    ANY(ALL, munmap),
    ANY(ALL, mremap),
    ANY(ALL, madvise),
    /* Threads of its own, no process. */
    HAS(ALL, clone, 0, CLONE_THREAD),
    ABSENT(ALL, clone3), /* its flags lie in memory, where a filter does not look */
    ANY(ALL, set_robust_list),
    ANY(ALL, rseq),
    ANY(ALL, sched_yield),
    ANY(ALL, sched_getaffinity),
    IS(GUARD_RELAY, sched_setscheduler, 1, SCHED_BATCH),
    IS(GUARD_RELAY, prctl, 0, PR_SET_NAME),
    ANY(ALL, nanosleep),
    ANY(ALL, clock_nanosleep),
    ANY(ALL, exit),
    ANY(ALL, exit_group),
    ANY(GUARD_AGENT | GUARD_WEB, wait4), /* for the process that it was begun with */
    /* Signals that it gets. */
    ANY(ALL, rt_sigreturn),
    ANY(ALL, rt_sigprocmask),
    ANY(ALL, rt_sigaction),
    ANY(ALL, sigaltstack),
    ANY(ALL, restart_syscall),
    /* Questions about itself and the machine. */
    ANY(ALL, getrandom),
    ANY(ALL, getpid),
    ANY(ALL, gettid),
    ANY(ALL, getuid),
    ANY(ALL, geteuid),
    ANY(ALL, getgid),
    ANY(ALL, getegid),
    ANY(ALL, getgroups),
    ANY(ALL, capget),
    ANY(ALL, uname),
    ANY(ALL, sysinfo),
    ANY(ALL, getrusage),
    ANY(ALL, prlimit64),
    ANY(ALL, clock_getres),
    ANY(ALL, gettimeofday),
#ifdef SYS_open /* Names that later processors do not have. */
    ANY(ALL, epoll_wait),
    ANY(ALL, poll),
    ANY(ALL, open),
    ANY(ALL, stat),
    ANY(ALL, lstat),
    ANY(ALL, access),
    ANY(ALL, readlink),
    ANY(ALL, unlink),
    ANY(BOTH, rename),
    ANY(BOTH, link),
    ANY(GUARD_AGENT, chmod),
    ANY(GUARD_AGENT, lchown),
    ANY(ALL, getrlimit),
    ANY(ALL, time),
#endif
#if BUILT_WITH_SANITIZERS /* They stop all threads at the end, and look into them. */
    ANY(ALL, clone),
    ANY(ALL, prctl),
    ANY(ALL, ptrace),
    ANY(ALL, wait4),
    ANY(ALL, getppid),
    ANY(ALL, mmap),
    ANY(ALL, process_vm_readv),
    ANY(ALL, sched_getparam),
    ANY(ALL, sched_getscheduler),
#ifdef SYS_getdents
    ANY(ALL, getdents),
#endif
#endif
};

const size_t allowed_call_count = sizeof allowed_calls / sizeof *allowed_calls;
