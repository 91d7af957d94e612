/* The processes of a world: each has a stack of its own, and one runs at a time. */
#include "machine.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "file.h"

#define STACK_BYTES ((size_t)1 << 20)
#define TURN_LEAST_US 5 /* a round of the loop takes a process so long */
#define TURN_MOST_US 60

struct timeline timeline;

static struct stack world = {.entered = true};
static struct thread *current;

struct thread *thread_current(void)
{
    return current;
}

struct process *process_current(void)
{
    return current ? current->process : NULL;
}

/* ---- Threads. ---- */

/* From one stack to another, until it is come back to. A jump, since swapcontext(3) makes a system
 * call for the signal mask each time; but the address sanitizer follows only swapcontext. */
static void change_stack(struct stack *from, struct stack *to)
{
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&from->context, &to->context);
#else
    if (_setjmp(from->place) != 0)
        return;
    if (to->entered)
        _longjmp(to->place, 1);
    to->entered = true;
    setcontext(&to->context);
#endif
}

/* Back to the world, until its wake event runs. */
static void leave(struct thread *t)
{
    current = NULL;
    change_stack(&t->stack, &world);
}

static void enter(struct thread *t)
{
    current = t;
    change_stack(&world, &t->stack);
}

static void on_wake(struct event *e)
{
    struct thread *t = container_of(e, struct thread, wake);
    struct process *p = t->process;
    if (p->stopped_until_us > timeline.now_us)
        event_set(&timeline, e, p->stopped_until_us);
    else
        enter(t);
}

static void trampoline(void)
{
    struct thread *t = current;
    t->run(t->arg);
    t->ended = true;
    if (t->joiner)
        thread_wake(t->joiner);
    leave(t);
}

static struct thread *new_thread(struct process *p, void *(*run)(void *arg), void *arg)
{
    struct thread *t = calloc(1, sizeof *t);
    void *stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!t || stack == MAP_FAILED || getcontext(&t->stack.context) != 0)
        abort();
    t->process = p;
    t->run = run;
    t->arg = arg;
    t->wake.run = on_wake;
    t->stack.context.uc_stack.ss_sp = stack;
    t->stack.context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&t->stack.context, trampoline, 0);
    list_append(&p->threads, &t->of_process);
    event_set(&timeline, &t->wake, timeline.now_us + 1);
    return t;
}

struct thread *thread_start(void *(*run)(void *arg), void *arg)
{
    return new_thread(process_current(), run, arg);
}

void thread_join(struct thread *t)
{
    while (!t->ended) {
        t->joiner = current;
        thread_wait();
    }
}

void thread_pass(void)
{
    event_set(&timeline, &current->wake,
              timeline.now_us + chance_between(&timeline, TURN_LEAST_US, TURN_MOST_US));
    leave(current);
}

void thread_wait(void)
{
    leave(current);
}

void thread_wake(struct thread *t)
{
    if (!t->wake.place && !t->ended && !t->process->ended)
        event_set(&timeline, &t->wake, timeline.now_us);
}

/* ---- Processes. ---- */

static void halt(struct process *p)
{
    list_each (link, &p->threads)
        event_cancel(&timeline, &container_of(link, struct thread, of_process)->wake);
    p->ended = true;
}

static void close_files(struct process *p)
{
    for (int fd = FD_FIRST; p->open_files > 0; fd++) {
        struct file *file = p->files[fd - FD_FIRST];
        if (!file)
            continue;
        p->files[fd - FD_FIRST] = NULL;
        p->open_files--;
        file_close(file);
    }
}

static void *run_main(void *arg)
{
    struct process *p = arg;
    int argc = 0;
    while (p->argv[argc])
        argc++;
    optind = 0; /* glibc's getopt begins anew */
    p->failure = p->main(argc, p->argv);
    note(&timeline, p->name, "ends", (uint64_t)p->failure, p->open_files);
    p->left_open = p->open_files;
    halt(p);
    close_files(p);
    return NULL;
}

struct process *process_start(struct host *host, const char *name,
                              enum failure (*main)(int argc, char **argv), char **argv)
{
    struct process *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->host = host;
    p->name = name;
    p->main = main;
    p->argv = argv;
    list_init(&p->threads);
    new_thread(p, run_main, p);
    return p;
}

void process_vanish(struct process *p)
{
    halt(p);
    p->killed = true;
}

void process_kill(struct process *p)
{
    if (p->ended)
        return;
    process_vanish(p);
    close_files(p);
}

void process_signal(struct process *p, int signo)
{
    if (!p->signals) { /* not asked for yet: its default action */
        process_kill(p);
        return;
    }
    p->pending_signals |= 1ULL << signo;
    file_wake(p->signals);
}

void process_stop(struct process *p, uint64_t until_us)
{
    p->stopped_until_us = until_us;
    list_each (link, &p->threads) {
        struct thread *t = container_of(link, struct thread, of_process);
        if (t->wake.place)
            event_set(&timeline, &t->wake, until_us);
    }
}

/* ---- Descriptors. ---- */

int process_take_file(struct file *file)
{
    struct process *p = process_current();
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (p->files[i])
            continue;
        p->files[i] = file;
        if (++p->open_files > p->most_files)
            p->most_files = p->open_files;
        return FD_FIRST + (int)i;
    }
    errno = EMFILE;
    return -1;
}

struct file *process_file(int fd)
{
    struct process *p = process_current();
    struct file *file =
        p && fd >= FD_FIRST && fd < FD_FIRST + FILES_MAX ? p->files[fd - FD_FIRST] : NULL;
    if (!file)
        errno = EBADF;
    return file;
}

struct file *process_drop_file(int fd)
{
    struct file *file = process_file(fd);
    if (file) {
        process_current()->files[fd - FD_FIRST] = NULL;
        process_current()->open_files--;
    }
    return file;
}
