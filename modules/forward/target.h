/* The acceptor's side of streams: policy, connecting, handing the connection to an endpoint. */
#ifndef SPX_FORWARD_TARGET_H
#define SPX_FORWARD_TARGET_H

#include "base/log_rates.h"
#include "config/values.h"
#include "net/turns.h"
#include "session/stream.h"

#define NOT_PERMITTED_TEXT "not permitted by this agent's configuration"

/* The connects of one session. */
struct targets;

/* label: put before log lines ("circuit 1a2b3c4d: alice"), copied. by: whose lines they are. The
 * patterns are the caller's and may change with targets_set_policy. Connecting and what a change
 * causes take these turns; NULL: connecting takes none, and nothing changes. NULL without memory.
 */
struct targets *targets_new(struct loop *loop, struct turns *turns, const char *label,
                            const struct log_party *by, const struct target_pattern *allow,
                            size_t allow_count);

/* Others hold from now on: streams to targets that they do not allow are reset, in turns, since
 * there may be thousands. */
void targets_set_policy(struct targets *t, const struct target_pattern *allow, size_t allow_count);

/* Targets at an address for which forbidden says true are refused, whatever the policy allows. */
void targets_forbid(struct targets *t, bool (*forbidden)(void *arg, const struct address *address),
                    void *arg);

/* A newer circuit carries the session. */
void targets_set_label(struct targets *t, const char *label);

/* For session_events.on_open: checks the policy, connects (at most CONNECTS_IN_PROGRESS at once,
 * more wait in order), answers. */
void targets_open(struct targets *t, struct stream *stream, struct view target);

/* The same for a target of this side's own configuration, which no policy checks. */
void targets_connect(struct targets *t, struct stream *stream, const struct target *target);

/* A stream that has its target, as it stands; valid during the call. */
struct target_facts {
    uint32_t number; /* from 1, in the order in which they were connected */
    const char *target;
    const struct address *at;
    uint32_t stream;
    uint64_t begun_us;
    struct traffic traffic;
};

/* Tells of those whose number is above `after`, in their order, until tell returns false. True: it
 * told of the last. */
bool targets_tell(const struct targets *t, uint32_t after,
                  bool (*tell)(void *arg, const struct target_facts *f), void *arg);

/* After the session's streams have ended. */
void targets_free(struct targets *t);

#endif
