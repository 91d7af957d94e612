/* Permits: what an authority has signed for a user (docs/PROTOCOL.md section 7). Bytes and fields
 * alone: no clock, no files. */
#ifndef SPX_PERMIT_PERMIT_H
#define SPX_PERMIT_PERMIT_H

#include "base/error.h"
#include "crypto/sign.h"
#include "wire/limits.h"
#include "wire/reader.h"

#define PERMIT_ID_BYTES 16
#define PERMIT_ID_TEXT_BYTES (2 * PERMIT_ID_BYTES + 1)
#define PERMIT_SALT_BYTES 16
#define PERMIT_ITEMS_MAX 32 /* patterns of agents, their keys, targets, places to listen */
#define PERMIT_TIME_MAX_S ((uint64_t)1 << 40)
#define PERMIT_SESSION_MAX_S (366U * 86400)

/* Strings, or keys, in their order. */
struct permit_list {
    size_t count;
    struct view items[PERMIT_ITEMS_MAX];
};

/* The outer part, which a relay may read. Times are seconds since 1970. */
struct permit_outer {
    uint8_t authority[HASH_BYTES]; /* SHA-256 of its public key */
    struct view user;              /* a name */
    uint8_t user_key[KEY_BYTES];
    uint64_t issued_s, from_s, until_s; /* issued_s <= from_s < until_s */
    struct view scope;                  /* a name: whose agents; empty: only agents by their keys */
    struct permit_list patterns;        /* of the names of agents of that scope */
    struct permit_list keys;            /* of agents, each KEY_BYTES */
    uint8_t inner_hash[HASH_BYTES];
};

/* The inner part, which is for the agent alone. */
struct permit_inner {
    uint8_t salt[PERMIT_SALT_BYTES];  /* nobody finds the rest by trying it against the hash */
    uint32_t longest_s;               /* of a session; 0: the permit sets no limit */
    struct view reason;               /* text, not clean; may be empty */
    struct permit_list allow, listen; /* patterns as agent.conf has them, not checked */
};

struct permit {
    struct permit_outer outer;
    struct permit_inner inner;
    bool has_inner;
    struct view outer_bytes; /* what is signed */
    struct view signature;   /* SIGNATURE_BYTES */
};

/* Reads a permit; with_inner: as a file and session payload 1 have it, else as HELLO has it. Views
 * point into the bytes. False, FAILURE_CONFIG: it is not in its one spelling, or something in it
 * must be understood and is not, or the inner part is not that of the outer. The signature is not
 * looked at, and nothing here is to be believed before that. */
bool permit_decode(struct permit *p, struct view bytes, bool with_inner, struct error *e);

/* The outer part with its signature, for HELLO: the beginning of an encoded permit. */
struct view permit_for_relay(struct view bytes);

/* Signs a permit of these fields, but for authority and hash, which are set here; the salt is the
 * caller's, from the system's generator. Returns its length; 0, FAILURE_USAGE: it would be too long
 * or a field is out of its bounds. */
size_t permit_issue(uint8_t out[PERMIT_MAX_BYTES], struct permit *p, const struct sign_key *key,
                    struct error *e);

/* True if this authority has signed it; about a millisecond. */
bool permit_is_signed_by(const struct permit *p, const uint8_t authority[SIGN_PUBLIC_BYTES]);

/* How a permit names an authority. */
void permit_authority_hash(uint8_t out[HASH_BYTES], const uint8_t authority[SIGN_PUBLIC_BYTES]);

/* Its id, by which logs and revocations name it: the hash of what is signed, cut. */
void permit_id(uint8_t out[PERMIT_ID_BYTES], const struct permit *p);
void permit_id_text(char out[PERMIT_ID_TEXT_BYTES], const struct permit *p);

/* One more item. False: there are PERMIT_ITEMS_MAX. */
bool permit_list_add(struct permit_list *list, struct view item);

/* True if it is a pattern of names: 1 to 64 of a-z 0-9 . _ - * ? */
bool permit_pattern_valid(struct view pattern);

#endif
