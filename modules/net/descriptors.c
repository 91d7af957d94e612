/* The limit of open files (RLIMIT_NOFILE). */
#include "net/descriptors.h"

#include <limits.h>
#include <sys/resource.h>

#define KEPT 64 /* for carriers; an eighth when there are few */

bool descriptors_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur == limit.rlim_max)
        return true;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

bool descriptor_is_scarce(int fd)
{
    static int last; /* of those for all; 0: not known yet */
    struct rlimit limit;
    if (last == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX) {
        rlim_t kept = limit.rlim_cur / 8;
        last = (int)(limit.rlim_cur - (kept < KEPT ? kept : KEPT));
    } else if (last == 0) {
        last = INT_MAX;
    }
    return fd >= last;
}
