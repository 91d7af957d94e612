/* Cutting a carrier's bytes into units (the first message, its answer, records) and giving each to
 * its phase. */
#include <stdlib.h>

#include "hop/hop.h"
#include "hop/phases.h"

#define LENGTH_BYTES 2

enum unit {
    UNIT_PARTIAL, /* not whole yet */
    UNIT_WHOLE,
    UNIT_NONE, /* there is none to wait for: the hop has ended or is silent */
};

/* Measures the first message; *size as in measure. */
static enum unit measure_hello(struct hop *h, struct view bytes, size_t *size)
{
    switch (handshake_look(h->party->mac1_key, PURPOSE_HOP, bytes, size)) {
    case LOOK_COMPLETE:
    case LOOK_SUITE:
        return UNIT_WHOLE;
    case LOOK_MORE:
        *size = HANDSHAKE_HEADER_BYTES;
        if (bytes.len >= HANDSHAKE_HEADER_BYTES)
            *size += (size_t)load_be16(bytes.data + HANDSHAKE_HEADER_BYTES - 2) + MAC1_BYTES;
        if (bytes.len < *size && *size <= HELLO_UNIT_MAX)
            return UNIT_PARTIAL;
        break;
    case LOOK_WRONG:
        break;
    }
    hop_go_silent(h);
    return UNIT_NONE;
}

/* Who has answered in the peer's place, by the bytes where the length should be; NULL: not known.
 * None of these is a length that WELCOME may have. */
static const char *stranger(const uint8_t *first)
{
    static const struct {
        char first[LENGTH_BYTES];
        const char *name;
    } strangers[] = {
        {"SS", "an SSH server"},        /* SSH-2.0-… */
        {"HT", "a web server"},         /* HTTP/1.1 400 … */
        {"<!", "a web server"},         /* <!DOCTYPE HTML …, to what is not even HTTP/1.0 */
        {"<h", "a web server"},         /* <html> */
        {"\x15\x03", "a TLS server"},   /* an alert of any version */
        {"22", "a mail or FTP server"}, /* 220 … */
    };
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        if (memcmp(first, strangers[i].first, LENGTH_BYTES) == 0)
            return strangers[i].name;
    return NULL;
}

bool hop_fail_strange(struct hop *h, const char *who)
{
    return hop_fail(h, CODE_BAD_HANDSHAKE, "%s listens there, not an spx %s",
                    who ? who : "another program", h->peer_role == ROLE_RELAY ? "relay" : "agent");
}

/* True if the length that is announced in this state is allowed; otherwise the hop fails. */
static bool length_allowed(struct hop *h, const uint8_t *length)
{
    size_t len = load_be16(length);
    if (h->state == HOP_WAIT_WELCOME)
        return (len > 0 && len <= WELCOME_MAX) || hop_fail_strange(h, stranger(length));
    if (len <= TAG_BYTES)
        return hop_fail(h, CODE_PROTOCOL, "a record of %zu bytes: too short", len);
    if (h->state == HOP_WAIT_FIRST && len > FIRST_RECORD_MAX)
        return hop_fail(h, CODE_PROTOCOL, "a first record of %zu bytes: too long", len);
    return true;
}

/* Measures the unit that begins with these bytes. *size: the whole unit's when its header is
 * there, else the header's. */
static enum unit measure(struct hop *h, struct view bytes, size_t *size)
{
    if (h->state == HOP_WAIT_HELLO)
        return measure_hello(h, bytes, size);
    *size = LENGTH_BYTES;
    if (bytes.len < LENGTH_BYTES)
        return UNIT_PARTIAL;
    if (!length_allowed(h, bytes.data))
        return UNIT_NONE;
    *size += load_be16(bytes.data);
    return bytes.len < *size ? UNIT_PARTIAL : UNIT_WHOLE;
}

static void handle(struct hop *h, uint8_t *unit, size_t size)
{
    if (h->state == HOP_WAIT_HELLO)
        hop_read_hello(h, view_of(unit, size));
    else if (h->state == HOP_WAIT_WELCOME)
        hop_read_welcome(h, view_of(unit + LENGTH_BYTES, size - LENGTH_BYTES));
    else
        hop_read_record(h, unit + LENGTH_BYTES, size - LENGTH_BYTES);
}

/* Makes room for a unit, or a header, of size bytes. */
static bool reserve(struct hop *h, size_t size)
{
    if (size > h->partial_size) {
        uint8_t *grown = realloc(h->partial, size);
        if (!grown)
            return hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
        h->partial = grown;
        h->partial_size = size;
    }
    return true;
}

/* The partial unit is whole: it is handled outside the hop, so that a handler may end or detach the
 * hop meanwhile. */
static void handle_partial(struct hop *h, size_t size)
{
    uint8_t *unit = h->partial;
    h->partial = NULL;
    h->partial_len = h->partial_size = 0;
    handle(h, unit, size);
    wipe(unit, size);
    free(unit);
}

/* Adds to the partial unit until it is whole or the bytes are used up; returns how many were. */
static size_t collect(struct hop *h, const uint8_t *data, size_t len)
{
    size_t used = 0, size = 0;
    enum unit unit = measure(h, view_of(h->partial, h->partial_len), &size);
    while (unit == UNIT_PARTIAL && used < len) {
        size_t missing = size - h->partial_len;
        size_t take = missing < len - used ? missing : len - used;
        if (!reserve(h, size))
            return used;
        memcpy(h->partial + h->partial_len, data + used, take);
        h->partial_len += take;
        used += take;
        unit = measure(h, view_of(h->partial, h->partial_len), &size);
    }
    if (unit == UNIT_WHOLE)
        handle_partial(h, size);
    return used;
}

/* Takes one unit, or the part of it that is there; returns how many bytes. */
static size_t take_unit(struct hop *h, uint8_t *data, size_t len)
{
    size_t size = 0;
    if (h->partial_len > 0)
        return collect(h, data, len);
    switch (measure(h, view_of(data, len), &size)) {
    case UNIT_WHOLE:
        handle(h, data, size);
        return size;
    case UNIT_PARTIAL:
        return collect(h, data, len);
    case UNIT_NONE:
        break;
    }
    return len;
}

static bool takes_input(const struct hop *h)
{
    return h->state != HOP_READING && h->state != HOP_SILENT && h->state != HOP_DETACHED &&
           h->state != HOP_ENDED;
}

size_t hop_input(struct hop *h, uint8_t *data, size_t len, uint64_t now_us)
{
    size_t used = 0;
    if (len > 0 && takes_input(h)) {
        h->last_read_us = now_us;
        h->pinged = false;
        h->probe_us = 0;
    }
    while (used < len && takes_input(h))
        used += take_unit(h, data + used, len - used);
    if (h->state == HOP_READING && used < len)
        hop_reject_hello(h); /* before the answer nobody can know what a record is sealed with */
    return h->state == HOP_SILENT ? len : used;
}
