/* Commands to the running agent, over its control socket: `spx agent status` and the like. */
#ifndef SPX_AGENT_CONTROL_COMMAND_H
#define SPX_AGENT_CONTROL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* An order or question, with what its verb takes. */
struct control_order {
    const char *path; /* the socket's */
    const char *verb; /* one of the control socket's, but for "call" */
    bool json;        /* prints the lines of the answer as they came */
    const char *what; /* to end, or the code to approve, or NULL */
    uint32_t number;  /* to deny or withdraw; 0: none */
    const char *why;  /* for the users, of end, deny and lock, or NULL */
    uint32_t for_s;   /* of unlock and approve; 0: without limit, this one alone */
    bool makes_codes; /* so many emergency codes, 0 too */
    uint32_t codes;
    uint32_t last; /* so many entries of the audit; 0: as many as the agent thinks right */
};

/* Asks the agent and prints the answer. A failure is written to standard error. */
enum failure control_command(const struct control_order *order);

#endif
