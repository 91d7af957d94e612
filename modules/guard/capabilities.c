/* The system's own calls: the C libraries have none for them. */
#include "guard/capabilities.h"

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/capability.h */
#define CAPABILITY_VERSION_3 0x20080522U
#define SETPCAP 8U
#define NET_BIND_SERVICE 10U
#define LAST 63L

/* As the kernel has them: three sets of the first 32, then of the others. */
enum set { EFFECTIVE, PERMITTED, SETS = 3 };
typedef uint32_t sets[2][SETS];

static bool get(sets now)
{
    const uint32_t self[2] = {CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capget, self, now) == 0;
}

/* Of those that are permitted; the others come to nothing. */
static bool set(uint32_t effective, uint32_t permitted)
{
    const uint32_t self[2] = {CAPABILITY_VERSION_3, 0};
    const sets wanted = {{[EFFECTIVE] = effective, [PERMITTED] = permitted}};
    return syscall(SYS_capset, self, wanted) == 0;
}

static uint32_t bit(unsigned capability)
{
    return 1U << capability;
}

bool capabilities_has_low_ports(void)
{
    sets now = {{0}};
    return get(now) && (now[0][PERMITTED] & bit(NET_BIND_SERVICE));
}

/* Those that a program that is started could get; only who has SETPCAP can, and needs to. */
static void empty_bounds(void)
{
    sets now = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L);
    if (!get(now) || !(now[0][PERMITTED] & bit(SETPCAP)) || !set(bit(SETPCAP), now[0][PERMITTED]))
        return;
    for (long i = 0; i <= LAST; i++)
        prctl(PR_CAPBSET_DROP, i, 0L, 0L, 0L);
}

bool capabilities_drop(bool low_ports)
{
    uint32_t kept = low_ports && capabilities_has_low_ports() ? bit(NET_BIND_SERVICE) : 0;
    sets now = {{0}};
    empty_bounds();
    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
    (void)set(kept, kept); /* which a service manager may forbid, and there may be none */
    return get(now) && now[0][PERMITTED] == kept && now[1][PERMITTED] == 0;
}
