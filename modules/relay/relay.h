/* The relay: where clients and agents meet (docs/PROTOCOL.md sections 1 to 4 and 6). */
#ifndef SPX_RELAY_RELAY_H
#define SPX_RELAY_RELAY_H

/* The applet: `relay [-c FILE] [--check] [-v] [--json]`. Returns an exit code of base/exits.h. */
int relay_main(int argc, char **argv);

#endif
