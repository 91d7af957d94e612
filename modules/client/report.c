/* A connection's counts, and the lines that show them. */
#include "client/report.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "session/session.h"

void report_add(struct report *r, const struct session *s)
{
    struct session_summary summary = session_summary(s);
    r->sent += summary.bytes_sent;
    r->received += summary.bytes_received;
    r->streams += summary.streams_opened;
}

#define STATE_BYTES 256

static void write_state(char text[STATE_BYTES], const struct report *r, const struct session *s,
                        const char *agent, const char *state, uint64_t now_us)
{
    char up[16], down[16], time[24], rtt[24] = "-";
    struct session_summary now = {0};
    if (s)
        now = session_summary(s);
    if (now.rtt_us)
        text_round_trip(rtt, now.rtt_us);
    text_bytes(up, r->sent + now.bytes_sent);
    text_bytes(down, r->received + now.bytes_received);
    text_duration(time, (now_us - r->begun_us) / CLOCK_US_PER_S * CLOCK_US_PER_S);
    snprintf(text, STATE_BYTES, "%s: %s | round trip %s | %u stream%s | %s up, %s down | %s", agent,
             state, rtt, now.own_open, now.own_open == 1 ? "" : "s", up, down, time);
}

void report_show(const struct report *r, const struct session *s, const char *agent,
                 const char *state, uint64_t now_us)
{
    char text[STATE_BYTES];
    write_state(text, r, s, agent, state, now_us);
    log_status(r->row, text);
}

void report_log(const struct report *r, const struct session *s, const char *agent,
                const char *state, uint64_t now_us)
{
    char text[STATE_BYTES];
    struct log_fields f = *r->fields;
    f.event = "status";
    write_state(text, r, s, agent, state, now_us);
    log_event(LOG_INFO, &f, "status: %s", text);
}

void report_end(const struct report *r, enum failure failure, const char *why, uint64_t now_us)
{
    char totals[LOG_TOTALS_BYTES];
    bool wanted = failure == FAILURE_NONE || failure == FAILURE_INTERRUPTED;
    enum log_level level = wanted ? LOG_INFO : LOG_ERROR;
    struct log_fields f = *r->fields;
    f.event = "client_ended";
    f.reason = why;
    f.counted = true;
    f.streams = r->streams;
    f.bytes_up = r->sent;
    f.bytes_down = r->received;
    f.duration_us = now_us - r->begun_us;
    log_fields_totals(totals, &f);
    log_status(r->row, NULL);
    if (r->sent + r->received > 0)
        log_event(level, &f, "%sended: %s; %u stream%s, %s", r->prefix, why, r->streams,
                  r->streams == 1 ? "" : "s", totals);
    else
        log_event(level, &f, "%sended: %s", r->prefix, why);
}
