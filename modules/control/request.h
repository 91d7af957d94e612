/* A connection to a control socket, and the request that is in progress on it.
 *
 * A request is one line, a flat JSON object (base/json.h) of at most CONTROL_REQUEST_BYTES with its
 * newline: {"verb":"end","what":"alice"}. Its answer is lines of the verb, and then one more:
 * {"result":"done","text":"..."} or {"result":"failed","code":5,"text":"..."}, where the code is
 * the exit code of README.md. The next request is read after it. */
#ifndef SPX_CONTROL_REQUEST_H
#define SPX_CONTROL_REQUEST_H

#include "base/json.h"
#include "net/loop.h"

#define CONTROL_REQUEST_BYTES 4096
#define CONTROL_LINE_BYTES 8192         /* of an answer, with its newline */
#define CONTROL_TEXT_BYTES 1024         /* of its last line's text */
#define CONTROL_AHEAD_BYTES (16U << 10) /* of an answer that has more, before they are sent */
#define CONTROL_UNSENT_BYTES (256U << 10)
#define CONTROL_IDLE_S 10 /* without a request, or without a byte of the answer being read */

struct control_request;

/* A member that a verb's request may have besides "verb". */
struct control_argument {
    const char *name;
    enum json_kind kind;
    bool required;
};

struct control_verb {
    const char *name;
    const struct control_argument *arguments; /* ended by one without a name; NULL: none */
    /* Answers with the functions below, now or later. Must not free the server. */
    void (*run)(struct control_request *r);
};

/* The line's verb, if its members are that verb's. NULL: e (FAILURE_USAGE) says what is wrong.
 * verbs: ended by one without a name. */
const struct control_verb *control_find_verb(const struct control_verb *verbs,
                                             const struct json_object *line, struct error *e);

/* ---- For verbs. ---- */

/* As it was given to the server. */
void *control_owner(const struct control_request *r);

/* Until the request is answered. */
const struct json_object *control_arguments(const struct control_request *r);

/* The asking process, as the kernel knows it: "root (process 17)", "uid 1000 (process 18)". */
const char *control_caller(const struct control_request *r);

/* One more line of the answer. One that fell out of its memory ends the connection. */
void control_put(struct control_request *r, struct json_line *l);

/* The end of the answer; nothing may be put after it. */
void control_done(struct control_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void control_failed(struct control_request *r, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An answer that takes longer. more: puts some lines, a bounded number, or ends the answer; called
 * again and again as they are sent. NULL: the verb answers when it can. gone: called once, when the
 * answer has ended or its asker has; state and the request are not used after it. */
struct control_work {
    void (*more)(struct control_request *r, void *state);
    void (*gone)(void *state);
};

/* The answer is given by this work from now on, whose first turn comes inside this call. work stays
 * the caller's and outlives the request; state is the work's. */
void control_begin(struct control_request *r, const struct control_work *work, void *state);

/* From now on it has every line of control_server_tell, until its asker closes, its own half too.
 */
void control_watch(struct control_request *r);

/* ---- For the server. ---- */

/* fd is the request's from now on; it stands on the list `all` until it ends, and frees itself.
 * NULL without memory: the fd is still the caller's. */
struct control_request *control_request_new(struct loop *loop, int fd,
                                            const struct control_verb *verbs, void *owner,
                                            struct list *all);

/* Of the one that stands at this place of `all`: itself; the user id of its asker, as the kernel
 * tells it; true if it has what control_server_tell says. */
struct control_request *control_request_at(struct list *place);
uint32_t control_request_uid(const struct control_request *r);
bool control_request_watches(const struct control_request *r);

/* Tells an asker that nothing is read from it, and why; ends it when that is sent. */
void control_refuse(struct control_request *r, const char *why);

/* A whole line, with its newline. */
void control_request_send(struct control_request *r, struct view line);

/* Writes what the socket takes at once, and ends it. */
void control_request_end(struct control_request *r);

#endif
