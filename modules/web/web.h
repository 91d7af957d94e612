/* A role's page: a process without privileges between a browser on this machine and the role's
 * control socket. */
#ifndef SPX_WEB_WEB_H
#define SPX_WEB_WEB_H

#include <stdbool.h>

#include "base/error.h"

struct web_settings {
    const char *socket; /* the control socket's path */
    const char *listen; /* a loopback address with a port, or the path of a socket; NULL: 127.0.0.1
                           and a port that is free */
    bool json, verbose;
};

/* Checks listen. False: e says what is wrong. */
bool web_check(const struct web_settings *settings, struct error *e);

/* Serves until it is told to end. Nothing secret may be in the process's memory. */
enum failure web_run(const struct web_settings *settings);

#endif
