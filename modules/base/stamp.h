/* Tells if a file has changed since it was read, at the price of one call of the system. */
#ifndef SPX_BASE_STAMP_H
#define SPX_BASE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Which file a path named, and its state. Zeroed: never looked at. */
struct file_stamp {
    bool taken, there;
    bool fresh; /* the file had just changed: the next change may have the same time */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written, changed;
};

/* Looks at the file; true if it is not known to be the same, and in the same state, as when *stamp
 * was taken, which is taken anew. Call it before reading, not after. */
bool file_stamp_renew(struct file_stamp *stamp, const char *path);

#endif
