/* Commands to the running agent, over its control socket: `spx agent status` and the like. */
#ifndef SPX_AGENT_CONTROL_COMMAND_H
#define SPX_AGENT_CONTROL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Each asks the agent with this socket and prints the answer, json: its lines as they came. A
 * failure is written to standard error. */
enum failure control_command_status(const char *path, bool json);
enum failure control_command_sessions(const char *path, bool json);
enum failure control_command_watch(const char *path, bool json);

/* for_s: 0: without limit. */
enum failure control_command_unlock(const char *path, bool json, uint32_t for_s);

/* why: for the users, or NULL. */
enum failure control_command_lock(const char *path, bool json, const char *why);
enum failure control_command_end(const char *path, bool json, const char *what, const char *why);

#endif
