/* Who may use the page: a token, which goes once and soon into the page's address, and the bearers
 * that pages get for it. Told the time; no I/O. */
#ifndef SPX_WEB_PASSES_H
#define SPX_WEB_PASSES_H

#include <stdbool.h>
#include <stdint.h>

#define PASS_BYTES 33     /* of a token or bearer as text: 128 bits of the system's generator */
#define TOKEN_S 60        /* a token is good */
#define BEARER_S 43200    /* a bearer at most */
#define BEARER_IDLE_S 900 /* without a request */
#define BEARERS_MAX 8     /* one more takes the place of the one that was used least recently */

/* Zeroed: nobody has one. */
struct passes {
    char token[PASS_BYTES]; /* "": none */
    uint64_t token_until_us;
    struct bearer {
        char text[PASS_BYTES]; /* "": none */
        uint64_t until_us, idle_until_us;
    } bearers[BEARERS_MAX];
};

/* Makes a token; the one before is good no longer. */
void passes_issue(struct passes *p, uint64_t now_us, char token[PASS_BYTES]);

/* True if it is the token; then it is good no longer, and there is a bearer. */
bool passes_redeem(struct passes *p, uint64_t now_us, const char *token, char bearer[PASS_BYTES]);

/* True if it is a bearer, which has been used now. */
bool passes_admit(struct passes *p, uint64_t now_us, const char *bearer);

/* The bearer is good no longer. */
void passes_end(struct passes *p, const char *bearer);

#endif
