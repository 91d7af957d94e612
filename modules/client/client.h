/* The client role: the connection process under the engineer's control. */
#ifndef SPX_CLIENT_CLIENT_H
#define SPX_CLIENT_CLIENT_H

#include "base/error.h"

/* The applet `spx client`; returns how it ended, having told why. */
enum failure client_main(int argc, char **argv);

#endif
