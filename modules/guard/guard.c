/* What is given up, in order, and how that went. */
#include "guard/guard.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "guard/capabilities.h"

#define JOIN_SESSION_KEYRING 1L /* linux/keyctl.h */

/* What is in effect, and what is not to be had, each a list in words. */
static char on[GUARD_TEXT_BYTES], off[GUARD_TEXT_BYTES];

static bool gave_up_low_ports;

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
    tell();
}

bool guard_gave_up_low_ports(void)
{
    return gave_up_low_ports;
}

const char *guard_text(void)
{
    return on;
}
