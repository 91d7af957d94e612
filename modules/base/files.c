/* Small files are read whole and written so that no half of one is ever left. */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/ownership.h"

#define FIRST_BYTES 4096 /* allocated for a file before its size is known */
#define LOCK_TRIES 10    /* of a file that is removed meanwhile */

/* Doubles a buffer up to max bytes (and the terminator); the old one is wiped: it may hold a
 * secret. */
static bool grow_buffer(char **buffer, size_t *size, size_t used, size_t max)
{
    size_t larger_size = *size < max / 2 ? 2 * *size : max;
    char *larger = malloc(larger_size + 1);
    if (!larger)
        return false;
    memcpy(larger, *buffer, used);
    wipe(*buffer, used);
    free(*buffer);
    *buffer = larger;
    *size = larger_size;
    return true;
}

bool file_read_fd(int fd, const char *name, size_t max, char **text, size_t *len, struct error *e)
{
    size_t size = max < FIRST_BYTES ? max : FIRST_BYTES, used = 0;
    char *buffer = malloc(size + 1);
    if (!buffer)
        return error_set(e, FAILURE_OTHER, "%s: " NO_MEMORY_TEXT, name);
    for (;;) {
        /* One byte more than fits shows that there is more. */
        ssize_t n = read(fd, buffer + used, size + 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error_set(e, FAILURE_CONFIG, "cannot read %s: %s", name, system_text(errno));
            break;
        }
        used += (size_t)n;
        if (n == 0) {
            buffer[used] = '\0';
            *text = buffer;
            *len = used;
            return true;
        }
        if (used <= size)
            continue;
        if (size == max) {
            error_set(e, FAILURE_CONFIG, "%s: larger than %zu bytes", name, max);
            break;
        }
        if (!grow_buffer(&buffer, &size, used, max)) {
            error_set(e, FAILURE_OTHER, "%s: " NO_MEMORY_TEXT, name);
            break;
        }
    }
    wipe(buffer, used);
    free(buffer);
    return false;
}

static bool check_file(int fd, const char *path, bool secret, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(e, FAILURE_CONFIG, "cannot read %s: %s", path, system_text(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(e, FAILURE_CONFIG, "%s: not a regular file", path);
    return (!secret || ownership_is_secret(path, &st, e)) && ownership_is_trusted(path, &st, e);
}

bool file_read(const char *path, size_t max, bool secret, char **text, size_t *len, struct error *e)
{
    /* Non-blocking, so that opening a pipe by mistake does not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool good;

    if (fd < 0)
        return error_set(e, FAILURE_CONFIG, "cannot open %s: %s", path, system_text(errno));
    good = check_file(fd, path, secret, e) && file_read_fd(fd, path, max, text, len, e);
    close(fd);
    return good;
}

bool file_write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* The path of a file's directory. Allocated; NULL without memory. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

void file_sync_directory(const char *path)
{
    char *directory = directory_of(path);
    int fd = directory ? open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY) : -1;
    free(directory);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int file_directory_fault(const char *path)
{
    char *directory = directory_of(path);
    int fault = directory && access(directory, W_OK | X_OK) == 0 ? 0 : errno;
    free(directory);
    return fault;
}

bool file_create_secret(const char *path, const char *content, size_t len, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed;
    if (fd < 0 && errno == EEXIST)
        return error_set(e, FAILURE_OTHER, "%s: already exists; not overwritten", path);
    if (fd < 0)
        return error_set(e, FAILURE_OTHER, "cannot create %s: %s", path, system_text(errno));
    /* A umask may have removed even the owner's rights. */
    failed =
        fchmod(fd, 0600) == 0 && file_write_all(fd, content, len) && fsync(fd) == 0 ? 0 : errno;
    if (close(fd) < 0 && failed == 0)
        failed = errno;
    if (failed != 0) {
        unlink(path);
        return error_set(e, FAILURE_OTHER, "cannot write %s: %s", path, system_text(failed));
    }
    file_sync_directory(path);
    return true;
}

bool file_replace(const char *path, const char *content, size_t len, struct error *e)
{
    char *fresh = NULL;
    bool good;
    if (asprintf(&fresh, "%s.new", path) < 0)
        return error_no_memory(e);
    good = (unlink(fresh) == 0 || errno == ENOENT) && file_create_secret(fresh, content, len, e);
    if (good && rename(fresh, path) < 0) {
        good = error_set(e, FAILURE_OTHER, "cannot write %s: %s", path, system_text(errno));
        unlink(fresh);
    } else if (!good && !e->failure) {
        error_set(e, FAILURE_OTHER, "cannot replace %s: %s", fresh, system_text(errno));
    }
    free(fresh);
    if (good)
        file_sync_directory(path);
    return good;
}

static bool is_at(int fd, const char *path)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

int file_lock(const char *path)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        int fd =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        int failed = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
        if (!failed && is_at(fd, path))
            return fd;
        if (fd >= 0)
            close(fd);
        errno = failed;
        if (failed)
            return -1;
    }
    errno = EWOULDBLOCK; /* its holders come and go */
    return -1;
}

void file_unlock(int fd, const char *path)
{
    unlink(path);
    close(fd);
}

/* Appends a line, after a newline if the last line lacks one. A line that could be written only in
 * part is removed again. */
static bool append_locked(int fd, const char *line)
{
    struct stat st;
    char last = '\n';
    char *whole = NULL;
    if (fstat(fd, &st) < 0 || (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0))
        return false;
    int len = asprintf(&whole, "%s%s\n", last == '\n' ? "" : "\n", line);
    if (len < 0) {
        errno = ENOMEM;
        return false;
    }
    bool good = file_write_all(fd, whole, (size_t)len) && fsync(fd) == 0;
    free(whole);
    if (!good) {
        int failed = errno;
        /* If even that fails, the next reader finds half a line and reports it. */
        (void)!ftruncate(fd, st.st_size);
        errno = failed;
    }
    return good;
}

bool file_append_line(const char *path, const char *line, struct error *e)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    bool good;
    if (fd < 0)
        return error_set(e, FAILURE_OTHER, "cannot open %s for writing: %s", path,
                         system_text(errno));
    good = flock(fd, LOCK_EX) == 0 && append_locked(fd, line);
    if (!good)
        error_set(e, FAILURE_OTHER, "cannot write %s: %s", path, system_text(errno));
    close(fd);
    if (good)
        file_sync_directory(path);
    return good;
}

bool output_flush(struct error *e)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    return error_set(e, FAILURE_OTHER, "cannot write to standard output: %s", system_text(errno));
}

/* Under systemd, cron or env -i HOME may be missing. */
static const char *home_directory(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;
    if (home && *home != '\0')
        return home;
    user = getpwuid(geteuid());
    return user ? user->pw_dir : NULL;
}

char *file_expand_home(const char *path)
{
    const char *home = strncmp(path, "~/", 2) == 0 ? home_directory() : NULL;
    char *expanded = NULL;
    if (!home || *home == '\0')
        return strdup(path);
    return asprintf(&expanded, "%s/%s", home, path + 2) < 0 ? NULL : expanded;
}
