/* The exit codes of all applets (README.md). */
#include "base/exits.h"

#include <stddef.h>

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
    [FAILURE_NOT_APPROVED] = 9,
    [FAILURE_NOT_SEEN] = 10,
    [FAILURE_ALTERED] = 11,
    [FAILURE_INTERRUPTED] = 130,
};

int exit_code(enum failure failure)
{
    return codes[failure];
}

const char *exit_text(enum failure failure)
{
    static const char *const texts[] = {
        [FAILURE_NONE] = "finished",
        [FAILURE_OTHER] = "failed",
        [FAILURE_USAGE] = "usage error",
        [FAILURE_CONFIG] = "configuration error",
        [FAILURE_NOT_AUTHENTICATED] = "not authenticated",
        [FAILURE_DENIED] = "denied by policy",
        [FAILURE_NO_AGENT] = "no such agent, or it is not permitted or offline",
        [FAILURE_NETWORK] = "network failure",
        [FAILURE_TIMED_OUT] = "timed out",
        [FAILURE_NOT_APPROVED] = "not approved in time",
        [FAILURE_NOT_SEEN] = "not seen",
        [FAILURE_ALTERED] = "altered",
        [FAILURE_INTERRUPTED] = "interrupted",
    };
    return texts[failure];
}

enum failure exit_failure(uint64_t code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if ((uint64_t)codes[i] == code)
            return (enum failure)i;
    return FAILURE_OTHER;
}
