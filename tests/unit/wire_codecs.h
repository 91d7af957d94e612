/* Every message and frame payload behind one pair of functions, so that tests and the fuzzer need
 * no code of their own for each. */
#ifndef SPX_TESTS_WIRE_CODECS_H
#define SPX_TESTS_WIRE_CODECS_H

#include "wire/frames.h"
#include "wire/messages.h"

/* m points to the message's struct; decode leaves *unsupported 0 where the message has none. */
struct codec {
    const char *name;
    size_t (*encode)(const void *m, uint8_t *out, size_t size);
    bool (*decode)(void *m, struct view body, uint16_t *unsupported);
    bool extensions; /* may end with them */
};

/* Large and aligned enough for any message's struct. */
union any_message {
    struct hello hello;
    struct welcome welcome;
    struct info info;
    struct agent_entry agent_entry;
    struct connect connect;
    struct offer offer;
    struct refusal refusal;
    struct call call;
    struct calls calls;
    struct told_calls told_calls;
    struct bye bye;
    struct session_hello session_hello;
    struct session_welcome session_welcome;
    struct open_frame open;
    struct opened_frame opened;
    struct reset_frame reset;
    struct view view;
    uint8_t ping[8];
    uint32_t credit;
    uint64_t position;
};

/* The table needs one type of function: these give each codec that type. */
#define ENCODE_ANY(NAME, CALL)                                                \
    static size_t NAME##_encode_any(const void *m, uint8_t *out, size_t size) \
    {                                                                         \
        return CALL;                                                          \
    }
#define DECODE_ANY(NAME, CALL)                                                      \
    static bool NAME##_decode_any(void *m, struct view body, uint16_t *unsupported) \
    {                                                                               \
        *unsupported = 0;                                                           \
        return CALL;                                                                \
    }
#define CODEC_OBJECT(NAME, EXTENSIONS)                                                     \
    static const struct codec NAME##_codec = {#NAME, NAME##_encode_any, NAME##_decode_any, \
                                              EXTENSIONS};
#define CODEC(NAME)                               \
    ENCODE_ANY(NAME, NAME##_encode(m, out, size)) \
    DECODE_ANY(NAME, NAME##_decode(m, body))      \
    CODEC_OBJECT(NAME, false)
#define CODEC_EXTENSIONS(NAME)                            \
    ENCODE_ANY(NAME, NAME##_encode(m, out, size))         \
    DECODE_ANY(NAME, NAME##_decode(m, body, unsupported)) \
    CODEC_OBJECT(NAME, true)

CODEC_EXTENSIONS(hello)
CODEC_EXTENSIONS(welcome)
CODEC_EXTENSIONS(info)
CODEC_EXTENSIONS(offer)
CODEC(connect)
CODEC(refuse)
CODEC(refused)
CODEC(call)
CODEC(calls)
CODEC(bye)
CODEC(opened)
CODEC(reset)
CODEC(access)

/* Their extensions are known and may stand among others; test_wire.c writes them. */
static size_t session_hello_encode_any(const void *m, uint8_t *out, size_t size)
{
    struct session_hello copy = *(const struct session_hello *)m;
    copy.takes = 0;
    copy.reason = copy.emergency = view_of(NULL, 0);
    return session_hello_encode(&copy, out, size);
}
DECODE_ANY(session_hello, session_hello_decode(m, body, unsupported))
CODEC_OBJECT(session_hello, true)

static size_t session_welcome_encode_any(const void *m, uint8_t *out, size_t size)
{
    struct session_welcome copy = *(const struct session_welcome *)m;
    copy.waits = false;
    return session_welcome_encode(&copy, out, size);
}
DECODE_ANY(session_welcome, session_welcome_decode(m, body, unsupported))
CODEC_OBJECT(session_welcome, true)

static size_t agent_entry_encode_any(const void *m, uint8_t *out, size_t size)
{
    struct agent_entry entry = *(const struct agent_entry *)m;
    entry.calls = view_of(NULL, 0);
    return agent_entry_encode(&entry, out, size);
}
DECODE_ANY(agent_entry, agent_entry_decode(m, body, unsupported))
CODEC_OBJECT(agent_entry, true)

ENCODE_ANY(told_calls, told_calls_encode(m, out, size))
DECODE_ANY(told_calls, told_calls_decode(m, body))
CODEC_OBJECT(told_calls, false)

static size_t heard_encode(uint32_t revision, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u32(&w, revision);
    return writer_len(&w);
}

ENCODE_ANY(heard, heard_encode(*(const uint32_t *)m, out, size))
DECODE_ANY(heard, heard_decode(m, body))
CODEC_OBJECT(heard, false)

ENCODE_ANY(query, query_encode(*(const struct view *)m, out, size))
DECODE_ANY(query, query_decode(m, body))
CODEC_OBJECT(query, false)

ENCODE_ANY(address, address_encode(*(const struct view *)m, out, size))
DECODE_ANY(address, address_decode(m, body))
CODEC_OBJECT(address, false)

ENCODE_ANY(client_open, open_encode(m, false, out, size))
DECODE_ANY(client_open, open_decode(m, false, body, unsupported))
CODEC_OBJECT(client_open, true)

ENCODE_ANY(agent_open, open_encode(m, true, out, size))
DECODE_ANY(agent_open, open_decode(m, true, body, unsupported))
CODEC_OBJECT(agent_open, true)

/* These are written without an encoder of their own. */
static size_t encode_bytes(struct view v, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_bytes(&w, v);
    return writer_len(&w);
}

static size_t encode_credit(uint32_t credit, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u32(&w, credit);
    return writer_len(&w);
}

static size_t encode_position(uint64_t position, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u64(&w, position);
    return writer_len(&w);
}

ENCODE_ANY(message2, encode_bytes(*(const struct view *)m, out, size))
DECODE_ANY(message2, message2_decode(m, body))
CODEC_OBJECT(message2, false)

ENCODE_ANY(ping, encode_bytes(view_of(m, 8), out, size))
DECODE_ANY(ping, ping_decode(m, body))
CODEC_OBJECT(ping, false)

ENCODE_ANY(window, encode_credit(*(const uint32_t *)m, out, size))
DECODE_ANY(window, window_decode(m, body))
CODEC_OBJECT(window, false)

ENCODE_ANY(position, encode_position(*(const uint64_t *)m, out, size))
DECODE_ANY(position, position_decode(m, body))
CODEC_OBJECT(position, false)

static const struct codec *const all_codecs[] = {
    &hello_codec,      &welcome_codec,  &info_codec,          &agent_entry_codec,
    &offer_codec,      &connect_codec,  &session_hello_codec, &session_welcome_codec,
    &refuse_codec,     &refused_codec,  &call_codec,          &bye_codec,
    &query_codec,      &message2_codec, &ping_codec,          &client_open_codec,
    &agent_open_codec, &opened_codec,   &reset_codec,         &window_codec,
    &position_codec,   &address_codec,  &told_calls_codec,    &calls_codec,
    &heard_codec,      &access_codec,
};

#define ALL_CODECS (sizeof all_codecs / sizeof all_codecs[0])

/* True if the bytes are extensions that this version skips. */
static inline bool skipped_extensions(struct view bytes)
{
    struct reader r = reader_of(bytes);
    uint16_t unsupported = 0;
    read_extensions(&r, &unsupported);
    return reader_done(&r);
}

/* A decoder takes what the encoder writes: nothing ignored, nothing read twice. Only
 * extensions are not kept. out takes body.len bytes. */
static inline bool same_again(const struct codec *c, const void *m, struct view body, uint8_t *out)
{
    size_t len = c->encode(m, out, body.len);
    if (len == 0 || memcmp(out, body.data, len) != 0)
        return false;
    struct view rest = view_of(body.data + len, body.len - len);
    return rest.len == 0 || (c->extensions && skipped_extensions(rest));
}

#endif
