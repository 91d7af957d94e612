/* Emergency codes: a list made beforehand, each of whose codes stands once in place of an approval
 * (docs/PROTOCOL.md section 5.10). Of the codes only hashes are kept. Does no I/O. */
#ifndef SPX_AGENT_EMERGENCY_H
#define SPX_AGENT_EMERGENCY_H

#include "agent/spoken_code.h"
#include "base/error.h"
#include "crypto/primitives.h"
#include "wire/limits.h"

#define EMERGENCY_CODES_MAX 20
/* "7F3K-QW92-XHJL-M4R5": 69 bits, which nobody finds by trying, here or with the hashes in hand. */
#define EMERGENCY_SIGNS 16
#define EMERGENCY_TEXT_BYTES 20 /* with the terminator */
#define EMERGENCY_BY_BYTES 64
#define EMERGENCY_SALT_BYTES 16
#define EMERGENCY_FILE_MAX_BYTES 16384

struct emergency_code {
    uint8_t hash[HASH_BYTES];
    uint64_t used_s;            /* seconds since 1970; 0: it is left */
    char user[NAME_TEXT_BYTES]; /* who used it; "": nobody */
};

/* Zeroed: there is no list. Each code has a number, its place, from 1 on. */
struct emergency_list {
    uint64_t made_s;             /* seconds since 1970; 0: never */
    char by[EMERGENCY_BY_BYTES]; /* who had it made */
    uint8_t salt[EMERGENCY_SALT_BYTES];
    struct emergency_code all[EMERGENCY_CODES_MAX];
    size_t count;
};

/* A new list in place of what there was, of count codes, at most EMERGENCY_CODES_MAX; texts, as
 * many, are the codes, the caller's to show once and to wipe. */
void emergency_make(struct emergency_list *l, size_t count, const char *by, uint64_t now_s,
                    char texts[][EMERGENCY_TEXT_BYTES]);

/* How many are left. */
size_t emergency_left(const struct emergency_list *l);

/* Takes a code as a person typed it: it is used from now on. Returns its number; 0: e
 * (FAILURE_DENIED) says why it cannot be taken. Takes the same time for every code. */
unsigned emergency_take(struct emergency_list *l, const char *typed, const char *user,
                        uint64_t now_s, struct error *e);

/* The list as its file has it, allocated; NULL without memory. */
char *emergency_to_text(const struct emergency_list *l);

/* False: it is no such file, or of a later release; e says so, and the list is empty. */
bool emergency_from_text(struct emergency_list *l, const char *text, struct error *e);

/* ---- Those who try. ---- */

#define EMERGENCY_TRIES 3     /* wrong ones of a key */
#define EMERGENCY_PAUSE_S 900 /* and then nothing is looked at for so long */
#define EMERGENCY_TRIERS 64

struct emergency_trier {
    uint8_t user_key[KEY_BYTES];
    unsigned wrong;
    uint64_t until_us; /* when they are forgotten */
};

/* Zeroed: nobody has. Of more than EMERGENCY_TRIERS who have lately the one is forgotten whose time
 * is over first. */
struct emergency_tries {
    struct emergency_trier all[EMERGENCY_TRIERS];
};

/* True if this key may try one. False: e (FAILURE_DENIED) says for how long it may not. */
bool emergency_may_try(const struct emergency_tries *t, const uint8_t user_key[KEY_BYTES],
                       uint64_t now_us, struct error *e);

/* It tried a wrong one. */
void emergency_tried(struct emergency_tries *t, const uint8_t user_key[KEY_BYTES], uint64_t now_us);

#endif
