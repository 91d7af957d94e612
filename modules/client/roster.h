/* The relays' words about agents, merged as if they were one relay. Data alone. */
#ifndef SPX_CLIENT_ROSTER_H
#define SPX_CLIENT_ROSTER_H

#include <stddef.h>
#include <stdint.h>

#include "config/values.h"
#include "crypto/keys.h"
#include "wire/messages.h"

/* An agent as one relay has told it last; texts are clean. */
struct sighting {
    size_t relay;
    bool lost;               /* the relay has been lost since */
    uint8_t state, severity; /* severity: of its gravest call, 0: none */
    uint64_t since_us;       /* in this state */
    uint8_t public_key[KEY_BYTES];
    char name[NAME_TEXT_BYTES];
    char *labels;
    uint8_t *calls; /* as told_calls_decode takes them, not cleaned; NULL: none */
    size_t calls_len;
    uint8_t vouch[VOUCH_MAX_BYTES]; /* an authority's statement, not decoded */
    size_t vouch_len;
    uint64_t heard_us; /* when it was told */
    uint64_t told;     /* the caller's: what it has said of this agent; 0: nothing */
};

/* Invariant: sorted by name, then by relay; one of each pair. */
struct roster {
    struct sighting **all;
    size_t count, bytes;
};

/* Takes an AGENT. NULL without memory or when ROSTER_BYTES_MAX are kept; otherwise where the agent
 * of this name begins in all. */
#define ROSTER_BYTES_MAX ((size_t)128 << 20)
struct sighting *roster_put(struct roster *r, size_t relay, const struct agent_entry *entry,
                            uint64_t now_us);

/* The relay was lost: what it said counts only where no other relay says anything. */
void roster_lose(struct roster *r, size_t relay);

/* The relay has said all again: what it did not is unlisted there since now, and what was unlisted
 * before is removed. */
void roster_renew(struct roster *r, size_t relay, uint64_t now_us);

/* True if the relay has told of an agent of this name. */
bool roster_knows(const struct roster *r, size_t relay, struct view name);

/* The number of sightings of the agent that begins at this place: the next agent begins behind
 * them. */
size_t roster_agent_span(const struct roster *r, size_t at);

/* Together they say: the state in which it can best be reached, and its calls: as a relay has them
 * where it is online, as it owns them; otherwise those of the relay that knows the gravest. What is
 * pointed to is the roster's. */
struct sighting roster_merge(const struct roster *r, size_t at);

/* Its calls with their ages now; the views point into the sighting. */
void sighting_calls(const struct sighting *s, struct told_calls *calls, uint64_t now_us);

/* The place of the agent of this name, or of the next one. */
size_t roster_find(const struct roster *r, const char *name);

/* Frees all sightings; the roster is empty then, as a zeroed one is. */
void roster_free(struct roster *r);

#endif
