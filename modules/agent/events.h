/* The agent's events for OnEvent: each is told to the configured program (events/teller.h). */
#ifndef SPX_AGENT_EVENTS_H
#define SPX_AGENT_EVENTS_H

#include "agent/state.h"
#include "audit/entry.h"
#include "base/error.h"
#include "base/log.h"

/* The names that programs know them by stand in events.c and spx-agent.conf(5). */
enum event_kind { EVENT_REQUEST, EVENT_GRANTED, EVENT_ENDED, EVENT_LOCK, EVENT_AUDIT_FAILURE };

/* Begins, while the process may start others: tells the configuration's program from now on, if it
 * has one. False: it cannot, e says why. */
bool events_begin(struct agent *a, struct error *e);

/* Events that wait are still told. */
void events_end(struct agent *a);

/* Tells of an event: the fields that the log has of it, the session and the decider that the audit
 * has, and a text for people. user_key: of the user who can cause many of them; NULL: nobody can.
 */
void event_tell(struct agent *a, enum event_kind kind, const uint8_t *user_key,
                const struct log_fields *f, const struct audit_entry *more, const char *text);

#endif
