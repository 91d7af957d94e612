/* The line that a program gets of an event. */
#include "agent/events.h"

#include "base/clock.h"
#include "events/teller.h"

static const char *const names[] = {
    [EVENT_REQUEST] = "request",
    [EVENT_GRANTED] = "granted",
    [EVENT_ENDED] = "ended",
    [EVENT_LOCK] = "lock",
    [EVENT_AUDIT_FAILURE] = "audit_failure",
};

bool events_begin(struct agent *a, struct error *e)
{
    struct error why = {0};
    if (!a->config.on_event)
        return true;
    a->teller = teller_new(a->loop, a->config.on_event, &why);
    return a->teller || error_set(e, why.failure, "OnEvent: %s", why.text);
}

void events_end(struct agent *a)
{
    teller_free(a->teller);
    a->teller = NULL;
}

static bool is_there(const char *text)
{
    return text && text[0];
}

static void put_text(struct json_line *line, const char *name, const char *text)
{
    if (is_there(text))
        json_put_text(line, name, text);
}

static void put_number(struct json_line *line, const char *name, uint64_t number)
{
    if (number)
        json_put_number(line, name, number);
}

/* Of the two the log's first. */
static void put_either(struct json_line *line, const char *name, const char *logged,
                       const char *audited)
{
    put_text(line, name, is_there(logged) ? logged : audited);
}

/* Under the names that they have in the log in JSON, and in the audit. */
static void put_fields(struct json_line *line, const struct log_fields *f,
                       const struct audit_entry *more)
{
    put_text(line, "event", f->event);
    put_text(line, "session", more->session);
    put_text(line, "circuit", f->circuit);
    put_text(line, "user", f->user);
    put_either(line, "key", f->key, more->key);
    put_either(line, "relay", f->relay, more->relay);
    put_text(line, "address", f->address);
    put_text(line, "request", f->request);
    put_text(line, "reason", f->reason);
    put_number(line, "code", f->code);
    put_text(line, "by", more->by);
    if (!f->counted)
        return;
    json_put_number(line, "streams", f->streams);
    json_put_number(line, "bytes_up", f->bytes_up);
    json_put_number(line, "bytes_down", f->bytes_down);
    json_put_number(line, "duration_ms", f->duration_us / CLOCK_US_PER_MS);
}

void event_tell(struct agent *a, enum event_kind kind, const uint8_t *user_key,
                const struct log_fields *f, const struct audit_entry *more, const char *text)
{
    char out[EVENT_LINE_BYTES], now[25];
    struct json_line line;
    if (!a->teller)
        return;
    clock_wall_text(now);
    json_begin(&line, out, sizeof out);
    json_put_text(&line, "kind", names[kind]);
    json_put_text(&line, "time", now);
    json_put_text(&line, "agent", a->config.name);
    put_fields(&line, f, more);
    json_put_text(&line, "text", text);
    teller_tell(a->teller, names[kind], user_key, &line);
}
