/* Exit codes of every applet. */
#ifndef SPX_BASE_EXITS_H
#define SPX_BASE_EXITS_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_CONFIG = 3,
    EXIT_NOT_AUTHENTICATED = 4,
    EXIT_DENIED = 5,
    EXIT_NO_AGENT = 6,
    EXIT_NETWORK = 7,
    EXIT_TIMED_OUT = 8,
    EXIT_INTERRUPTED = 130,
};

#endif
