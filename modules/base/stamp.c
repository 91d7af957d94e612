/* Device, inode, size and times of a file. Linux dates changes by a clock of a few milliseconds:
 * two within one tick have the same time, so a file that has just changed is taken to change again.
 */
#include "base/stamp.h"

#include <stdlib.h>
#include <time.h>

#define FRESH_NS 20000000LL
#define NS_PER_S 1000000000LL

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_fresh(const struct timespec *changed)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long seconds = (long long)now.tv_sec - changed->tv_sec;
    if (seconds < -1 || seconds > 1) /* also a clock that was set */
        return false;
    return llabs(seconds * NS_PER_S + now.tv_nsec - changed->tv_nsec) < FRESH_NS;
}

static struct file_stamp stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct file_stamp){.taken = true};
    return (struct file_stamp){.taken = true,
                               .there = true,
                               .fresh = is_fresh(&st.st_ctim),
                               .device = st.st_dev,
                               .inode = st.st_ino,
                               .size = st.st_size,
                               .written = st.st_mtim,
                               .changed = st.st_ctim};
}

static bool is_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->taken && b->taken && a->there == b->there && a->device == b->device &&
           a->inode == b->inode && a->size == b->size && same_time(&a->written, &b->written) &&
           same_time(&a->changed, &b->changed);
}

bool file_stamp_renew(struct file_stamp *stamp, const char *path)
{
    struct file_stamp old = *stamp;
    *stamp = stamp_of(path);
    return old.fresh || !is_same(&old, stamp);
}
