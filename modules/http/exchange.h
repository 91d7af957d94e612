/* A connection of an HTTP server and the request that is answered on it, one after another. */
#ifndef SPX_HTTP_EXCHANGE_H
#define SPX_HTTP_EXCHANGE_H

#include "http/message.h"
#include "net/carrier.h"
#include "net/parting.h"

/* From accepting, or from the first byte of a later request, until it is whole; between two
 * requests; without a byte of the answer being read. */
#define EXCHANGE_READ_S 10
#define EXCHANGE_IDLE_S 60
#define EXCHANGE_SEND_S 20
/* The most that waits to be sent: one who lets more wait falls out. */
#define EXCHANGE_UNSENT_BYTES ((size_t)12 << 20)

struct http_exchange;

/* Whoever asks for this path by this method gets what run answers, now or later. A path that is
 * not known with this method is refused by the module. */
struct http_route {
    const char *method, *path;
    /* A page from elsewhere may lead here: this answers nothing that is not for everybody. */
    bool anywhere;
    void (*run)(struct http_exchange *x);
};

/* All that there is to ask for; outlives the exchanges. */
struct http_site {
    const char *const *hosts;        /* as origin_is_host takes them; others are refused */
    const struct http_route *routes; /* ended by one without a path */
    void *owner;
};

/* ---- For those who answer. ---- */

/* The owner that its site has. */
void *exchange_owner(const struct http_exchange *x);

/* Until the request is answered. */
const struct http_message *exchange_message(const struct http_exchange *x);

/* Who is there has proven something: the connection does not give way to others. */
void exchange_trust(struct http_exchange *x);

/* The whole answer, which is copied. type: of its content, "application/json". */
void exchange_answer(struct http_exchange *x, unsigned status, const char *type,
                     struct view content);

/* An answer in words. */
void exchange_refuse(struct http_exchange *x, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The answer comes later. gone is called, once, if the asker leaves before it is there; the
 * exchange is not used after it. */
void exchange_wait(struct http_exchange *x, void (*gone)(void *state), void *state);

/* Begins an answer that comes piece by piece and has no end but exchange_end, or that the asker
 * leaves, which gone tells. */
void exchange_stream(struct http_exchange *x, const char *type, void (*gone)(void *state),
                     void *state);
void exchange_put(struct http_exchange *x, struct view piece);

/* Bytes that wait to be sent. */
size_t exchange_unsent(const struct http_exchange *x);

/* ---- For the server. ---- */

/* The carrier is the exchange's from now on; it stands on the list `all` until it ends, and frees
 * itself. NULL without memory: the carrier is still the caller's. */
struct http_exchange *exchange_new(struct loop *loop, struct carrier *carrier,
                                   const struct http_site *site, struct partings *partings,
                                   struct list *all);

/* The one that stands at this place of `all`; and true if exchange_trust was called for it. */
struct http_exchange *exchange_at(struct list *place);
bool exchange_is_trusted(const struct http_exchange *x);

/* Ends it at once; what is unsent is lost. */
void exchange_end(struct http_exchange *x);

#endif
