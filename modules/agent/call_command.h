/* `spx agent call`: a call for help, handed to the running agent. */
#ifndef SPX_AGENT_CALL_COMMAND_H
#define SPX_AGENT_CALL_COMMAND_H

#include <stdbool.h>

#include "base/error.h"

/* Sends a call for help to the agent with this socket, and says what became of it. Severity 0 ends
 * calls: text is then a number or empty. json: as an object. A failure is written to standard
 * error. */
enum failure call_send(const char *path, unsigned severity, const char *text, bool json);

#endif
