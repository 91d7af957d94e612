/* All of it in order, and how that went. */
#include "guard/guard.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "guard/calls.h"
#include "guard/capabilities.h"
#include "guard/fence.h"

#define JOIN_SESSION_KEYRING 1L /* linux/keyctl.h */

/* The parts that are in effect, and those that are not to be had, as lists in words. */
static char on[GUARD_TEXT_BYTES], off[GUARD_TEXT_BYTES];

static bool gave_up_low_ports, gave_up_dialling, is_fenced;

static void note(bool good, const char *text)
{
    char *list = good ? on : off;
    size_t len = strlen(list);
    snprintf(list + len, GUARD_TEXT_BYTES - len, "%s%s", len > 0 ? ", " : "", text);
}

static void note_user(void)
{
    char text[64];
    const struct passwd *user = getpwuid(geteuid());
    if (user)
        snprintf(text, sizeof text, "user %.40s", user->pw_name);
    else
        snprintf(text, sizeof text, "user %u", (unsigned)geteuid());
    note(true, text);
}

static void drop_capabilities(bool low_ports)
{
    gave_up_low_ports = capabilities_has_low_ports() && !low_ports;
    if (!capabilities_drop(low_ports))
        note(false, "giving up capabilities");
    else
        note(true, capabilities_has_low_ports() ? "no capabilities but CAP_NET_BIND_SERVICE"
                                                : "no capabilities");
}

static void put_fence(struct fence *fence)
{
    bool tcp = fence_version() >= FENCE_TCP;
    is_fenced = fence_close(fence);
    note(is_fenced, "files by Landlock");
    if (is_fenced && (!fence->connects || !fence->listens))
        note(tcp, "TCP by Landlock");
    gave_up_dialling = is_fenced && tcp && !fence->connects;
}

static void put_filter(unsigned role)
{
    bool up = filter_install(allowed_calls, allowed_call_count, role);
    note(up, "system calls by seccomp");
    gave_up_dialling |= up && role == GUARD_RELAY;
}

static void tell(void)
{
    struct log_fields f = {.event = "guarded", .reason = on};
    log_event(LOG_INFO, &f, "guarded: %s%s%s", on, off[0] ? "; not to be had here: " : "", off);
}

void guard_enter(const struct guard_settings *g)
{
    on[0] = off[0] = '\0';
    note_user();
    umask(077);
    prctl(PR_SET_DUMPABLE, 0L);
    syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL); /* an empty one of its own */
    drop_capabilities(g->low_ports);
    put_fence(g->fence);
    put_filter(g->role);
    tell();
}

bool guard_gave_up_low_ports(void)
{
    return gave_up_low_ports;
}

bool guard_gave_up_dialling(void)
{
    return gave_up_dialling;
}

bool guard_is_fenced(void)
{
    return is_fenced;
}

void guard_tell_refused(void)
{
    uint32_t number;
    while (filter_next_refused(&number)) {
        struct log_fields f = {.event = "call_refused", .code = number};
        log_event(
            LOG_ERROR, &f,
            "system call %u was refused to this process, which must never make it: a fault in "
            "spx, or somebody who has taken it over: report it",
            (unsigned)number);
    }
}

/* The texts of errors end with the system's own. */
const char *guard_hint(const struct error *e)
{
    return is_fenced && strstr(e->text, system_text(EACCES))
               ? "; if the file may be read, this process has given that up: restart needed"
               : "";
}

const char *guard_text(void)
{
    return on;
}

const char *guard_missing(void)
{
    return off;
}

void guard_print_available(void)
{
    int version = fence_version();
    if (version > 0)
        printf("Landlock %d%s\n", version, version < FENCE_TCP ? ", not of TCP" : "");
    else
        printf("Landlock not to be had here\n");
    printf("seccomp %s\n", filter_is_there() ? "to be had" : "not to be had here");
}
