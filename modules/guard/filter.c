/* The table as a program of the kernel's packet filter. A library would do more than is needed here
 * (libseccomp: 120 KB, for processors and rules that there are none of). */
#include "guard/filter.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "guard/build.h"

/* linux/bpf_common.h, linux/seccomp.h, linux/audit.h */
#define LOAD 0x20     /* BPF_LD | BPF_W | BPF_ABS */
#define IF_EQUAL 0x15 /* BPF_JMP | BPF_JEQ | BPF_K */
#define IF_LEAST 0x35 /* BPF_JMP | BPF_JGE | BPF_K */
#define IF_SET 0x45   /* BPF_JMP | BPF_JSET | BPF_K */
#define RETURN 0x06   /* BPF_RET | BPF_K */
#define ALLOW 0x7fff0000U
#define FAIL 0x00050000U /* SECCOMP_RET_ERRNO */
#define TRAP 0x00030000U
#define KILL 0x80000000U
#define SET_MODE_FILTER 1U
#define ALL_THREADS 1U /* SECCOMP_FILTER_FLAG_TSYNC */
#define SPECULATION                                                               \
    4U /* SECCOMP_FILTER_FLAG_SPEC_ALLOW: no other process's secrets are at stake \
        */
#define GET_ACTION_AVAILABLE 2U
#define BY_SECCOMP 1 /* SYS_SECCOMP, a signal's si_code */

#if defined(__x86_64__)
#define PROCESSOR 0xc000003eU
#define FOREIGN 0x40000000U /* calls of x32 begin here */
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define PROCESSOR 0xc00000b7U
#define FOREIGN UINT32_MAX
#define RESULT(context) (context)->uc_mcontext.regs[0]
#else
#define PROCESSOR 0U /* no filter */
#define FOREIGN UINT32_MAX
#define RESULT(context) (*(long *)(context))
#endif

/* struct seccomp_data */
#define AT_NUMBER 0U
#define AT_PROCESSOR 4U
#define AT_ARGUMENT(i) (16U + 8U * (i)) /* little-endian: the lower half first */

#define WORDS_MAX 1024

/* ---- The program. ---- */

struct builder {
    struct filter_word *out;
    size_t count, max;
};

static void put(struct builder *b, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
    if (b->count < b->max)
        b->out[b->count] = (struct filter_word){code, if_true, if_false, k};
    b->count++;
}

/* Skips an instruction unless the condition holds. */
static void put_check(struct builder *b, const struct allowed_call *c)
{
    if (c->check == CALL_IS)
        put(b, IF_EQUAL, c->value, 0, 1);
    else
        put(b, IF_SET, c->value, c->check == CALL_LACKS, c->check != CALL_LACKS);
}

static void put_call(struct builder *b, const struct allowed_call *c)
{
    bool plain = c->check == CALL_ALWAYS || c->check == CALL_ABSENT;
    put(b, IF_EQUAL, c->number, 0, plain ? 1 : 4);
    if (plain) {
        put(b, RETURN, c->check == CALL_ALWAYS ? ALLOW : FAIL | ENOSYS, 0, 0);
        return;
    }
    put(b, LOAD, AT_ARGUMENT(c->argument), 0, 0);
    put_check(b, c);
    put(b, RETURN, ALLOW, 0, 0);
    put(b, LOAD, AT_NUMBER, 0, 0);
}

size_t filter_build(struct filter_word *out, size_t max, const struct allowed_call *calls,
                    size_t count, unsigned role)
{
    struct builder b = {.out = out, .max = max};
    put(&b, LOAD, AT_PROCESSOR, 0, 0);
    put(&b, IF_EQUAL, PROCESSOR, 1, 0);
    put(&b, RETURN, KILL, 0, 0);
    put(&b, LOAD, AT_NUMBER, 0, 0);
    put(&b, IF_LEAST, FOREIGN, 0, 1);
    put(&b, RETURN, KILL, 0, 0);
    for (size_t i = 0; i < count; i++)
        if (calls[i].roles & role)
            put_call(&b, &calls[i]);
    put(&b, RETURN, TRAP, 0, 0);
    return b.count <= max ? b.count : 0;
}

/* ---- Refused calls. ---- */

#define NUMBERS 1024 /* that are noted each; the last stands for what is beyond */
#define WORD_BITS 32

static _Atomic uint32_t refused[NUMBERS / WORD_BITS], told[NUMBERS / WORD_BITS];

static void end_with(unsigned number)
{
    char text[80];
    int len = snprintf(text, sizeof text, "runtime error: system call %u is not allowed\n", number);
    (void)!write(STDERR_FILENO, text, (size_t)len);
    _exit(1);
}

/* The call seems to return the error. Of the log nothing is touched: the call may be its own. */
static void on_refused(int signo, siginfo_t *info, void *context)
{
    unsigned number = (unsigned)info->si_syscall;
    ucontext_t *interrupted = context;
    (void)signo;
    if (info->si_code != BY_SECCOMP)
        return;
    if (number >= NUMBERS)
        number = NUMBERS - 1;
    atomic_fetch_or(&refused[number / WORD_BITS], 1U << number % WORD_BITS);
    if (BUILT_WITH_SANITIZERS)
        end_with(number);
    RESULT(interrupted) = -EPERM;
}

bool filter_next_refused(uint32_t *number)
{
    for (uint32_t i = 0; i < NUMBERS; i++) {
        uint32_t bit = 1U << i % WORD_BITS;
        if (!(atomic_load(&refused[i / WORD_BITS]) & bit) ||
            (atomic_fetch_or(&told[i / WORD_BITS], bit) & bit))
            continue;
        *number = i;
        return true;
    }
    return false;
}

/* A thread that blocks the signal would be killed by it. */
static bool heed_signal(void)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGSYS);
    return sigaction(SIGSYS, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &one, NULL) == 0;
}

/* ---- Installing it. ---- */

bool filter_is_there(void)
{
    const uint32_t action = TRAP;
    return PROCESSOR && syscall(SYS_seccomp, GET_ACTION_AVAILABLE, 0U, &action) == 0;
}

bool filter_install(const struct allowed_call *calls, size_t count, unsigned role)
{
    static struct filter_word words[WORDS_MAX];
    const struct {
        unsigned short len;
        const struct filter_word *words; /* cppcheck-suppress unusedStructMember */
    } program = {(unsigned short)filter_build(words, WORDS_MAX, calls, count, role), words};
    if (!PROCESSOR || program.len == 0 || !heed_signal())
        return false;
    /* Before Linux 4.17 there was nothing to say of speculation. */
    return syscall(SYS_seccomp, SET_MODE_FILTER, ALL_THREADS | SPECULATION, &program) == 0 ||
           syscall(SYS_seccomp, SET_MODE_FILTER, ALL_THREADS, &program) == 0;
}
