/* The agent role: the service process on or beside the storage system's service processor. */
#ifndef SPX_AGENT_AGENT_H
#define SPX_AGENT_AGENT_H

#include "base/error.h"

/* The applet `spx agent`; returns how it ended, having told why. */
enum failure agent_main(int argc, char **argv);

#endif
