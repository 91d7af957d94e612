/* The CLOSE of a session that this side has ended because of a fault of the peer's. */
#include "session/internal.h"

#include "base/text.h"
#include "session/circuit.h"

/* CLOSE takes the place of what was encoded and not sent. Where the circuit has not brought again
 * all that earlier ones carried that place is the peer's already, and nothing can be said. */
static bool has_place(const struct circuit *c)
{
    const struct session *s = c->session;
    return s->circuit == c && s->resend == s->sent_max && c->tx_start == c->tx_len;
}

static size_t encode_close(const struct session *s, uint8_t *out)
{
    char text[sizeof s->close_text];
    size_t text_len = text_clean(text, sizeof text, view_of_string(s->error.text));
    struct close_frame close = {.code = s->error.code, .text = view_of(text, text_len)};
    size_t len = close_encode(&close, out + FRAME_HEADER_BYTES, sizeof text + 8);
    frame_header(out, FRAME_CLOSE, 0, len);
    return FRAME_HEADER_BYTES + len;
}

void session_put_farewell(struct circuit *c)
{
    struct session *s = c->session;
    uint8_t *plain = c->tx + 2;
    size_t n = 0;
    if (!s || !s->farewell_owed || !has_place(c))
        return;
    s->farewell_owed = false;
    if (c->start_owed) {
        frame_header(plain, FRAME_START, 0, 8);
        store_be64(plain + FRAME_HEADER_BYTES, s->resend);
        n = FRAME_HEADER_BYTES + 8;
    }
    n += encode_close(s, plain + n);
    store_be16(c->tx, (uint16_t)(n + TAG_BYTES));
    cipher_seal(&c->send, view_of(NULL, 0), plain, n, plain + n);
    c->tx_start = 0;
    c->tx_len = 2 + n + TAG_BYTES;
}
