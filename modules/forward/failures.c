/* The line about a stream's failure. */
#include "forward/failures.h"

#include "session/stream.h"
#include "wire/codes.h"

void failures_log(struct failures *f, uint64_t now_us, const char *target, enum reset_code code,
                  const char *text)
{
    struct log_fields fields = log_party_fields(f->by, "stream_failed");
    /* Why the session ended has a line of its own; Ctrl-C is nothing to look at. */
    enum log_level level = code == RESET_SESSION_OVER ? LOG_INFO : LOG_WARNING;
    char why[RESET_TEXT_BYTES];
    reset_to_text(why, code, text);
    fields.target = target;
    fields.code = code;
    fields.reason = why;
    log_caused_event(f->by->all, f->by->key, now_us, level, &fields, "target %s at %s: %s", target,
                     f->agent, why);
}

void failures_note_full(struct failures *f, uint64_t now_us, const struct session *s)
{
    if (session_is_full(s))
        log_seldom(&f->full, now_us, LOG_WARNING,
                   "%u streams are open at %s, the most of a session (Streams in its "
                   "configuration): no other until one ends",
                   session_places(s), f->agent);
}
