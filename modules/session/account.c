/* Bytes that the peer is known to have are told by positions of the session, not by stream: one
 * mark at a time waits in a stream's bytes until the peer has acknowledged it. So what is told as
 * acknowledged is never more than the peer has, and all of it once the stream's last byte is. */
#include "session/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "session/internal.h"

struct account {
    uint64_t sent, received;
    uint64_t last_position;             /* of the session, behind the last byte */
    uint64_t mark_position, mark_bytes; /* the mark: there, so many of the stream's were sent */
    uint64_t acknowledged;
    uint64_t stamp; /* the owner's */
    bool ended;
    char target[];
};

bool account_begin(struct stream *st, struct view target)
{
    size_t size = target.len < TARGET_MAX_BYTES ? target.len + 1 : TARGET_MAX_BYTES + 1;
    if (!st->session->events->on_stream)
        return true;
    st->account = calloc(1, sizeof *st->account + size);
    if (!st->account)
        return false;
    text_clean(st->account->target, size, target);
    return true;
}

void account_free(struct stream *st)
{
    free(st->account);
    st->account = NULL;
}

static void pass_mark(const struct stream *st)
{
    struct account *a = st->account;
    uint64_t has = st->session->peer_position;
    if (a->mark_bytes && has >= a->mark_position) {
        a->acknowledged = a->mark_bytes;
        a->mark_bytes = 0;
    }
    if (a->last_position && has >= a->last_position)
        a->acknowledged = a->sent;
}

void account_sent(struct stream *st, size_t bytes)
{
    struct account *a = st->account;
    if (!a)
        return;
    if (!st->datagrams)
        pass_mark(st);
    a->sent += bytes;
    if (st->datagrams)
        return;
    a->last_position = st->session->ring.head;
    if (a->mark_bytes)
        return;
    a->mark_bytes = a->sent;
    a->mark_position = a->last_position;
}

void account_received(struct stream *st, size_t bytes)
{
    if (st->account)
        st->account->received += bytes;
}

static struct stream_report report_of(struct stream *st, enum stream_step step)
{
    struct account *a = st->account;
    pass_mark(st);
    return (struct stream_report){.step = step,
                                  .id = st->id,
                                  .own = st->own,
                                  .listener = st->listener,
                                  .target = a->target,
                                  .sent = a->sent,
                                  .acknowledged = a->acknowledged,
                                  .received = a->received,
                                  .stamp = &a->stamp};
}

void account_opened(struct stream *st, struct view address)
{
    char text[ADDRESS_MAX_BYTES + 1];
    struct stream_report report;
    if (!st->account || st->account->ended)
        return;
    text_clean(text, sizeof text, address);
    report = report_of(st, STREAM_OPENED);
    report.address = text;
    st->session->events->on_stream(st->session, &report);
}

/* The peer knows nothing of a stream that has no number yet. */
void account_ended(struct stream *st, enum reset_code code, const char *text, bool by_peer)
{
    struct stream_report report;
    if (!st->account || st->account->ended || !st->id)
        return;
    st->account->ended = true;
    report = report_of(st, st->answered ? STREAM_ENDED : STREAM_REFUSED);
    report.code = code;
    report.text = text;
    report.by_peer = by_peer;
    st->session->events->on_stream(st->session, &report);
}
