/* Asking to listen and opening streams for those who connect: the small part of listeners that
 * is not already a stream's. */
#include "session/listen.h"

#include <errno.h>

#include "session/account.h"
#include "session/internal.h"

struct stream *listen_request(struct session *s, const char *address,
                              const struct stream_events *events, void *owner)
{
    if (s->listeners >= s->settings.listeners || s->state != SESSION_ACTIVE) {
        errno = EAGAIN;
        return NULL;
    }
    return stream_new_own(s, true, address, ADDRESS_MAX_BYTES, events, owner);
}

struct stream *stream_open_for(struct stream *listener, const char *peer,
                               const struct stream_events *events, void *owner)
{
    struct session *s = listener->session;
    struct stream *st;
    if (!listener->answered || listener->reset_owed || !session_may_open(s)) {
        errno = EAGAIN;
        return NULL;
    }
    st = stream_new_own(s, false, peer, ADDRESS_MAX_BYTES, events, owner);
    if (st)
        st->listener_id = listener->id;
    return st;
}

void listen_ended_by_peer(struct stream *listener)
{
    const struct stream_events *events = listener->events;
    void *owner = listener->owner;
    account_ended(listener, RESET_NONE, "", true);
    listener->events = NULL;
    stream_kill(listener);
    if (events)
        events->on_done(owner);
}
