/* Landlock by its system calls, which the C libraries do not have. */
#include "guard/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard/build.h"

/* linux/landlock.h */
#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1
#define EXECUTE (1U << 0)
#define WRITE_FILE (1U << 1)
#define READ_FILE (1U << 2)
#define READ_DIR (1U << 3)
#define REMOVE_FILE (1U << 5)
#define MAKE_REG (1U << 8)
#define MAKE_SOCK (1U << 9)
#define TRUNCATE (1U << 14)
#define BIND_TCP (1U << 0)
#define CONNECT_TCP (1U << 1)
#define SCOPE_ALL 3U /* no abstract sockets and no signals to the outside */

/* All accesses to files that each version has added: one that is not handled is allowed. */
static const struct {
    int version;
    uint64_t files;
} versions[] = {{1, 0x1fff}, {2, 1U << 13}, {3, TRUNCATE}, {5, 1U << 15}};

struct ruleset {
    uint64_t files, tcp, scopes;
};

struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

int fence_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0UL, CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t files_of(int version)
{
    uint64_t files = 0;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        files |= versions[i].version <= version ? versions[i].files : 0;
    return files;
}

/* An earlier kernel refuses a structure with more than it has. */
static size_t ruleset_bytes(int version)
{
    return version >= 6           ? sizeof(struct ruleset)
           : version >= FENCE_TCP ? 2 * sizeof(uint64_t)
                                  : sizeof(uint64_t);
}

void fence_begin(struct fence *f, bool connects, bool listens)
{
    int version = fence_version();
    const struct ruleset all = {.files = files_of(version),
                                .tcp = (connects ? 0 : CONNECT_TCP) | (listens ? 0 : BIND_TCP),
                                .scopes = SCOPE_ALL};
    *f = (struct fence){.fd = -1, .connects = connects, .listens = listens};
    if (version > 0)
        f->fd = (int)syscall(SYS_landlock_create_ruleset, &all, ruleset_bytes(version), 0U);
    if (BUILT_WITH_SANITIZERS)
        fence_allow(f, "/", FENCE_READ);
}

/* ---- Rules. ---- */

static void give_up(struct fence *f)
{
    close(f->fd);
    f->fd = -1;
}

static uint64_t accesses(unsigned rights, bool is_folder)
{
    uint64_t all = rights & FENCE_READ ? READ_FILE : 0;
    if (!is_folder)
        return all;
    if (BUILT_WITH_SANITIZERS)
        all |= READ_DIR; /* they look at themselves, in /proc */
    if (rights & FENCE_WRITE)
        all |= READ_FILE | WRITE_FILE | READ_DIR | REMOVE_FILE | MAKE_REG | TRUNCATE;
    if (rights & FENCE_LISTEN)
        all |= READ_FILE | WRITE_FILE | REMOVE_FILE | MAKE_REG | MAKE_SOCK;
    return all & files_of(fence_version());
}

static bool is_folder(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

void fence_allow(struct fence *f, const char *path, unsigned rights)
{
    struct path_beneath rule = {.fd = f->fd < 0 ? -1 : open(path, O_PATH | O_CLOEXEC)};
    if (rule.fd < 0)
        return;
    rule.allowed = accesses(rights, is_folder(rule.fd));
    if (rule.allowed && syscall(SYS_landlock_add_rule, f->fd, RULE_PATH_BENEATH, &rule, 0U) != 0)
        give_up(f);
    close(rule.fd);
}

static void allow_folder_of(struct fence *f, const char *file, unsigned rights)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup(".");
    if (folder)
        fence_allow(f, folder, rights);
    free(folder);
}

void fence_allow_beside(struct fence *f, const char *file, unsigned rights)
{
    char *real = realpath(file, NULL);
    allow_folder_of(f, file, rights);
    if (real)
        allow_folder_of(f, real, rights);
    free(real);
}

/* Whole folders: what replaces /etc/hosts or /etc/passwd is another file than the one there is now.
 */
void fence_allow_system(struct fence *f)
{
    static const char *const linked[] = {"/etc/resolv.conf", "/etc/hosts"};
    fence_allow(f, "/etc", FENCE_READ);
    fence_allow(f, "/usr/share/zoneinfo", FENCE_READ);
    fence_allow(f, "/proc/sys/kernel/random/boot_id", FENCE_READ);
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++)
        fence_allow_beside(f, linked[i], FENCE_READ);
}

bool fence_close(struct fence *f)
{
    bool up = f->fd >= 0 && syscall(SYS_landlock_restrict_self, f->fd, 0U) == 0;
    if (f->fd >= 0)
        give_up(f);
    return up;
}
