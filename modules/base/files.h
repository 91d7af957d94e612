/* Small files, read whole, and written whole or not at all; standard output. */
#ifndef SPX_BASE_FILES_H
#define SPX_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Reads a regular file of at most max bytes; *text is allocated, terminated, the caller's to wipe
 * and free. The file and its folders must be trusted, and with `secret` closed to others
 * (base/ownership.h). Errors are FAILURE_CONFIG, want of memory FAILURE_OTHER, with the file's
 * name. */
bool file_read(const char *path, size_t max, bool secret, char **text, size_t *len,
               struct error *e);

/* Reads everything from a descriptor until its end, at most max bytes. */
bool file_read_fd(int fd, const char *name, size_t max, char **text, size_t *len, struct error *e);

/* Creates a file of mode 0600 with this content, synced; an existing file is never touched (error).
 * A half-written file is removed. */
bool file_create_secret(const char *path, const char *content, size_t len, struct error *e);

/* Writes a file of mode 0600 in place of the one there is, synced: after a crash it is the old one
 * or the new one, whole. What is written lies in "PATH.new" until then. */
bool file_replace(const char *path, const char *content, size_t len, struct error *e);

/* Locks the file at path, made with mode 0600 if it is not there, against all who lock it so. The
 * descriptor holds the lock until it is closed, which the process's end does too. -1 with errno,
 * EWOULDBLOCK: somebody has it. */
int file_lock(const char *path);

/* Removes such a file and closes its descriptor: who locks it next makes a new one. */
void file_unlock(int fd, const char *path);

/* Appends one line to a file, creating it with mode 0600 if it does not exist. */
bool file_append_line(const char *path, const char *line, struct error *e);

/* Writes all of it, as often as the system takes only a part. False, and errno: some may be
 * written. */
bool file_write_all(int fd, const char *data, size_t len);

/* Syncs the directory of a file, whose new name survives a crash then. A failure to do so loses
 * nothing else. */
void file_sync_directory(const char *path);

/* The errno with which a file of this path could not be made in its directory; 0: it could. */
int file_directory_fault(const char *path);

/* Writes what stdio holds for standard output. False: that, or some of it before, failed. */
bool output_flush(struct error *e);

/* "~/x" becomes "$HOME/x", or without HOME the same in the home directory that the user has;
 * anything else is copied. Allocated; NULL without memory. */
char *file_expand_home(const char *path);

#endif
