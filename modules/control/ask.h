/* The asking side of a control socket: a command that waits for its answer. */
#ifndef SPX_CONTROL_ASK_H
#define SPX_CONTROL_ASK_H

#include "control/request.h"

struct control_question {
    const char *path;    /* of the socket */
    struct view request; /* a line, with its newline */
    unsigned patience_s; /* for each line of the answer; 0: however long it takes */
    /* Takes a line of the answer but the last, as it came (without its newline) and as it was read.
     * False: it has set e, and nothing more is taken. */
    bool (*take)(void *arg, const struct json_object *o, struct view line, struct error *e);
    void *arg;
};

/* Asks. True: text is that of the answer's last line, or "". False: e says why, which may be what
 * the answer said. */
bool control_ask(const struct control_question *q, char text[CONTROL_TEXT_BYTES], struct error *e);

#endif
