/* The frames of a session: header and payload layouts (docs/PROTOCOL.md section 5). */
#ifndef SPX_WIRE_FRAMES_H
#define SPX_WIRE_FRAMES_H

#include "wire/limits.h"
#include "wire/reader.h"

enum frame_type {
    FRAME_OPEN = 0x01,
    FRAME_OPENED = 0x02,
    FRAME_DATA = 0x03,
    FRAME_EOF = 0x04,
    FRAME_RESET = 0x05,
    FRAME_WINDOW = 0x06,
    FRAME_LISTEN = 0x07,
    FRAME_LISTENING = 0x08,
    FRAME_CLOSE = 0x09,
    FRAME_ACCESS = 0x0A, /* only to a client that has said that it takes it */
    FRAME_START = 0x80,  /* from here up: not sequenced */
    FRAME_ACK = 0x81,
    FRAME_PING = 0x82,
    FRAME_PONG = 0x83,
    FRAME_DATAGRAM = 0x84,
    FRAME_PAD = 0xC0, /* from here up: unknown ones are ignored */
    FRAME_HEAD = 0xC1,
};

/* Its name for logs, also of a type that is not known. Static. */
const char *frame_name(unsigned type);

static inline bool frame_sequenced(unsigned type)
{
    return type < FRAME_START;
}

/* type (1), reserved (1, zero), payload length (2), stream id (4) */
struct frame {
    uint8_t type;
    uint32_t stream;
    struct view payload;
};

/* Writes the header of a frame with a payload of len bytes. */
void frame_header(uint8_t out[FRAME_HEADER_BYTES], unsigned type, uint32_t stream, size_t len);

/* The length of the payload that a header tells. */
static inline size_t frame_payload_len(const uint8_t header[FRAME_HEADER_BYTES])
{
    return load_be16(header + 2);
}

/* Takes the next frame off a record's plaintext. False: the record does not end with a whole frame,
 * or reserved is not zero. */
bool frame_next(struct frame *f, struct view *rest);

/* Payloads. Decoders are strict: nothing missing, nothing left (but OPEN may end with extensions),
 * an initial window is at most CREDIT_MAX. Encoders return the payload's length, 0 when it does not
 * fit. */

/* client: initial window (4), target string, extensions; agent: initial window (4), listener id
 * (4), peer's address string, extensions */
struct open_frame {
    uint32_t window;
    struct view target;  /* client's OPEN */
    uint32_t listener;   /* agent's OPEN */
    struct view address; /* agent's OPEN */
};
size_t open_encode(const struct open_frame *m, bool by_agent, uint8_t *out, size_t size);
bool open_decode(struct open_frame *m, bool by_agent, struct view payload, uint16_t *unsupported);

/* initial window (4), address string (at most ADDRESS_MAX_BYTES) */
struct opened_frame {
    uint32_t window;
    struct view address;
};
size_t opened_encode(const struct opened_frame *m, uint8_t *out, size_t size);
bool opened_decode(struct opened_frame *m, struct view payload);

/* RESET: code (2), text string (at most TEXT_MAX_BYTES) */
struct reset_frame {
    enum reset_code code;
    struct view text;
};
size_t reset_encode(const struct reset_frame *m, uint8_t *out, size_t size);
bool reset_decode(struct reset_frame *m, struct view payload);

/* CLOSE: code (2), text string (at most TEXT_MAX_BYTES) */
struct close_frame {
    enum code code;
    struct view text;
};
size_t close_encode(const struct close_frame *m, uint8_t *out, size_t size);
bool close_decode(struct close_frame *m, struct view payload);

/* ACCESS: state (1), until (8): seconds since 1970, 0: not known; text string (at most
 * TEXT_MAX_BYTES) */
enum access_state { ACCESS_WAITING = 1, ACCESS_GRANTED = 2, ACCESS_ENDING = 3 };
struct access_frame {
    uint8_t state; /* one of enum access_state, or one that a later version has */
    uint64_t until_s;
    struct view text;
};
size_t access_encode(const struct access_frame *m, uint8_t *out, size_t size);
bool access_decode(struct access_frame *m, struct view payload);

/* HEAD: a signed head of the sender's audit, at most HEAD_MAX_BYTES (docs/AUDIT.md) */
bool head_decode(struct view *head, struct view payload);

/* WINDOW: credit (4), 1 to CREDIT_MAX */
bool window_decode(uint32_t *credit, struct view payload);

/* START and ACK: position (8) */
bool position_decode(uint64_t *position, struct view payload);

/* LISTEN and LISTENING: address string */
size_t address_encode(struct view address, uint8_t *out, size_t size);
bool address_decode(struct view *address, struct view payload);

#endif
