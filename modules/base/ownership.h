/* Like sshd's StrictModes: a file that decides something is trusted only if nobody but root and the
 * process's own user can have changed it. */
#ifndef SPX_BASE_OWNERSHIP_H
#define SPX_BASE_OWNERSHIP_H

#include <stdbool.h>

#include "base/error.h"

struct stat;

/* True if the open file at path (st is fstat's) and every folder above it, symbolic links followed,
 * are owned by root or by the process's user, and writable by nobody else; a folder with the sticky
 * bit may be writable by others. False: e (FAILURE_CONFIG) says what is wrong and which command
 * corrects it. */
bool ownership_is_trusted(const char *path, const struct stat *st, struct error *e);

/* True if a file with a secret is closed to others: mode 0600 or less; its group may read it (0640,
 * 0440) when that is one of the process's groups, or when root reads a file of root's, who has
 * then chosen the group of a service. False: as above. */
bool ownership_is_secret(const char *path, const struct stat *st, struct error *e);

#endif
