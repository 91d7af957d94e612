/* The files behind descriptors: readiness, epoll, and the kinds that need no network. */
#ifndef SPX_MACHINE_FILE_H
#define SPX_MACHINE_FILE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "machine.h"

/* Like the system calls: -1 with errno. A kind without read or write says EINVAL. */
struct file_kind {
    uint32_t (*ready)(const struct file *f); /* EPOLL… that hold now */
    ssize_t (*read)(struct file *f, void *out, size_t len);
    ssize_t (*write)(struct file *f, const void *data, size_t len);
    void (*close)(struct file *f);
};

/* First in each kind's own struct. */
struct file {
    const struct file_kind *kind;
    struct list watches; /* of epolls */
    struct event *told;  /* of an owner that is no process: set when something has changed */
};

void file_init(struct file *f, const struct file_kind *kind);

/* Something has changed that one who waits may want to know: an edge. */
void file_wake(struct file *f);

ssize_t read_from(struct file *f, void *out, size_t len);
ssize_t write_to(struct file *f, const void *data, size_t len);

/* Its last descriptor is gone. */
void file_close(struct file *f);

/* ---- epoll(7), edge-triggered; with EPOLLET only. ---- */

struct file *epoll_new(void);
int epoll_control(struct file *epoll, int operation, struct file *f, struct epoll_event *event);

/* The current thread waits in it; timeout 0 or -1. */
int epoll_await(struct file *epoll, struct epoll_event *events, int max, int timeout);

/* ---- The others. ---- */

struct file *eventfd_new(uint64_t count);

struct file *timerfd_new(void);
/* CLOCK_NEVER: never. */
void timerfd_set(struct file *timer, uint64_t at_us);

/* A process has one; set replaces what it takes. */
struct file *signalfd_new(struct process *p, const sigset_t *set);
void signalfd_set(struct file *f, const sigset_t *set);

/* A pipe(7): the end to read, the end to write. */
void channel_new(struct file *ends[2]);
bool is_channel(const struct file *f);
/* The bytes that can be read, where they are, and the room that is left. */
size_t channel_bytes(const struct file *f);
const uint8_t *channel_front(const struct file *f);
void channel_drop(struct file *f, size_t len);
size_t channel_room(const struct file *f);

#endif
