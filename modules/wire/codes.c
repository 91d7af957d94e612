#include "wire/codes.h"

#include <stdbool.h>

#include "base/exits.h"

static const struct {
    const char *text;
    int exit;
} codes[] = {
    [CODE_OK] = {"ok", EXIT_OK},
    [CODE_UNKNOWN_KEY] = {"unknown key", EXIT_NOT_AUTHENTICATED},
    [CODE_WRONG_ROLE] = {"the key is known in another role", EXIT_NOT_AUTHENTICATED},
    [CODE_REVOKED] = {"permission has ended", EXIT_DENIED},
    [CODE_FULL] = {"a limit is reached", EXIT_OTHER},
    [CODE_VERSION] = {"no common protocol version", EXIT_OTHER},
    [CODE_UNSUPPORTED] = {"a required extension is not supported", EXIT_OTHER},
    [CODE_NO_AGENT] = {"no such agent, or not permitted", EXIT_NO_AGENT},
    [CODE_OFFLINE] = {"the agent is offline", EXIT_NO_AGENT},
    [CODE_TIMEOUT] = {"timed out", EXIT_TIMED_OUT},
    [CODE_DENIED] = {"the agent does not allow this user", EXIT_DENIED},
    [CODE_WRONG_AGENT] = {"another agent answered", EXIT_NOT_AUTHENTICATED},
    [CODE_NO_SESSION] = {"no such session", EXIT_NETWORK},
    [CODE_ENDED] = {"the session has ended", EXIT_NETWORK},
    [CODE_STALE] = {"circuit number is stale", EXIT_OTHER},
    [CODE_PROTOCOL] = {"protocol error", EXIT_OTHER},
    [CODE_INTERNAL] = {"internal error", EXIT_OTHER},
    [CODE_REPLACED] = {"replaced by a newer hop", EXIT_NETWORK},
    [CODE_SHUTDOWN] = {"shutting down", EXIT_NETWORK},
    [CODE_BAD_HANDSHAKE] = {"handshake not authentic", EXIT_NOT_AUTHENTICATED},
    [CODE_TICKET] = {"ticket unknown, used or too old", EXIT_OTHER},
    [CODE_DONE] = {"done", EXIT_OK},
    [CODE_RESUME_WINDOW] = {"without a circuit for too long", EXIT_TIMED_OUT},
    [CODE_NETWORK] = {"network failure", EXIT_NETWORK},
};

#define CODES (sizeof codes / sizeof codes[0])

const char *code_text(unsigned code)
{
    return code < CODES ? codes[code].text : "unknown code";
}

int code_exit(unsigned code)
{
    return code < CODES ? codes[code].exit : EXIT_OTHER;
}

static const char *const reset_codes[] = {
    [RESET_REFUSED] = "connection refused",   [RESET_UNREACHABLE] = "target unreachable",
    [RESET_TIMEOUT] = "connecting timed out", [RESET_NOT_PERMITTED] = "target not permitted",
    [RESET_NO_NAME] = "no such host name",    [RESET_BY_TARGET] = "reset by the target",
    [RESET_LIMIT] = "too many streams",       [RESET_UNSUPPORTED] = "not supported",
    [RESET_INTERNAL] = "internal error",      [RESET_SESSION_OVER] = "the session is over",
};

const char *reset_code_text(unsigned code)
{
    bool known = code > 0 && code < sizeof reset_codes / sizeof reset_codes[0];
    return known ? reset_codes[code] : "unknown code";
}
