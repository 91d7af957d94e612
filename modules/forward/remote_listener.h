/* The agent's side of -R: sockets on which it listens because a client asks for it. */
#ifndef SPX_FORWARD_REMOTE_LISTENER_H
#define SPX_FORWARD_REMOTE_LISTENER_H

#include "base/log_rates.h"
#include "config/values.h"
#include "net/loop.h"
#include "session/listen.h"

/* The listeners of one session. */
struct remote_listeners;

/* label: put before log lines, copied. by: whose lines they are. allow: where the user may listen
 * (value_listen_pattern), the caller's. NULL without memory. */
struct remote_listeners *remote_listeners_new(struct loop *loop, const char *label,
                                              const struct log_party *by,
                                              const struct target_pattern *allow,
                                              size_t allow_count, unsigned most);

/* Others hold from now on: listeners where they do not allow it end, with their connections. Of
 * more than `most` listeners none ends. */
void remote_listeners_set_policy(struct remote_listeners *r, const struct target_pattern *allow,
                                 size_t allow_count, unsigned most);

/* Addresses for which forbidden says true are refused, whatever is permitted. */
void remote_listeners_forbid(struct remote_listeners *r,
                             bool (*forbidden)(void *arg, const struct address *address),
                             void *arg);

/* An address is in use: has whoever listened there given way? If not, why is set if it is known who
 * that is. */
typedef bool remote_listeners_taken(void *arg, const struct address *address, struct error *why);
void remote_listeners_on_taken(struct remote_listeners *r, remote_listeners_taken *taken,
                               void *arg);

/* A connection for which may_connect says false is reset. */
void remote_listeners_gate(struct remote_listeners *r, bool (*may_connect)(void *arg), void *arg);

/* True if one of them keeps others from listening on the address; with port 0, on any port. */
bool remote_listeners_hold(const struct remote_listeners *r, const struct address *address);

/* Ends those, which the client is told. */
void remote_listeners_give_way(struct remote_listeners *r, const struct address *address);

/* A newer circuit carries the session. */
void remote_listeners_set_label(struct remote_listeners *r, const char *label);

/* For session_events.on_listen: checks the permission, listens, answers. Port 0: one that the
 * system chooses where that is permitted, else the first permitted one that is free. */
void remote_listeners_add(struct remote_listeners *r, struct stream *listener, struct view address);

/* Connections are accepted again: the session has a circuit (without one they wait in the kernel),
 * or may open streams. */
void remote_listeners_resume(struct remote_listeners *r);

/* A connection to one of them, as it stands; valid during the call. */
struct connection_facts {
    uint32_t number; /* from 1, in the order in which they came */
    const struct address *listener;
    const char *peer;
    uint64_t begun_us;
    struct traffic traffic;
};

/* Tells of those whose number is above `after`, in their order, until tell returns false. True: it
 * told of the last. */
bool remote_listeners_tell(const struct remote_listeners *r, uint32_t after,
                           bool (*tell)(void *arg, const struct connection_facts *f), void *arg);

/* After the session's streams have ended. */
void remote_listeners_free(struct remote_listeners *r);

#endif
