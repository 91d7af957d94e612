/* Codes that one person reads to another over the telephone. */
#ifndef SPX_AGENT_SPOKEN_CODE_H
#define SPX_AGENT_SPOKEN_CODE_H

#include <stdbool.h>
#include <stdint.h>

#define SPOKEN_SIGNS "23456789FHJKLMQRTWXY"
#define SPOKEN_CODE_SIGNS 4
#define SPOKEN_CODE_BYTES (SPOKEN_CODE_SIGNS + 1) /* of one as a string */
#define SPOKEN_CODES 160000U                      /* that there are: 20 signs in each place */
#define SPOKEN_CODE_KEPT_S 86400                  /* none comes again within this time */

/* Those that were given: a bit for each, in two spans of time. Zeroed: none was. */
struct spoken_codes {
    uint8_t given[2][SPOKEN_CODES / 8];
    unsigned count[2];
    unsigned span;    /* the one that new ones are put into */
    uint64_t span_us; /* when it began */
};

/* One from the system's generator that was not given for SPOKEN_CODE_KEPT_S. False: half of all
 * were. */
bool spoken_code_new(struct spoken_codes *c, char out[SPOKEN_CODE_BYTES], uint64_t now_us);

/* A code as a person types it, in either case, with spaces and hyphens between its signs. False: it
 * cannot be one. */
bool spoken_code_read(char out[SPOKEN_CODE_BYTES], const char *typed);

/* The same for so many signs (out takes one byte more), and so many from the system's generator. */
bool spoken_signs_read(char *out, unsigned count, const char *typed);
void spoken_signs_new(char *out, unsigned count);

#endif
