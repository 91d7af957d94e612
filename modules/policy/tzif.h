/* Files of the system's zone database: TZif, RFC 8536. */
#ifndef SPX_POLICY_TZIF_H
#define SPX_POLICY_TZIF_H

#include "base/bytes.h"
#include "policy/zone.h"

#define TZIF_MAX_BYTES 65536 /* the largest of the database has 4 KiB */

/* Reads a file's bytes: versions 1 to 4, the last three with the string for the time after the last
 * step. Refused: anything the RFC forbids, and files that count leap seconds ("right/"). Errors,
 * FAILURE_CONFIG (want of memory: FAILURE_OTHER), name no file; nothing is allocated then. The zone
 * is freed by zone_free. */
bool tzif_read(struct zone *out, struct view data, struct error *e);

#endif
