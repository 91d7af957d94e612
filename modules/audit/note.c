/* From the log's fields to an entry's: the log's label of a circuit and name of a relay are left to
 * those who have the circuit's name and the relay's key. */
#include "audit/note.h"
#include "audit/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/version.h"

static void fill(const char **text, const char *from)
{
    if (!*text)
        *text = from;
}

uint64_t audit_note(struct audit *a, const struct log_fields *f, const struct audit_entry *more)
{
    struct audit_entry e = *more;
    if (!a)
        return 0;
    fill(&e.event, f->event);
    fill(&e.user, f->user);
    fill(&e.key, f->key);
    fill(&e.agent, f->agent);
    fill(&e.address, f->address);
    fill(&e.target, f->target);
    fill(&e.reason, f->reason);
    e.stream = e.stream ? e.stream : f->stream;
    e.severity = e.severity ? e.severity : f->severity;
    e.code = e.code ? e.code : f->code;
    if (f->counted) {
        e.counted = true;
        e.bytes_up = f->bytes_up;
        e.bytes_down = f->bytes_down;
        e.duration_ms = f->duration_us / CLOCK_US_PER_MS;
    }
    return audit_write(a, &e);
}

void audit_note_user(struct audit *a, const char *user, const uint8_t key[KEY_BYTES],
                     const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "user_changed", .user = user, .key = fingerprint, .reason = what};
    key_fingerprint(fingerprint, key);
    log_event(LOG_INFO, &f, "user %s: %s, key %s", user, what, fingerprint);
    audit_note(a, &f, &(struct audit_entry){.by = "reload"});
}

void audit_started(struct audit *a, const uint8_t own_key[KEY_BYTES])
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(fingerprint, own_key);
    audit_write(a, &(struct audit_entry){
                       .event = "started", .key = fingerprint, .reason = SPX_VERSION_TEXT});
}

void audit_ended(struct audit *a, const char *why)
{
    audit_end_heads(a);
    audit_write(a, &(struct audit_entry){.event = "ended", .reason = why});
}

void audit_subject_init(struct audit_subject *s, const char *user, const char *agent,
                        const uint8_t user_key[KEY_BYTES])
{
    *s = (struct audit_subject){0};
    key_fingerprint(s->key, user_key);
    s->entry = (struct audit_entry){.session = s->session,
                                    .circuit = s->circuit,
                                    .user = user,
                                    .key = s->key,
                                    .agent = agent,
                                    .relay = s->relay};
}

void audit_subject_session(struct audit_subject *s, struct view session_id)
{
    hash_name(s->session, session_id);
}

void audit_subject_circuit(struct audit_subject *s, const char *circuit,
                           const uint8_t relay_key[KEY_BYTES])
{
    snprintf(s->circuit, sizeof s->circuit, "%s", circuit);
    key_fingerprint(s->relay, relay_key);
}
