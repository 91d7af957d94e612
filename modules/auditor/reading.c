/* A file is read as it is found; who could have changed it is what its chain tells. */
#include "auditor/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/chain.h"
#include "base/files.h"

#define FILE_MAX_BYTES ((size_t)2 * 1024 * 1024 * 1024)

bool reading_begin(struct reading *r, const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool good;
    *r = (struct reading){.path = path};
    if (fd < 0)
        return error_set(e, FAILURE_CONFIG, "cannot open %s: %s", path, system_text(errno));
    good = file_read_fd(fd, path, FILE_MAX_BYTES, &r->text, &r->len, e);
    close(fd);
    return good;
}

void reading_end(struct reading *r)
{
    free(r->text);
    r->text = NULL;
}

void reading_rewind(struct reading *r)
{
    r->next = 0;
    r->number = 0;
}

bool reading_next(struct reading *r)
{
    const char *begin = r->text + r->next, *end;
    size_t left = r->len - r->next;
    if (left == 0)
        return false;
    end = memchr(begin, '\n', left);
    r->ended = end != NULL;
    r->raw = view_of(begin, end ? (size_t)(end - begin) : left);
    r->next += r->raw.len + r->ended;
    r->number++;
    r->is_entry = audit_line_read(&r->line, r->raw);
    return true;
}

/* The most that a power cut leaves: a commit. */
#define TORN_MAX_BYTES ((size_t)1024 * 1024 + AUDIT_LINE_MAX)

static bool tells_of(const struct audit_entry *e, const char *begin, size_t len)
{
    uint8_t hash[HASH_BYTES];
    char torn[AUDIT_HASH_TEXT_BYTES];
    if (!e->torn || e->number != 1)
        return false;
    sha256(hash, view_of(begin, len), view_of(NULL, 0));
    audit_hash_text(torn, hash);
    return strcmp(torn, e->torn) == 0;
}

bool reading_skip_torn(struct reading *r)
{
    const struct reading before = *r;
    const char *begin = (const char *)r->raw.data;
    if (!memchr(r->raw.data, '\0', r->raw.len))
        return false;
    for (;;) {
        size_t next = r->next, number = r->number;
        size_t len = (size_t)(r->text + next - begin) - 1;
        if (len > TORN_MAX_BYTES || !reading_next(r))
            break;
        if (r->is_entry && tells_of(&r->line.entry, begin, len)) {
            r->next = next;
            r->number = number;
            return true;
        }
    }
    *r = before;
    return false;
}
