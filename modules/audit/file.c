/* Open, lock, see how the file ends, write, sync. A file that another process or logrotate(8) has
 * put aside since is no longer the one at the path: the chain then goes on in the one that is. */
#include "audit/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"

/* That are looked through for a file's last line: behind it a commit may be torn. */
#define TAIL_BYTES (AUDIT_COMMIT_MAX + AUDIT_LINE_MAX)
#define OPEN_TRIES 100
#define NAME_TRIES 100
#define PATH_BYTES 4096

void audit_file_init(struct audit_file *f, const char *path, const char *role, uint64_t limit_bytes)
{
    *f = (struct audit_file){.path = path, .role = role, .limit_bytes = limit_bytes, .fd = -1};
}

void audit_file_close(struct audit_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void audit_file_free(struct audit_file *f)
{
    audit_file_close(f);
    free(f->text);
    f->text = NULL;
}

static bool fail(const struct audit_file *f, const char *what, struct error *e)
{
    return error_set(e, FAILURE_OTHER, "cannot %s %s: %s", what, f->path, system_text(errno));
}

/* ---- Opening. ---- */

/* True if the path still leads to the open file. */
static bool is_at_path(const struct audit_file *f)
{
    struct stat own, there;
    return fstat(f->fd, &own) == 0 && stat(f->path, &there) == 0 && own.st_ino == there.st_ino &&
           own.st_dev == there.st_dev;
}

static bool open_file(struct audit_file *f, struct error *e)
{
    struct stat st;
    f->size = f->reserved = 0;
    f->no_reserve = false;
    f->next_try_bytes = 0;
    f->fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return fail(f, "open", e);
    if (S_ISREG(st.st_mode))
        return true;
    audit_file_close(f);
    return error_set(e, FAILURE_OTHER, "%s: not a regular file", f->path);
}

/* ---- How the file ends. ---- */

/* Goes before the next line. */
struct mend {
    const char *newline;              /* "\n": the file ends without one */
    char torn[AUDIT_HASH_TEXT_BYTES]; /* hash of what is left of a line; "": nothing */
    size_t torn_bytes;
};

static ssize_t read_end(const struct audit_file *f, uint8_t *buffer, size_t want, off_t size)
{
    size_t got = 0;
    while (got < want) {
        ssize_t n = pread(f->fd, buffer + got, want - got, size - (off_t)(want - got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static bool take_tail(struct audit_file *f, struct view end, bool complete, struct mend *mend,
                      struct error *e)
{
    struct audit_tail tail;
    uint8_t hash[HASH_BYTES];
    if (!audit_tail_read(&tail, end, complete))
        return error_set(e, FAILURE_OTHER,
                         "%s does not end with an entry of an audit: move it away", f->path);
    if (f->size == 0)
        audit_tail_cut_zeros(&tail, end, complete);
    f->head = tail.head;
    mend->newline = end.data[end.len - 1] == '\n' ? "" : "\n";
    if (!tail.torn)
        return true;
    size_t begin = tail.head.number ? tail.whole + 1 : 0;
    mend->torn_bytes = end.len - begin - (*mend->newline == '\0');
    sha256(hash, view_of(end.data + begin, mend->torn_bytes), view_of(NULL, 0));
    audit_hash_text(mend->torn, hash);
    return true;
}

/* Looks at what others have written since. */
static bool look_at_end(struct audit_file *f, off_t size, struct mend *mend, struct error *e)
{
    size_t want = (uint64_t)size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
    uint8_t *buffer;
    bool good;
    if (size == 0 || size == f->size)
        return true;
    buffer = malloc(want);
    if (!buffer)
        return error_no_memory(e);
    good = read_end(f, buffer, want, size) >= 0
               ? take_tail(f, view_of(buffer, want), want == (size_t)size, mend, e)
               : fail(f, "read", e);
    free(buffer);
    return good;
}

/* The chain goes on in another file, behind all that is in this one, also from others. */
static void leave(struct audit_file *f)
{
    struct mend mend;
    struct error e = {0};
    struct stat st;
    if (fstat(f->fd, &st) == 0)
        look_at_end(f, st.st_size, &mend, &e);
    audit_file_close(f);
}

/* Takes the lock of the file that is at the path then. */
static bool lock_file(struct audit_file *f, struct error *e)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        if (f->fd < 0 && !open_file(f, e))
            return false;
        if (flock(f->fd, LOCK_EX) < 0)
            return fail(f, "lock", e);
        if (is_at_path(f))
            return true;
        leave(f);
    }
    return error_set(e, FAILURE_OTHER, "%s is replaced again and again", f->path);
}

/* ---- Writing. ---- */

/* Lines that are to be written together, and the head after them. */
struct batch {
    char *text;
    size_t len;
    struct audit_head head;
};

static void add_line(struct batch *b, struct view object, const char *torn)
{
    b->len += audit_chain_add(&b->head, b->text + b->len, object, torn);
}

/* A chain of its own tells of a line that a crash or power cut has left unfinished. */
static void add_mend(struct batch *b, const struct audit_file *f, const struct mend *mend)
{
    char object[AUDIT_LINE_MAX], now[AUDIT_TIME_BYTES], reason[160] = "";
    struct audit_entry entry = {.time = now, .role = f->role, .reason = reason};
    b->len = (size_t)sprintf(b->text, "%s", mend->newline);
    if (b->head.chain[0] && !mend->torn[0])
        return;
    clock_wall_text(now);
    entry.event = mend->torn[0] ? "chain_mended" : "chain_began";
    if (mend->torn[0])
        snprintf(reason, sizeof reason,
                 "%zu bytes that are no entry stood behind entry %llu of chain %s",
                 mend->torn_bytes, (unsigned long long)b->head.number,
                 b->head.chain[0] ? b->head.chain : "none");
    audit_chain_begin(&b->head);
    add_line(b, view_of(object, audit_entry_encode(object, &entry)),
             mend->torn[0] ? mend->torn : NULL);
}

static size_t add_records(struct batch *b, const struct list *records)
{
    size_t count = 0;
    list_each (link, records) {
        const struct audit_record *r = container_of(link, struct audit_record, link);
        if (b->len + AUDIT_LINE_MAX > AUDIT_COMMIT_MAX)
            break;
        add_line(b, view_of(r->object, r->len), NULL);
        count++;
    }
    return count;
}

/* In a file that goes on with a chain: an entry of how that ended. */
static void add_checkpoint(struct batch *b, const struct audit_file *f)
{
    char object[AUDIT_LINE_MAX];
    size_t len = f->checkpoint && f->head.number ? f->checkpoint(f->owner, &b->head, object) : 0;
    if (len > 0)
        add_line(b, view_of(object, len), NULL);
}

/* All of it is in the file and on disk, or nothing. */
static bool write_batch(struct audit_file *f, const struct batch *b, off_t size, struct error *e)
{
    int failed;
    if (b->len == 0 || (file_write_all(f->fd, b->text, b->len) && fdatasync(f->fd) == 0)) {
        f->head = b->head;
        f->size = size + (off_t)b->len;
        return true;
    }
    failed = errno;
    /* If even that fails, what is left of a line is found by the next who looks at the end. */
    f->size = ftruncate(f->fd, size) == 0 ? size : -1;
    f->reserved = 0;
    errno = failed;
    return fail(f, "write", e);
}

/* ---- The reserve. ---- */

/* Begins where there is none yet: tmpfs gives up all of a range of which it cannot get all. */
static bool allocate(struct audit_file *f, off_t size, off_t until)
{
    off_t from = f->reserved > size ? f->reserved : size;
    if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, from, until - from) != 0)
        return false;
    f->reserved = until;
    return true;
}

/* There is disk for a file that ends there, and for decisions behind that. Taken in larger pieces
 * while there are any, so that it costs little. */
static bool keep_reserve(struct audit_file *f, off_t size, off_t end, struct error *e)
{
    off_t least = end + AUDIT_RESERVE_BYTES;
    if (f->no_reserve || f->reserved >= least || allocate(f, size, least + AUDIT_RESERVE_BYTES) ||
        allocate(f, size, least))
        return true;
    f->no_reserve = errno != ENOSPC && errno != EDQUOT;
    return f->no_reserve || fail(f, "write", e);
}

/* Nothing is added to the file any more. */
static void release_reserve(const struct audit_file *f)
{
    struct stat st;
    if (f->reserved && fstat(f->fd, &st) == 0 && ftruncate(f->fd, st.st_size) != 0)
        log_debug("audit: %s: %s", f->path, system_text(errno));
}

/* ---- Putting a file aside. ---- */

/* As snprintf has told it. False: the name is cut, and is another file's. */
static bool is_whole_name(int len)
{
    errno = ENAMETOOLONG;
    return len < PATH_BYTES;
}

/* "PATH.20260131T120000.123Z". */
static bool aside_name(char out[PATH_BYTES], const struct audit_file *f)
{
    char now[AUDIT_TIME_BYTES], digits[AUDIT_TIME_BYTES];
    size_t n = 0;
    clock_wall_text(now);
    for (size_t i = 0; now[i] != '\0'; i++)
        if (now[i] != '-' && now[i] != ':')
            digits[n++] = now[i];
    digits[n] = '\0';
    return is_whole_name(snprintf(out, PATH_BYTES, "%s.%s", f->path, digits));
}

/* The file gets a second name, that of its end. */
static bool link_aside(const struct audit_file *f, char name[PATH_BYTES])
{
    for (int i = 0; i < NAME_TRIES; i++) {
        if (!aside_name(name, f))
            return false;
        if (link(f->path, name) == 0)
            return true;
        if (errno != EEXIST)
            return false;
        usleep(1000); /* this millisecond's name is taken */
    }
    return false;
}

/* Gives the next file, open under a name of its own, the place of this one. */
static bool replace_by(struct audit_file *f, const struct audit_file *next, const char *name)
{
    char aside[PATH_BYTES];
    if (!link_aside(f, aside))
        return false;
    if (rename(name, f->path) < 0) {
        int failed = errno;
        unlink(aside);
        errno = failed;
        return false;
    }
    release_reserve(f);
    audit_file_close(f);
    *f = *next;
    file_sync_directory(f->path);
    return true;
}

/* The new file takes the place of the old one in one step, with the chain's next lines in it, so
 * that nobody ever finds none. Its lock is held from before that. False: the old one stays. */
static bool begin_next(struct audit_file *f, const struct batch *b, struct error *e)
{
    struct audit_file next = *f;
    char name[PATH_BYTES];
    if (!is_whole_name(snprintf(name, sizeof name, "%s.new", f->path)))
        return fail(f, "put aside", e);
    unlink(name); /* of one who was killed */
    next.next_try_bytes = 0;
    next.reserved = 0;
    next.fd = open(name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (next.fd >= 0 && flock(next.fd, LOCK_EX) == 0 && write_batch(&next, b, 0, e) &&
        replace_by(f, &next, name))
        return true;
    fail(f, "put aside", e);
    audit_file_close(&next);
    unlink(name);
    return false;
}

static bool is_full(const struct audit_file *f, const struct batch *b, off_t size,
                    const struct mend *mend)
{
    return f->limit_bytes && size > 0 && !mend->torn[0] && *mend->newline == '\0' &&
           (uint64_t)size + b->len > f->limit_bytes && (uint64_t)size >= f->next_try_bytes;
}

/* ---- All of it. ---- */

/* All that is to be written. fresh: at the beginning of a file. Returns how many of the records. */
static size_t build(struct batch *b, const struct audit_file *f, const struct mend *mend,
                    bool fresh, const struct list *records)
{
    *b = (struct batch){.text = b->text, .head = f->head};
    add_mend(b, f, mend);
    if (fresh)
        add_checkpoint(b, f);
    return add_records(b, records);
}

static bool append_locked(struct audit_file *f, const struct list *records, bool decisions,
                          size_t *count, struct error *e)
{
    struct mend mend = {.newline = ""};
    struct batch b = {.text = f->text};
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return fail(f, "read", e);
    if (!look_at_end(f, st.st_size, &mend, e))
        return false;
    *count = build(&b, f, &mend, st.st_size == 0, records);
    if (is_full(f, &b, st.st_size, &mend)) {
        *count = build(&b, f, &mend, true, records);
        if (begin_next(f, &b, &f->trouble))
            return true;
        f->next_try_bytes = (uint64_t)st.st_size + f->limit_bytes;
        *count = build(&b, f, &mend, false, records);
    }
    if ((!decisions && !keep_reserve(f, st.st_size, st.st_size + (off_t)b.len, e)) ||
        !write_batch(f, &b, st.st_size, e)) {
        *count = 0;
        return false;
    }
    if (st.st_size == 0)
        file_sync_directory(f->path);
    return true;
}

bool audit_file_look(struct audit_file *f, struct error *e)
{
    struct mend mend;
    struct stat st;
    bool good = lock_file(f, e) && (fstat(f->fd, &st) == 0 || fail(f, "read", e)) &&
                look_at_end(f, st.st_size, &mend, e);
    if (f->fd >= 0)
        flock(f->fd, LOCK_UN);
    return good;
}

bool audit_file_append(struct audit_file *f, const struct list *records, bool decisions,
                       size_t *count, struct error *e)
{
    bool good;
    if (!f->text && !(f->text = malloc(AUDIT_COMMIT_MAX)))
        return error_no_memory(e);
    good = lock_file(f, e) && append_locked(f, records, decisions, count, e);
    if (f->fd >= 0)
        flock(f->fd, LOCK_UN);
    return good;
}
