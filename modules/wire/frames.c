/* Encoders and decoders of frames, field by field in the order of PROTOCOL.md. */
#include "wire/frames.h"

static const struct {
    uint8_t type;
    const char *name;
} frames[] = {
    {FRAME_OPEN, "OPEN"},     {FRAME_OPENED, "OPENED"},       {FRAME_DATA, "DATA"},
    {FRAME_EOF, "EOF"},       {FRAME_RESET, "RESET"},         {FRAME_WINDOW, "WINDOW"},
    {FRAME_LISTEN, "LISTEN"}, {FRAME_LISTENING, "LISTENING"}, {FRAME_CLOSE, "CLOSE"},
    {FRAME_ACCESS, "ACCESS"}, {FRAME_START, "START"},         {FRAME_ACK, "ACK"},
    {FRAME_PING, "PING"},     {FRAME_PONG, "PONG"},           {FRAME_DATAGRAM, "DATAGRAM"},
    {FRAME_PAD, "PAD"},       {FRAME_HEAD, "HEAD"},
};

const char *frame_name(unsigned type)
{
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        if (frames[i].type == type)
            return frames[i].name;
    return "?";
}

void frame_header(uint8_t out[FRAME_HEADER_BYTES], unsigned type, uint32_t stream, size_t len)
{
    out[0] = (uint8_t)type;
    out[1] = 0;
    store_be16(out + 2, (uint16_t)len);
    store_be32(out + 4, stream);
}

bool frame_next(struct frame *f, struct view *rest)
{
    struct reader r = reader_of(*rest);
    f->type = read_u8(&r);
    uint8_t reserved = read_u8(&r);
    size_t len = read_u16(&r);
    f->stream = read_u32(&r);
    f->payload = read_view(&r, len);
    if (r.failed || reserved != 0 || len > FRAME_PAYLOAD_MAX)
        return false;
    *rest = view_of(r.data, r.left);
    return true;
}

size_t open_encode(const struct open_frame *m, bool by_agent, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u32(&w, m->window);
    if (by_agent) {
        write_u32(&w, m->listener);
        write_string(&w, m->address);
    } else {
        write_string(&w, m->target);
    }
    return writer_len(&w);
}

bool open_decode(struct open_frame *m, bool by_agent, struct view payload, uint16_t *unsupported)
{
    struct reader r = reader_of(payload);
    *unsupported = 0;
    *m = (struct open_frame){.window = read_u32(&r)};
    if (by_agent) {
        m->listener = read_u32(&r);
        m->address = read_string(&r, ADDRESS_MAX_BYTES);
    } else {
        m->target = read_string(&r, TARGET_MAX_BYTES);
    }
    read_extensions(&r, unsupported);
    return reader_done(&r) && m->window <= CREDIT_MAX;
}

size_t opened_encode(const struct opened_frame *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u32(&w, m->window);
    write_string(&w, m->address);
    return writer_len(&w);
}

bool opened_decode(struct opened_frame *m, struct view payload)
{
    struct reader r = reader_of(payload);
    m->window = read_u32(&r);
    m->address = read_string(&r, ADDRESS_MAX_BYTES);
    return reader_done(&r) && m->window <= CREDIT_MAX;
}

size_t reset_encode(const struct reset_frame *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_reset_code(&w, m->code);
    write_string(&w, m->text);
    return writer_len(&w);
}

bool reset_decode(struct reset_frame *m, struct view payload)
{
    struct reader r = reader_of(payload);
    m->code = read_reset_code(&r);
    m->text = read_string(&r, TEXT_MAX_BYTES);
    return reader_done(&r);
}

size_t close_encode(const struct close_frame *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_code(&w, m->code);
    write_string(&w, m->text);
    return writer_len(&w);
}

bool close_decode(struct close_frame *m, struct view payload)
{
    struct reader r = reader_of(payload);
    m->code = read_code(&r);
    m->text = read_string(&r, TEXT_MAX_BYTES);
    return reader_done(&r);
}

size_t access_encode(const struct access_frame *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u8(&w, m->state);
    write_u64(&w, m->until_s);
    write_string(&w, m->text);
    return writer_len(&w);
}

bool access_decode(struct access_frame *m, struct view payload)
{
    struct reader r = reader_of(payload);
    m->state = read_u8(&r);
    m->until_s = read_u64(&r);
    m->text = read_string(&r, TEXT_MAX_BYTES);
    return reader_done(&r);
}

bool head_decode(struct view *head, struct view payload)
{
    *head = payload;
    return payload.len > 0 && payload.len <= HEAD_MAX_BYTES;
}

bool window_decode(uint32_t *credit, struct view payload)
{
    struct reader r = reader_of(payload);
    *credit = read_u32(&r);
    return reader_done(&r) && *credit > 0 && *credit <= CREDIT_MAX;
}

bool position_decode(uint64_t *position, struct view payload)
{
    struct reader r = reader_of(payload);
    *position = read_u64(&r);
    return reader_done(&r);
}

size_t address_encode(struct view address, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, address);
    return writer_len(&w);
}

bool address_decode(struct view *address, struct view payload)
{
    struct reader r = reader_of(payload);
    *address = read_string(&r, ADDRESS_MAX_BYTES);
    return reader_done(&r);
}
