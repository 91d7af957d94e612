/* A session's streams, connections and listeners in the audit, the same at both ends. */
#ifndef SPX_FORWARD_STREAM_AUDIT_H
#define SPX_FORWARD_STREAM_AUDIT_H

#include "audit/audit.h"
#include "session/settings.h"

/* For on_stream: writes the entry. client: this end is; of: the fields of every entry about the
 * session. */
void stream_audit_note(struct audit *a, bool client, uint64_t now_us, const struct audit_entry *of,
                       const struct stream_report *r);

#endif
