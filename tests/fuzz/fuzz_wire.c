/* Every decoder of modules/wire: the first byte chooses one (or a walk over a record's frames), the
 * rest is what it decodes. */
#include "../unit/wire_codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static void decode_one(const struct codec *c, struct view body)
{
    static uint8_t again[RECORD_MAX];
    union any_message m;
    uint16_t unsupported = 0;
    if (body.len > sizeof again)
        return;
    if (c->decode(&m, body, &unsupported)) {
        require(unsupported == 0);
        require(same_again(c, &m, body, again));
    } else {
        require(unsupported == 0 || (c->extensions && unsupported >= 0x8000));
    }
}

/* Frames must cover the record without a gap, and their headers be what the encoder writes. */
static void walk_record(struct view record)
{
    struct frame f;
    for (struct view rest = record; frame_next(&f, &rest); record = rest) {
        uint8_t header[FRAME_HEADER_BYTES];
        frame_header(header, f.type, f.stream, f.payload.len);
        require(memcmp(header, record.data, sizeof header) == 0);
        require(frame_payload_len(header) == f.payload.len);
        require(record.len == sizeof header + f.payload.len + rest.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t chosen = data[0] % (ALL_CODECS + 1);
    struct view body = view_of(data + 1, size - 1);
    if (chosen < ALL_CODECS)
        decode_one(all_codecs[chosen], body);
    else
        walk_record(body);
    return 0;
}
