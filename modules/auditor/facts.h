/* The facts of one party's audit, as others' can be held against them: circuits, sessions and
 * streams by their names, which are the same at all parties. */
#ifndef SPX_AUDITOR_FACTS_H
#define SPX_AUDITOR_FACTS_H

#include "audit/signed_head.h"
#include "auditor/reading.h"
#include "base/list.h"
#include "base/table.h"

enum fact_kind { FACT_CIRCUIT, FACT_SESSION, FACT_STREAM };

/* A circuit's name, a session's, or "SESSION/NUMBER" of a stream. */
#define FACT_NAME_BYTES 48

struct fact {
    struct table_entry entry;
    struct list link; /* in the order of the file */
    struct fact_name {
        char kind, text[FACT_NAME_BYTES]; /* filled up with zeros */
    } name;
    /* Allocated; NULL: it is not said. */
    char *user_key, *agent, *relay, *session, *target;
    bool opened, refused; /* by the party that answers */
    bool measured, clean; /* its end */
    uint64_t sent, acknowledged, received;
    char *by; /* who ended it, unless it ended cleanly */
};

/* A head of another party's that it has received, and from whom: as far as it says. */
struct told_head {
    struct signed_head head;
    size_t line;
    char agent[65], key[65], relay[65]; /* "": it does not say */
};

/* Who wrote it: the fingerprints of the keys it ran with, as it says itself. */
#define FACT_KEYS_MAX 16

struct testimony {
    const char *path;
    char role[17], agent[65];
    char keys[FACT_KEYS_MAX][65];
    size_t key_count;
    struct list all;
    struct table table;
    struct told_head *heads;
    size_t head_count, head_room;
};

/* False: want of memory, or the file holds entries of several roles, or agents, or none. Otherwise
 * facts_free frees it. */
bool facts_read(struct testimony *f, struct reading *r, struct error *e);
void facts_free(struct testimony *f);

/* The fact of this name; NULL: there is none. */
struct fact *facts_find(const struct testimony *f, const struct fact *like);

/* True if this is a key that the writer has said it ran with. */
bool facts_own_key(const struct testimony *f, const char *fingerprint);

#endif
