/* Simulated machines: the real program's processes, one real thread of execution between them all,
 * on the time of a timeline. A process runs until it asks the kernel (calls.c) to wait; then others
 * have their turn. What a world has made lives as long as the real process that runs it: each world
 * has one of its own. */
#ifndef SPX_MACHINE_MACHINE_H
#define SPX_MACHINE_MACHINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

#include "base/error.h"
#include "base/list.h"
#include "timeline.h"

/* Descriptors of simulated processes are numbers from here on, so that a call for a real one is
 * told from it. */
#define FD_FIRST 1000
#define FILES_MAX 4096

struct file;
struct process;

struct host {
    const char *name;
    uint32_t address;         /* IPv4, host order */
    bool off;                 /* no power */
    uint64_t outage_until_us; /* its network is down */
    struct list listeners;    /* struct tcp's of_host */
    uint16_t last_port;       /* given to a socket that named none */
};

/* A stack that is left and come back to. */
struct stack {
    ucontext_t context;
    jmp_buf place; /* where it was left; unused under the address sanitizer */
    bool entered;
};

struct thread {
    struct list of_process;
    struct process *process;
    struct stack stack;
    void *(*run)(void *arg);
    void *arg;
    struct event wake;
    bool ended;
    struct thread *joiner; /* waits for its end */
};

struct process {
    struct host *host;
    const char *name;
    enum failure (*main)(int argc, char **argv);
    char **argv;
    struct list threads;
    struct file *files[FILES_MAX];
    unsigned open_files, most_files;
    uint64_t stopped_until_us; /* by SIGSTOP */
    uint64_t pending_signals;  /* bit n: signal n */
    struct file *signals;      /* its signalfd */
    bool ended, killed;
    enum failure failure;
    unsigned left_open; /* descriptors it had when it ended by itself */
    /* Called with each line of its log, by whoever started it; may be NULL. */
    void (*on_line)(const struct process *p, const char *line);
};

/* The world's. */
extern struct timeline timeline;

/* The process that runs now; NULL: none, the world does. */
struct process *process_current(void);

/* Starts it: main is called at the next instant. argv ends with NULL and stays. */
struct process *process_start(struct host *host, const char *name,
                              enum failure (*main)(int argc, char **argv), char **argv);

/* SIGKILL: its sockets are closed as Linux does. Never from inside of a process. */
void process_kill(struct process *p);

/* Without power: nothing is closed, nobody is told. */
void process_vanish(struct process *p);

void process_signal(struct process *p, int signo);

/* SIGSTOP now, SIGCONT then (0: now). Its sockets' kernel goes on. */
void process_stop(struct process *p, uint64_t until_us);

/* The lowest free descriptor for the file in the current process; -1 with EMFILE. */
int process_take_file(struct file *file);

/* NULL with EBADF. */
struct file *process_file(int fd);

/* It is not the process's any more. */
struct file *process_drop_file(int fd);

/* ---- For the calls: the current thread. ---- */

struct thread *thread_current(void);

/* Another of the current process. NULL without memory. */
struct thread *thread_start(void *(*run)(void *arg), void *arg);

/* Waits until it has ended. */
void thread_join(struct thread *t);

/* Lets others run: it goes on after the time that a system call and some work take. */
void thread_pass(void);

/* Waits for thread_wake. */
void thread_wait(void);

/* Ends its wait; harmless when it does not wait any more. */
void thread_wake(struct thread *t);

#endif
