/* A text as a stream: what the acceptor itself says on it, and how the opener hears it. */
#ifndef SPX_FORWARD_STATEMENT_H
#define SPX_FORWARD_STATEMENT_H

#include "session/stream.h"

/* The target of a stream on which the agent says what its user may reach (docs/PROTOCOL.md section
 * 5.5, "Questions"). */
#define QUESTION_TARGETS "spx:targets"

/* The same, on which it says which calls for help are its user's now: all that nobody has taken, or
 * with a space and a number behind it the one of this number. */
#define QUESTION_TAKE "spx:take"

/* Acceptor: accepts the stream, says the text on it and ends it; held: not before it is released.
 * text: allocated, the statement's from now on. *here is this statement until it has ended, then
 * NULL. The stream is reset without memory. */
struct statement;
void statement_start(struct stream *stream, char *text, bool held, struct statement **here);
void statement_release(struct statement *t);

/* Opener: the whole answer, or, code not 0, why there is none (its text is clean).
 */
typedef void statement_heard(void *arg, enum reset_code code, const char *text, struct view answer);

/* Asks a question. heard is called once, unless the session ends before. False with errno. */
#define STATEMENT_MAX_BYTES (1U << 20)
bool statement_ask(struct session *s, const char *question, statement_heard *heard, void *arg);

#endif
