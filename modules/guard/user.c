/* Looks users and groups up, and becomes them for good. */
#include "guard/user.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

static bool read_number(const char *text, uint32_t *number)
{
    char *end;
    unsigned long value;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return *end == '\0' && errno == 0 && value < GUARD_NO_ID;
}

bool guard_find_user(const char *user, uint32_t *uid)
{
    const struct passwd *found = getpwnam(user);
    if (found)
        *uid = found->pw_uid;
    return found || read_number(user, uid);
}

bool guard_find_group(const char *group, uint32_t *gid)
{
    const struct group *found = getgrnam(group);
    if (found)
        *gid = found->gr_gid;
    return found || read_number(group, gid);
}

/* Who is meant, as numbers; GUARD_NO_ID: it stays. */
struct identity {
    uint32_t uid, gid, more_gid;
    const char *name; /* of the user, for the groups that it is in; NULL: it has none */
};

static bool find_own_group(const struct guard_user *u, struct identity *id, struct error *e)
{
    const struct passwd *found = getpwuid(id->uid);
    if (found && id->gid == GUARD_NO_ID)
        id->gid = found->pw_gid;
    if (found)
        id->name = u->user;
    return id->gid != GUARD_NO_ID ||
           error_set(e, FAILURE_CONFIG,
                     "User = %s in [%s] is a number without a name here: add Group = and its group",
                     u->user, u->section);
}

static bool find(const struct guard_user *u, struct identity *id, struct error *e)
{
    *id = (struct identity){.uid = GUARD_NO_ID, .gid = GUARD_NO_ID, .more_gid = GUARD_NO_ID};
    if (u->user && !guard_find_user(u->user, &id->uid))
        return error_set(e, FAILURE_CONFIG, "User: no user '%s' on this system", u->user);
    if (u->group && !guard_find_group(u->group, &id->gid))
        return error_set(e, FAILURE_CONFIG, "Group: no group '%s' on this system", u->group);
    if (u->more_group && !guard_find_group(u->more_group, &id->more_gid))
        return error_set(e, FAILURE_CONFIG, "no group '%s' on this system", u->more_group);
    return !u->user || find_own_group(u, id, e);
}

/* ---- Becoming them. ---- */

static bool failed(const char *what, struct error *e)
{
    return error_set(e, FAILURE_OTHER, "cannot %s: %s", what, system_text(errno));
}

#define GROUPS 1024

/* The groups that it has, or those of its user, and the one more. */
static bool take_groups(const struct identity *id, struct error *e)
{
    gid_t groups[GROUPS + 1];
    int count;
    if (id->name ? initgroups(id->name, id->gid) != 0
                 : id->uid != GUARD_NO_ID && setgroups(1, &id->gid) != 0)
        return failed("take the groups of the user", e);
    if (id->more_gid == GUARD_NO_ID)
        return true;
    count = getgroups(GROUPS, groups);
    if (count < 0)
        return failed("read its groups", e);
    groups[count] = id->more_gid;
    return setgroups((size_t)count + 1, groups) == 0 || failed("take one more group", e);
}

/* Another user's process dumps core and may be looked into again, unless it is told not to. */
static bool take_identity(const struct identity *id, struct error *e)
{
    if (!take_groups(id, e))
        return false;
    if (id->gid != GUARD_NO_ID && setresgid(id->gid, id->gid, id->gid) != 0)
        return failed("take the group", e);
    if (id->uid == GUARD_NO_ID)
        return true;
    prctl(PR_SET_KEEPCAPS, 1L);
    if (setresuid(id->uid, id->uid, id->uid) != 0)
        return failed("become the user", e);
    prctl(PR_SET_DUMPABLE, 0L);
    return true;
}

/* Nobody but root can change; who is already the one that is asked for need not. */
static bool is_already(const struct guard_user *u, const struct identity *id, struct error *e)
{
    if ((!u->user || id->uid == geteuid()) && (!u->group || id->gid == getegid()))
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "User and Group in [%s]: only root can change them, and this process is user "
                     "%" PRIu32 " of group %" PRIu32 ": start it as root, or leave them out",
                     u->section, (uint32_t)geteuid(), (uint32_t)getegid());
}

bool guard_user_become(const struct guard_user *u, struct error *e)
{
    struct identity id;
    if (!find(u, &id, e))
        return false;
    if (geteuid() != 0)
        return is_already(u, &id, e);
    if (!u->user)
        log_warning("runs as root: name a user in User of [%s], which it becomes when its ports "
                    "are open",
                    u->section);
    return take_identity(&id, e);
}
