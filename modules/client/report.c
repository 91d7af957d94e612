/* A connection's counts, and the words and fields of the lines about it. */
#include "client/report.h"

#include <stdio.h>
#include <string.h>

#include "audit/exchange.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "forward/stream_audit.h"

#define SWEEP_US (5 * CLOCK_US_PER_S)

#define caused(r, level, fields, ...) \
    log_caused_event(&(r)->log, (r)->peers.key, loop_now((r)->loop), level, fields, __VA_ARGS__)

static void on_sweep(struct timer *timer)
{
    struct report *r = container_of(timer, struct report, sweep);
    log_rates_sweep(&r->log, loop_now(r->loop));
    timer_set(r->loop, timer, loop_now(r->loop) + SWEEP_US);
}

void report_init(struct report *r, struct loop *loop, const char *agent, unsigned row, bool alone)
{
    uint8_t hash_key[16];
    *r = (struct report){.loop = loop, .agent = agent, .row = row, .sweep.on_fire = on_sweep};
    random_bytes(hash_key, sizeof hash_key);
    log_rates_init(&r->log, hash_key);
    r->peers.all = &r->log;
    r->peers.fields = &r->fields;
    r->fields = (struct log_fields){.agent = agent, .circuit = r->label};
    if (!alone)
        snprintf(r->prefix, sizeof r->prefix, "%s: ", agent);
}

void report_audit(struct report *r, struct audit *audit, const uint8_t own_key[KEY_BYTES])
{
    r->audit = audit;
    audit_subject_init(&r->subject, NULL, r->agent, own_key);
}

void report_stream(struct report *r, const struct stream_report *stream)
{
    stream_audit_note(r->audit, true, loop_now(r->loop), &r->subject.entry, stream);
}

void report_head(struct report *r, struct rate *rate, const uint8_t agent_key[KEY_BYTES],
                 struct view head)
{
    struct audit_entry of = r->subject.entry;
    of.by = "agent";
    audit_take_head(r->audit, rate, &of, agent_key, head);
}

void report_begin(struct report *r)
{
    r->begun_us = loop_now(r->loop);
    on_sweep(&r->sweep);
}

void report_circuit(struct report *r, const char *label, const char *circuit,
                    const uint8_t relay_key[KEY_BYTES])
{
    audit_subject_circuit(&r->subject, circuit, relay_key);
    memcpy(r->before, r->label, sizeof r->before);
    snprintf(r->label, sizeof r->label, "%s", label);
    r->silence_told = false;
}

void report_connected(struct report *r, const struct session *s, const char *relay)
{
    struct log_fields f = log_party_fields(&r->peers, "session_began");
    r->session_begun_us = loop_now(r->loop);
    f.relay = relay;
    caused(r, LOG_INFO, &f, "connected to agent %s through relay %s, circuit %s", r->agent, relay,
           r->label);
    audit_subject_session(&r->subject, view_of(session_id(s), SESSION_ID_BYTES));
    audit_note(r->audit, &f, &r->subject.entry);
    audit_want_head(r->audit);
    r->has_session = true;
}

void report_resumed(struct report *r, const char *relay, uint64_t lost_us)
{
    char time[24];
    struct log_fields f = log_party_fields(&r->peers, "session_resumed");
    f.relay = relay;
    f.resumes = r->before;
    text_duration(time, loop_now(r->loop) - lost_us);
    caused(r, LOG_INFO, &f, "%sresumed after %s, nothing lost: through relay %s, circuit %s",
           r->prefix, time, relay, r->label);
    audit_note(r->audit, &f, &r->subject.entry);
    audit_want_head(r->audit);
}

void report_stalled(struct report *r)
{
    caused(r, LOG_WARNING, NULL, "%sno answer from the agent: opening another circuit", r->prefix);
}

#define NEXT_TRY_BYTES 48

/* "; retrying in 0.7 s", or nothing. */
static const char *next_try(char out[NEXT_TRY_BYTES], uint64_t pause_us)
{
    char when[32];
    text_wait(when, pause_us);
    snprintf(out, NEXT_TRY_BYTES, "; retrying %s", when);
    return pause_us == CLOCK_NEVER ? "" : out;
}

void report_lost(struct report *r, const char *why, uint64_t pause_us)
{
    char when[32] = "";
    struct log_fields f = log_party_fields(&r->peers, "session_lost");
    f.reason = why;
    if (pause_us != CLOCK_NEVER)
        text_wait(when, pause_us);
    caused(r, LOG_WARNING, &f, "%scircuit lost: %s; resuming%s%s", r->prefix, why,
           when[0] ? " " : "", when);
}

void report_failed(struct report *r, enum log_level level, const char *relay, const char *label,
                   const struct wire_error *error, const char *words, uint64_t pause_us)
{
    char next[NEXT_TRY_BYTES];
    struct log_fields f = log_party_fields(&r->peers, label ? "circuit_refused" : "hop_failed");
    f.circuit = label;
    f.relay = relay;
    f.code = error->code;
    f.reason = error->text;
    caused(r, level, &f, "%s%s%s", r->prefix, words, next_try(next, pause_us));
}

void report_refused(struct report *r, const char *circuit, const uint8_t relay_key[KEY_BYTES],
                    bool by_agent, const struct wire_error *error)
{
    char relay[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(relay, relay_key);
    audit_write(r->audit, &(struct audit_entry){.event = "circuit_refused",
                                                .circuit = circuit,
                                                .key = r->subject.key,
                                                .agent = r->agent,
                                                .relay = relay,
                                                .code = error->code,
                                                .reason = error->text,
                                                .by = by_agent ? "agent" : "relay"});
}

void report_silence(struct report *r, const char *who, const char *what, bool had_session)
{
    if (r->silence_told)
        return;
    r->silence_told = true;
    if (had_session)
        log_warning("%s %s; waiting (Ctrl-C ends)", who, what);
    else
        log_warning("%s %s; waiting up to %d s (Ctrl-C ends)", who, what, CONNECT_WAIT_S);
}

void report_waiting(struct report *r, const char *reason, bool gives_code)
{
    struct log_fields f = log_party_fields(&r->peers, "session_asked");
    if (r->waiting_us)
        return;
    r->waiting_us = loop_now(r->loop);
    r->gives_code = gives_code;
    f.reason = reason;
    audit_note(r->audit, &f, &r->subject.entry);
}

/* A warning, which is also seen where another program talks over this one. */
static void report_request(struct report *r, const char *code)
{
    struct log_fields f = log_party_fields(&r->peers, "session_asked");
    bool told = r->request_told && strncmp(r->request, code, sizeof r->request - 1) == 0;
    if (!r->waiting_us || told)
        return;
    r->request_told = true;
    snprintf(r->request, sizeof r->request, "%.*s", (int)sizeof r->request - 1, code);
    f.request = r->request;
    if (r->gives_code)
        caused(r, LOG_WARNING, &f, "giving the emergency code at %s: request %s (Ctrl-C ends)",
               r->agent, r->request);
    else if (code[0])
        caused(r, LOG_WARNING, &f,
               "waiting for approval at %s: request %s; read the code to the customer, who "
               "approves with it (Ctrl-C ends)",
               r->agent, r->request);
    else
        caused(r, LOG_WARNING, &f, "waiting for approval at %s (Ctrl-C ends)", r->agent);
}

static void report_granted(struct report *r, const char *until)
{
    struct log_fields f =
        log_party_fields(&r->peers, r->waiting_us ? "session_granted" : "session_until");
    char after[24], approved[sizeof after + 24] = "";
    text_duration(after, loop_now(r->loop) - r->waiting_us);
    if (r->waiting_us)
        snprintf(approved, sizeof approved, "approved after %s: ", after);
    f.reason = until;
    caused(r, LOG_INFO, &f, "%s%sthe session may last %s%s", r->prefix, approved,
           until[0] ? "until " : "without an end", until);
    if (r->waiting_us) {
        audit_note(r->audit, &f, &r->subject.entry);
        audit_want_head(r->audit);
    }
    r->waiting_us = 0;
}

/* For the status line the time alone, without the rule that stands behind it. */
static void keep_until(struct report *r, const char *text)
{
    size_t len = strcspn(text, ",");
    r->until[0] = '\0';
    if (len > 0)
        snprintf(r->until, sizeof r->until, " until %.*s", (int)len, text);
}

void report_access(struct report *r, const struct access_frame *access)
{
    struct log_fields f = log_party_fields(&r->peers, "session_ends");
    char text[TEXT_MAX_BYTES + 1];
    text_clean(text, sizeof text, access->text);
    f.reason = text;
    if (access->state == ACCESS_GRANTED || access->state == ACCESS_ENDING)
        keep_until(r, text);
    if (access->state == ACCESS_WAITING)
        report_request(r, text);
    else if (access->state == ACCESS_GRANTED)
        report_granted(r, text);
    else if (access->state == ACCESS_ENDING)
        caused(r, LOG_WARNING, &f, "%sthe agent ends the session at %s", r->prefix, text);
}

void report_session_over(struct report *r, const struct session *s, uint64_t pause_us)
{
    char next[NEXT_TRY_BYTES];
    const struct wire_error *e = session_error(s);
    struct session_summary summary = session_summary(s);
    struct log_fields f = log_party_fields(&r->peers, "session_ended");
    f.code = e->code;
    f.reason = e->text;
    f.counted = true;
    f.streams = summary.streams_opened;
    f.bytes_up = summary.bytes_sent;
    f.bytes_down = summary.bytes_received;
    f.duration_us = loop_now(r->loop) - r->session_begun_us;
    caused(r, pause_us == CLOCK_NEVER ? LOG_INFO : LOG_WARNING, &f, "%sthe session has ended: %s%s",
           r->prefix, e->text, next_try(next, pause_us));
}

/* All sessions end here, also those whose end is wanted and has no line. */
static void note_end(struct report *r, const struct session *s)
{
    struct session_summary summary = session_summary(s);
    struct audit_entry e = r->subject.entry;
    if (!r->has_session)
        return;
    r->has_session = false;
    e.event = "session_ended";
    e.counted = true;
    e.bytes_up = summary.bytes_sent;
    e.bytes_down = summary.bytes_received;
    e.duration_ms = (loop_now(r->loop) - r->session_begun_us) / CLOCK_US_PER_MS;
    e.code = session_error(s)->code;
    e.reason = session_error(s)->text;
    e.by = session_state(s) == SESSION_CLOSED ? "agent" : "client";
    audit_write(r->audit, &e);
    audit_want_head(r->audit);
}

void report_add(struct report *r, const struct session *s)
{
    struct session_summary summary = session_summary(s);
    note_end(r, s);
    r->waiting_us = 0;
    r->request[0] = r->until[0] = '\0';
    r->request_told = false;
    r->sent += summary.bytes_sent;
    r->received += summary.bytes_received;
    r->streams += summary.streams_opened;
}

#define STATE_BYTES 256

static void write_state(char text[STATE_BYTES], const struct report *r, const struct session *s,
                        const char *state)
{
    char up[16], down[16], time[24], rtt[24] = "-";
    uint64_t age_us = loop_now(r->loop) - r->begun_us;
    struct session_summary now = {0};
    if (s)
        now = session_summary(s);
    if (now.rtt_us)
        text_round_trip(rtt, now.rtt_us);
    text_bytes(up, r->sent + now.bytes_sent);
    text_bytes(down, r->received + now.bytes_received);
    text_duration(time, age_us / CLOCK_US_PER_S * CLOCK_US_PER_S);
    snprintf(text, STATE_BYTES, "%s: %s%s | round trip %s | %u stream%s | %s up, %s down | %s",
             r->agent, state, r->until, rtt, now.own_open, now.own_open == 1 ? "" : "s", up, down,
             time);
}

static void write_waiting(char text[STATE_BYTES], const struct report *r, const char *state)
{
    char time[24], request[sizeof r->request + 16] = "";
    bool away = strcmp(state, "connected") != 0;
    uint64_t waited_us = loop_now(r->loop) - r->waiting_us;
    text_duration(time, waited_us / CLOCK_US_PER_S * CLOCK_US_PER_S);
    if (r->request[0])
        snprintf(request, sizeof request, ": request %s", r->request);
    snprintf(text, STATE_BYTES, "waiting for approval at %s%s, since %s%s%s", r->agent, request,
             time, away ? " | " : "", away ? state : "");
}

static void write_line(char text[STATE_BYTES], const struct report *r, const struct session *s,
                       const char *state)
{
    if (r->waiting_us)
        write_waiting(text, r, state);
    else
        write_state(text, r, s, state);
}

void report_show(const struct report *r, const struct session *s, const char *state)
{
    char text[STATE_BYTES];
    write_line(text, r, s, state);
    log_status(r->row, text);
}

void report_log(const struct report *r, const struct session *s, const char *state)
{
    char text[STATE_BYTES];
    struct log_fields f = r->fields;
    f.event = "status";
    write_line(text, r, s, state);
    log_event(LOG_INFO, &f, "status: %s", text);
}

static void log_last(const struct report *r, enum log_level level, const struct log_fields *f)
{
    char totals[LOG_TOTALS_BYTES];
    log_fields_totals(totals, f);
    if (r->sent + r->received > 0)
        log_event(level, f, "%sended: %s; %u stream%s, %s", r->prefix, f->reason, r->streams,
                  r->streams == 1 ? "" : "s", totals);
    else
        log_event(level, f, "%sended: %s", r->prefix, f->reason);
}

void report_end(struct report *r, enum failure failure, enum code code, const char *why)
{
    bool wanted = failure == FAILURE_NONE || failure == FAILURE_INTERRUPTED;
    struct log_fields f = r->fields;
    f.event = "client_ended";
    f.code = code;
    f.reason = why;
    f.counted = true;
    f.streams = r->streams;
    f.bytes_up = r->sent;
    f.bytes_down = r->received;
    f.duration_us = loop_refresh_now(r->loop) - r->begun_us;
    timer_cancel(r->loop, &r->sweep);
    log_rates_free(&r->log);
    log_status(r->row, NULL);
    log_last(r, wanted ? LOG_INFO : LOG_ERROR, &f);
}
