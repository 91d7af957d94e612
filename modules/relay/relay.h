/* The relay: where clients and agents meet (docs/PROTOCOL.md sections 1 to 4 and 6). */
#ifndef SPX_RELAY_RELAY_H
#define SPX_RELAY_RELAY_H

#include "base/error.h"

/* The applet `spx relay`; returns how it ended, having told why. */
enum failure relay_main(int argc, char **argv);

#endif
