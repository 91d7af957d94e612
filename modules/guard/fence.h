/* The files and ports that a process may use from now on, by the kernel's Landlock (landlock(7)):
 * whatever its user may. It cannot be taken back; a child inherits it. */
#ifndef SPX_GUARD_FENCE_H
#define SPX_GUARD_FENCE_H

#include <stdbool.h>

/* Rights in a folder and below. */
enum fence_right {
    FENCE_READ = 1,   /* read files */
    FENCE_WRITE = 2,  /* make, write, rename and remove files, and see which there are */
    FENCE_LISTEN = 4, /* make sockets, and what socket_listen makes beside them */
};

/* A fence under construction. Without Landlock, and from the first error on, the calls below do
 * nothing. */
struct fence {
    int fd;
    bool connects, listens; /* over TCP, whatever port; other sockets are not limited */
};

/* Nothing is allowed yet but what the two say. Files that are open stay so. */
void fence_begin(struct fence *f, bool connects, bool listens);

/* Allows these rights below a folder, or FENCE_READ of a file. A path that does not exist is left
 * out, also if something is made there later. */
void fence_allow(struct fence *f, const char *path, unsigned rights);

/* The same for the folder in which a file is, or will be, and the one to which links lead from
 * there: a new file may take its place. */
void fence_allow_beside(struct fence *f, const char *file, unsigned rights);

/* Reading of all that every role reads, at a reload or to look a name up. */
void fence_allow_system(struct fence *f);

/* Puts it up, for the calling thread and those that it starts; needs PR_SET_NO_NEW_PRIVS. False:
 * there is none. */
bool fence_close(struct fence *f);

/* The version of Landlock that this kernel has; 0: none. From FENCE_TCP on it limits TCP. */
#define FENCE_TCP 4
int fence_version(void);

#endif
