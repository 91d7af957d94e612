/* The exit codes of all applets (README.md). */
#include "base/exits.h"

int exit_code(enum failure failure)
{
    static const int codes[] = {
        [FAILURE_NONE] = 0,
        [FAILURE_OTHER] = 1,
        [FAILURE_USAGE] = 2,
        [FAILURE_CONFIG] = 3,
        [FAILURE_NOT_AUTHENTICATED] = 4,
        [FAILURE_DENIED] = 5,
        [FAILURE_NO_AGENT] = 6,
        [FAILURE_NETWORK] = 7,
        [FAILURE_TIMED_OUT] = 8,
        [FAILURE_NOT_SEEN] = 10,
        [FAILURE_ALTERED] = 11,
        [FAILURE_INTERRUPTED] = 130,
    };
    return codes[failure];
}
