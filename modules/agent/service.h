/* One session the agent serves, from the OFFER to its end. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/server.h"
#include "session/link.h"

struct service;

/* What becomes of an OFFER. */
struct offer_answer {
    enum code code; /* CODE_OK: service is there, waiting for its circuit */
    char text[200];
    struct service *service;
    uint8_t message2[SESSION_MESSAGE2_MAX];
    size_t message2_len; /* 0: session message 1 was not for this agent */
};

/* Decides over an OFFER: the key that session message 1 proves, the name asked for, the limits (docs/PROTOCOL.md sections 4 to 6). Logs the
 * decision. */
void service_offer(struct agent *a, const struct offer *offer, struct offer_answer *answer);

/* Gives the service its circuit; takes over fd and unsent. */
void service_attach(struct service *service, int fd, struct fifo *unsent, struct view rest);

/* The circuit did not come about. */
void service_drop(struct service *service);

/* Holds every session against the configuration as it is now. */
void service_check_all(struct agent *a);

/* Owes every session a CLOSE. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends what is left, at once. */
void service_end_all(struct agent *a);

#endif
