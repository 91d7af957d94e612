/* Owners and modes of files and of the folders above them. */
#include "base/ownership.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* For root only root counts: any other owner of the file could become root through it. */
static bool is_ours(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

static bool check(const char *name, const struct stat *st, struct error *e)
{
    bool shared_folder = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
    if (!is_ours(st->st_uid))
        return error_set(e, FAILURE_CONFIG,
                         "%s: owned by user %u, who could change it; run: chown %u %s", name,
                         (unsigned)st->st_uid, (unsigned)geteuid(), name);
    if ((st->st_mode & OTHERS_WRITE) != 0 && !shared_folder)
        return error_set(e, FAILURE_CONFIG,
                         "%s: its mode %04o lets others change it; run: chmod go-w %s", name,
                         (unsigned)st->st_mode & 07777U, name);
    return true;
}

/* Cuts the last component off an absolute path; false at the root. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (path[1] == '\0')
        return false;
    slash[slash == path] = '\0';
    return true;
}

bool ownership_is_trusted(const char *path, const struct stat *st, struct error *e)
{
    struct stat folder;
    char *whole;
    bool good;
    if (!check(path, st, e))
        return false;
    whole = realpath(path, NULL);
    if (!whole)
        return error_set(e, FAILURE_CONFIG, "cannot examine the folder of %s: %s", path,
                         system_text(errno));
    good = true;
    while (good && go_up(whole))
        if (stat(whole, &folder) == 0)
            good = check(whole, &folder, e);
        else
            good = error_set(e, FAILURE_CONFIG, "cannot examine %s: %s", whole, system_text(errno));
    free(whole);
    return good;
}

static bool is_own_group(gid_t group)
{
    int count = getgroups(0, NULL);
    gid_t *groups = count > 0 ? calloc((size_t)count, sizeof *groups) : NULL;
    bool own = group == getegid();
    if (groups)
        count = getgroups(count, groups);
    for (int i = 0; groups && i < count; i++)
        own = own || groups[i] == group;
    free(groups);
    return own;
}

static bool group_may_read(const struct stat *st)
{
    return is_own_group(st->st_gid) || (geteuid() == 0 && st->st_uid == 0);
}

bool ownership_is_secret(const char *path, const struct stat *st, struct error *e)
{
    mode_t open = st->st_mode & (S_IRWXG | S_IRWXO);
    if (open == 0 || (open == S_IRGRP && group_may_read(st)))
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "%s: its mode %04o gives others access to a secret; run: chmod 600 %s", path,
                     (unsigned)st->st_mode & 07777U, path);
}
