/* The pipes of the process, as the kernel counts them. */
#ifndef SPX_TESTS_OPEN_PIPES_H
#define SPX_TESTS_OPEN_PIPES_H

#include <fcntl.h>

#define DESCRIPTORS_LOOKED_AT 1024

/* Descriptors that are an end of a pipe, such as standard output may be. */
static inline unsigned pipe_ends(void)
{
    unsigned ends = 0;
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++)
        ends += fcntl(fd, F_GETPIPE_SZ) > 0;
    return ends;
}

/* Pipes opened since there were so many ends. */
static inline unsigned pipes_since(unsigned ends)
{
    return (pipe_ends() - ends) / 2;
}

#endif
