/* The sessions the agent serves, each from its first OFFER to its end, over one circuit after the
 * other. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/server.h"
#include "session/link.h"

/* A circuit on its way to a session: accepted, waiting for its socket. Whoever has it gives it back
 * once, with service_attach or service_drop, also when its session has ended meanwhile. */
struct service_circuit;

/* What becomes of an OFFER. */
struct offer_answer {
    enum code code; /* CODE_OK: circuit is there, waiting for its socket */
    char text[200];
    struct service_circuit *circuit;
    uint8_t message2[SESSION_MESSAGE2_MAX];
    size_t message2_len; /* 0: session message 1 was not for this agent */
};

/* Decides over an OFFER: the key that session message 1 proves, the name asked for, the limits
 * (docs/PROTOCOL.md sections 4 to 6). Logs the decision. */
void service_offer(struct agent *a, const struct offer *offer, struct offer_answer *answer);

/* Gives the circuit its socket; takes over fd and unsent. */
void service_attach(struct service_circuit *circuit, int fd, struct fifo *unsent, struct view rest);

/* The circuit did not come about. */
void service_drop(struct service_circuit *circuit);

/* Holds every session against the configuration as it is now. */
void service_check_all(struct agent *a);

/* Owes every session a CLOSE. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends what is left, at once, and forgets what has ended. */
void service_end_all(struct agent *a);

#endif
