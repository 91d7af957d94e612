/* A ring of lines. */
#include "audit/recent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)128 << 10) /* of a file's end */

void audit_recent_add(struct audit_recent *r, struct view object)
{
    char **line = &r->lines[r->count % AUDIT_RECENT_MAX];
    char *copy = malloc(object.len + 1);
    if (!copy)
        return;
    memcpy(copy, object.data, object.len);
    copy[object.len] = '\0';
    free(*line);
    *line = copy;
    r->count++;
}

/* ---- Those of the file. ---- */

static void add_line(struct audit_recent *r, struct view line)
{
    struct audit_line read;
    char object[AUDIT_LINE_MAX];
    if (!audit_line_read(&read, line))
        return; /* the first one may be cut, the last one torn */
    read.entry.chain = read.entry.torn = read.entry.salt = read.entry.previous = NULL;
    read.entry.number = 0;
    audit_recent_add(r, view_of(object, audit_entry_encode(object, &read.entry)));
}

static void add_lines(struct audit_recent *r, const char *text, size_t len)
{
    const char *newline;
    while ((newline = memchr(text, '\n', len)) != NULL) {
        size_t line = (size_t)(newline - text);
        add_line(r, view_of(text, line));
        text += line + 1;
        len -= line + 1;
    }
}

static void read_end(struct audit_recent *r, int fd, off_t size)
{
    off_t from = size > (off_t)READ_BYTES ? size - (off_t)READ_BYTES : 0;
    char *text = malloc(READ_BYTES);
    ssize_t len = text ? pread(fd, text, READ_BYTES, from) : -1;
    if (len > 0)
        add_lines(r, text, (size_t)len);
    free(text);
}

void audit_recent_read(struct audit_recent *r, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        read_end(r, fd, st.st_size);
    close(fd);
}

/* ---- Looking. ---- */

static uint64_t oldest(const struct audit_recent *r)
{
    return r->count > AUDIT_RECENT_MAX ? r->count - AUDIT_RECENT_MAX : 0;
}

uint64_t audit_recent_from(const struct audit_recent *r, uint64_t last)
{
    return last < r->count - oldest(r) ? r->count - last : oldest(r);
}

size_t audit_recent_get(const struct audit_recent *r, uint64_t *next, char out[AUDIT_LINE_MAX])
{
    uint64_t number = *next > oldest(r) ? *next : oldest(r);
    const char *line;
    size_t len;
    if (number >= r->count)
        return 0;
    line = r->lines[number % AUDIT_RECENT_MAX];
    len = strlen(line);
    memcpy(out, line, len + 1);
    *next = number + 1;
    return len;
}

void audit_recent_free(struct audit_recent *r)
{
    for (size_t i = 0; i < AUDIT_RECENT_MAX; i++)
        free(r->lines[i]);
    *r = (struct audit_recent){0};
}
