/* Tables of codes and their texts. */
#include "wire/codes.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *text;
    enum failure failure;
} codes[] = {
    [CODE_OK] = {"ok", FAILURE_NONE},
    [CODE_UNKNOWN_KEY] = {"unknown key", FAILURE_NOT_AUTHENTICATED},
    [CODE_WRONG_ROLE] = {"the key is known in another role", FAILURE_NOT_AUTHENTICATED},
    [CODE_REVOKED] = {"permission has ended", FAILURE_DENIED},
    [CODE_FULL] = {"a limit is reached", FAILURE_OTHER},
    [CODE_VERSION] = {"no common protocol version", FAILURE_OTHER},
    [CODE_UNSUPPORTED] = {"a required extension is not supported", FAILURE_OTHER},
    [CODE_NO_AGENT] = {"no such agent, or not permitted", FAILURE_NO_AGENT},
    [CODE_OFFLINE] = {"the agent is offline", FAILURE_NO_AGENT},
    [CODE_TIMEOUT] = {"timed out", FAILURE_TIMED_OUT},
    [CODE_DENIED] = {"the agent does not allow this user", FAILURE_DENIED},
    [CODE_WRONG_AGENT] = {"another agent answered", FAILURE_NOT_AUTHENTICATED},
    [CODE_NO_SESSION] = {"no such session", FAILURE_NETWORK},
    [CODE_ENDED] = {"the session has ended", FAILURE_NETWORK},
    [CODE_STALE] = {"circuit number is stale", FAILURE_OTHER},
    [CODE_PROTOCOL] = {"protocol error", FAILURE_OTHER},
    [CODE_INTERNAL] = {"internal error", FAILURE_OTHER},
    [CODE_REPLACED] = {"replaced by a newer hop", FAILURE_NETWORK},
    [CODE_SHUTDOWN] = {"shutting down", FAILURE_NETWORK},
    [CODE_BAD_HANDSHAKE] = {"handshake not authentic", FAILURE_NOT_AUTHENTICATED},
    [CODE_TICKET] = {"ticket unknown, used or too old", FAILURE_OTHER},
    [CODE_DONE] = {"done", FAILURE_NONE},
    [CODE_RESUME_WINDOW] = {"without a circuit for too long", FAILURE_TIMED_OUT},
    [CODE_NETWORK] = {"network failure", FAILURE_NETWORK},
};

#define CODES (sizeof codes / sizeof codes[0])

const char *code_text(enum code code)
{
    return code < CODES ? codes[code].text : "unknown code";
}

enum failure code_failure(enum code code)
{
    return code < CODES ? codes[code].failure : FAILURE_OTHER;
}

static const char *const reset_codes[] = {
    [RESET_REFUSED] = "connection refused",
    [RESET_UNREACHABLE] = "target unreachable",
    [RESET_TIMEOUT] = "connecting timed out",
    [RESET_NOT_PERMITTED] = "not permitted",
    [RESET_NO_NAME] = "no such host name",
    [RESET_BY_TARGET] = "reset by the target",
    [RESET_LIMIT] = "too many streams",
    [RESET_UNSUPPORTED] = "not supported",
    [RESET_INTERNAL] = "internal error",
    [RESET_SESSION_OVER] = "the session is over",
    [RESET_BY_APPLICATION] = "reset by the application",
};

const char *reset_code_text(enum reset_code code)
{
    bool known = code > 0 && code < sizeof reset_codes / sizeof reset_codes[0];
    return known ? reset_codes[code] : "unknown code";
}

void reset_to_text(char out[RESET_TEXT_BYTES], enum reset_code code, const char *text)
{
    const char *known = reset_code_text(code);
    size_t known_len = strlen(known), len = strlen(text);
    if (strncasecmp(text, known, known_len) == 0) /* it says the same, and more */
        snprintf(out, RESET_TEXT_BYTES, "%s", text);
    else if (len > known_len && strcasecmp(text + len - known_len, known) == 0)
        snprintf(out, RESET_TEXT_BYTES, "%s", known);
    else
        snprintf(out, RESET_TEXT_BYTES, "%s%s%s", known, text[0] ? ": " : "", text);
}
