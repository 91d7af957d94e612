/* The client's own file of agents' keys, kept after the first use was confirmed: "NAME KEY" lines,
 * # comments. */
#ifndef SPX_CONFIG_KNOWN_AGENTS_H
#define SPX_CONFIG_KNOWN_AGENTS_H

#include "base/error.h"
#include "crypto/keys.h"

/* Looks the name up; *line: where it was found, 0: nowhere. A missing file holds nobody. False: the
 * file is not right ("FILE:LINE: …", FAILURE_CONFIG; the name twice is an error too). */
bool known_agents_find(const char *path, const char *name, uint8_t key[KEY_BYTES], unsigned *line,
                       struct error *e);

/* Calls found with each name in the file. False as known_agents_find. */
bool known_agents_names(const char *path, void (*found)(void *arg, const char *name), void *arg,
                        struct error *e);

/* Adds a line; the directory is made (0700) if it is missing. False: e says why
 * (FAILURE_OTHER). */
bool known_agents_add(const char *path, const char *name, const uint8_t key[KEY_BYTES],
                      struct error *e);

#endif
