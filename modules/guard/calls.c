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
#include "guard/guard.h"

#define BOTH (GUARD_RELAY | GUARD_AGENT)
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
    ANY(BOTH, epoll_pwait),
    ANY(BOTH, read),
    ANY(BOTH, write),
    ANY(BOTH, recvfrom),
    ANY(BOTH, sendto),
    ANY(BOTH, readv),
    ANY(BOTH, writev),
    ANY(BOTH, splice),
    ANY(BOTH, futex),
    ANY(BOTH, clock_gettime),
    ANY(BOTH, timerfd_settime),
    ANY(BOTH, epoll_ctl),
    ANY(BOTH, epoll_create1),
    ANY(BOTH, timerfd_create),
    ANY(BOTH, eventfd2),
    ANY(BOTH, signalfd4),
    ANY(BOTH, pipe2),
    ANY(BOTH, ppoll),
    ANY(BOTH, close),
    ANY(BOTH, fcntl),
    ANY(BOTH, recvmsg),
    ANY(BOTH, sendmsg),
    /* Sockets. */
    IS(DIALS, socket, 0, AF_INET),
    IS(DIALS, socket, 0, AF_INET6),
    IS(BOTH, socket, 0, AF_UNIX), /* of the C library's, to look up a user */
    ANY(BOTH, accept4),
    ANY(BOTH, connect),
    ANY(DIALS, bind),
    ANY(GUARD_AGENT, listen),
    ANY(BOTH, shutdown),
    ANY(BOTH, setsockopt),
    ANY(BOTH, getsockopt),
    ANY(BOTH, getsockname),
    ANY(BOTH, getpeername),
    IS(BOTH, ioctl, 1, FIONREAD),
    IS(BOTH, ioctl, 1, SIOCGIFINDEX), /* fe80::1%eth0 */
    IS(BOTH, ioctl, 1, SIOCGIFNAME),
    IS(BOTH, ioctl, 1, TCGETS), /* is standard error a terminal? */
    IS(BOTH, ioctl, 1, TIOCGWINSZ),
    /* Files: which ones says the fence. */
    ANY(BOTH, openat),
    ANY(BOTH, fstat),
    ANY(BOTH, newfstatat),
    ANY(BOTH, statx),
    ANY(BOTH, faccessat),
    ANY(BOTH, faccessat2),
    ANY(BOTH, readlinkat),
    ANY(BOTH, lseek),
    ANY(BOTH, pread64),
    ANY(BOTH, pwrite64),
    ANY(BOTH, getdents64),
    ANY(BOTH, flock),
    ANY(BOTH, fsync),
    ANY(BOTH, fdatasync),
    ANY(BOTH, ftruncate),
    ANY(BOTH, fallocate),
    ANY(BOTH, fchmod),
    ANY(BOTH, unlinkat),
    ANY(BOTH, renameat),
    ANY(BOTH, renameat2),
    ANY(BOTH, linkat),
    ANY(GUARD_AGENT, fchmodat), /* of the control socket */
    ANY(GUARD_AGENT, fchownat),
    ANY(BOTH, umask),
    ANY(BOTH, getcwd),
    /* Memory, none of it to run. */
    ANY(BOTH, brk),
    LACKS(BOTH, mmap, 2, PROT_EXEC),
    LACKS(BOTH, mprotect, 2, PROT_EXEC),
    ANY(BOTH, munmap),
    ANY(BOTH, mremap),
    ANY(BOTH, madvise),
    /* Threads of its own, no process. */
    HAS(BOTH, clone, 0, CLONE_THREAD),
    ABSENT(BOTH, clone3), /* its flags lie in memory, where a filter does not look */
    ANY(BOTH, set_robust_list),
    ANY(BOTH, rseq),
    ANY(BOTH, sched_yield),
    ANY(BOTH, sched_getaffinity),
    IS(GUARD_RELAY, sched_setscheduler, 1, SCHED_BATCH),
    IS(GUARD_RELAY, prctl, 0, PR_SET_NAME),
    ANY(BOTH, nanosleep),
    ANY(BOTH, clock_nanosleep),
    ANY(BOTH, exit),
    ANY(BOTH, exit_group),
    ANY(GUARD_AGENT, wait4), /* for the process that runs its program */
    /* Signals that it gets. */
    ANY(BOTH, rt_sigreturn),
    ANY(BOTH, rt_sigprocmask),
    ANY(BOTH, rt_sigaction),
    ANY(BOTH, sigaltstack),
    ANY(BOTH, restart_syscall),
    /* What it asks about itself and the machine. */
    ANY(BOTH, getrandom),
    ANY(BOTH, getpid),
    ANY(BOTH, gettid),
    ANY(BOTH, getuid),
    ANY(BOTH, geteuid),
    ANY(BOTH, getgid),
    ANY(BOTH, getegid),
    ANY(BOTH, getgroups),
    ANY(BOTH, capget),
    ANY(BOTH, uname),
    ANY(BOTH, sysinfo),
    ANY(BOTH, getrusage),
    ANY(BOTH, prlimit64),
    ANY(BOTH, clock_getres),
    ANY(BOTH, gettimeofday),
#ifdef SYS_open /* Names that later processors do not have. */
    ANY(BOTH, epoll_wait),
    ANY(BOTH, poll),
    ANY(BOTH, open),
    ANY(BOTH, stat),
    ANY(BOTH, lstat),
    ANY(BOTH, access),
    ANY(BOTH, readlink),
    ANY(BOTH, unlink),
    ANY(BOTH, rename),
    ANY(BOTH, link),
    ANY(GUARD_AGENT, chmod),
    ANY(GUARD_AGENT, lchown),
    ANY(BOTH, getrlimit),
    ANY(BOTH, time),
#endif
#if BUILT_WITH_SANITIZERS /* They stop all threads at the end, and look into them. */
    ANY(BOTH, clone),
    ANY(BOTH, prctl),
    ANY(BOTH, ptrace),
    ANY(BOTH, wait4),
    ANY(BOTH, getppid),
    ANY(BOTH, mmap),
    ANY(BOTH, process_vm_readv),
    ANY(BOTH, sched_getparam),
    ANY(BOTH, sched_getscheduler),
#ifdef SYS_getdents
    ANY(BOTH, getdents),
#endif
#endif
};

const size_t allowed_call_count = sizeof allowed_calls / sizeof *allowed_calls;
