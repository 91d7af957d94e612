/* Entries that are made of what the log is told, with what only the audit has. */
#ifndef SPX_AUDIT_NOTE_H
#define SPX_AUDIT_NOTE_H

#include "audit/audit.h"
#include "base/log.h"
#include "crypto/circuit_label.h"
#include "crypto/keys.h"

/* Writes an entry with the log's event, user, key, agent, address, target, stream, severity,
 * counts, code and reason, but for what `more` has, and all else that `more` has. Returns as
 * audit_write. */
uint64_t audit_note(struct audit *a, const struct log_fields *f, const struct audit_entry *more);

/* A reload: logs and writes what has become of a user ("added"). */
void audit_note_user(struct audit *a, const char *user, const uint8_t key[KEY_BYTES],
                     const char *what);

/* The first and the last entry of a program: its own key, and why it ends. */
void audit_started(struct audit *a, const uint8_t own_key[KEY_BYTES]);
void audit_ended(struct audit *a, const char *why);

/* Whose a session is, and what carries it: part of all entries about it. It stays where it is. */
struct audit_subject {
    char session[HASH_NAME_BYTES], circuit[HASH_NAME_BYTES];
    char key[FINGERPRINT_TEXT_BYTES], relay[FINGERPRINT_TEXT_BYTES];
    struct audit_entry entry; /* with those */
};

/* user: or NULL; both names outlive it. The session's name is the hash of its id. */
void audit_subject_init(struct audit_subject *s, const char *user, const char *agent,
                        const uint8_t user_key[KEY_BYTES]);
void audit_subject_session(struct audit_subject *s, struct view session_id);
void audit_subject_circuit(struct audit_subject *s, const char *circuit,
                           const uint8_t relay_key[KEY_BYTES]);

#endif
