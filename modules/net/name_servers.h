/* Questions to the name servers of /etc/resolv.conf: c-ares on the loop. */
#ifndef SPX_NET_NAME_SERVERS_H
#define SPX_NET_NAME_SERVERS_H

#include "net/address.h"
#include "net/loop.h"

/* The questions of one look-up. */
struct name_servers;

enum answer_kind {
    ANSWER_AWAITED,
    ANSWER_ADDRESSES,
    ANSWER_NO_ADDRESS, /* the name is there, but has none of this family */
    ANSWER_NO_NAME,
    ANSWER_FAILURE, /* the servers cannot or will not answer, or what they say makes no sense */
    ANSWER_TIMED_OUT,
    ANSWER_NO_MEMORY,
};

#define ANSWER_ADDRESSES_MAX 8 /* more are left out */

struct name_answer {
    enum answer_kind kind;
    unsigned count;
    struct address addresses[ANSWER_ADDRESSES_MAX]; /* with port 0 */
};

/* The two questions about a name, in the order in which they are sent. */
enum question_family { QUESTION_IPV6, QUESTION_IPV4, QUESTION_FAMILIES };

/* Looks whether /etc/resolv.conf has changed, and sends nothing yet. kept_low: no descriptor of
 * those kept for carriers is taken. on_answer(arg) is called by the loop, never inside a function
 * of this file, when answers have come; it may free the name_servers. NULL without memory. */
struct name_servers *name_servers_new(struct loop *loop, bool kept_low,
                                      void (*on_answer)(void *arg), void *arg);

/* Asks for the addresses of both families, each for itself, beside each other, of exactly this
 * name; earlier answers are forgotten. A server that is silent for half a second is asked again
 * after the others have been, four times in all; a truncated answer is asked for again over TCP. */
void name_servers_ask(struct name_servers *ns, const char *name);

/* The answer for one family, as far as it is known; valid until the next question. */
const struct name_answer *name_servers_answer(const struct name_servers *ns,
                                              enum question_family family);

/* The n-th name that a name may stand for (resolv.conf's search and ndots) and that is not too
 * long, in out; n is moved on. False: there are no more. */
#define FULL_NAME_BYTES 256
bool name_servers_search(char out[FULL_NAME_BYTES], const struct name_servers *ns, const char *name,
                         unsigned *n);

/* At any time but inside of a function of this file; NULL is harmless. */
void name_servers_free(struct name_servers *ns);

#endif
