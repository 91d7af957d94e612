/* The payloads of the hop's and the session's handshake. */
#include "wire/messages.h"

#include "base/text.h"

static const char *const role_names[] = {
    [ROLE_CLIENT] = "client",
    [ROLE_AGENT] = "agent",
    [ROLE_AGENT_CIRCUIT] = "agent circuit",
    [ROLE_RELAY] = "relay",
};

static bool role_known(unsigned role)
{
    return role >= ROLE_CLIENT && role <= ROLE_RELAY;
}

const char *role_name(unsigned role)
{
    return role_known(role) ? role_names[role] : "?";
}

static void write_extension(struct writer *w, uint16_t type, struct view value)
{
    write_u16(w, type);
    write_string(w, value);
}

size_t hello_encode(const struct hello *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u8(&w, m->version);
    write_u8(&w, m->role);
    write_bytes(&w, view_of(m->ticket, sizeof m->ticket));
    if (m->permit.len)
        write_extension(&w, EXTENSION_PERMIT, m->permit);
    return writer_len(&w);
}

bool hello_decode(struct hello *m, struct view body, uint16_t *unsupported)
{
    struct extension permit = {.type = EXTENSION_PERMIT};
    struct reader r = reader_of(body);
    *unsupported = 0;
    m->version = read_u8(&r);
    m->role = read_u8(&r);
    read_bytes(&r, m->ticket, sizeof m->ticket);
    read_extensions_for(&r, &permit, 1, unsupported);
    m->permit = permit.value;
    return reader_done(&r) && role_known(m->role) && m->permit.len <= PERMIT_MAX_BYTES;
}

size_t welcome_encode(const struct welcome *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_code(&w, m->code);
    write_string(&w, m->text);
    if (m->code == CODE_OK) {
        write_u8(&w, m->version);
        write_string(&w, m->name);
        write_u16(&w, m->keepalive_s);
    }
    return writer_len(&w);
}

bool welcome_decode(struct welcome *m, struct view body, uint16_t *unsupported)
{
    struct reader r = reader_of(body);
    *unsupported = 0;
    *m = (struct welcome){.code = read_code(&r)};
    m->text = read_string(&r, TEXT_MAX_BYTES);
    if (m->code == CODE_OK) {
        m->version = read_u8(&r);
        m->name = read_name(&r);
        m->keepalive_s = read_u16(&r);
        read_extensions(&r, unsupported);
    }
    return reader_done(&r);
}

/* Of an extension of bits; 0: it is missing. */
static uint8_t first_byte(struct view value)
{
    return value.len ? value.data[0] : 0;
}

size_t session_hello_encode(const struct session_hello *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u8(&w, m->version);
    write_u16(&w, m->flags);
    write_string(&w, m->agent);
    write_bytes(&w, view_of(m->session_id, sizeof m->session_id));
    write_u32(&w, m->circuit);
    write_u64(&w, m->receive_position);
    write_u32(&w, m->receive_limit);
    write_u32(&w, m->ring);
    write_u16(&w, m->streams);
    if (m->takes)
        write_extension(&w, HELLO_EXTENSION_TAKES, view_of(&m->takes, 1));
    if (m->reason.len)
        write_extension(&w, HELLO_EXTENSION_REASON, m->reason);
    if (m->emergency.len)
        write_extension(&w, HELLO_EXTENSION_EMERGENCY, m->emergency);
    if (m->permit.len)
        write_extension(&w, EXTENSION_PERMIT, m->permit);
    return writer_len(&w);
}

static bool is_text(struct view text, size_t most)
{
    return text.len <= most && utf8_valid(text);
}

bool session_hello_decode(struct session_hello *m, struct view body, uint16_t *unsupported)
{
    struct reader r = reader_of(body);
    struct extension known[] = {{.type = HELLO_EXTENSION_TAKES},
                                {.type = HELLO_EXTENSION_REASON},
                                {.type = HELLO_EXTENSION_EMERGENCY},
                                {.type = EXTENSION_PERMIT}};
    *unsupported = 0;
    m->version = read_u8(&r);
    m->flags = read_u16(&r);
    m->agent = read_name(&r);
    read_bytes(&r, m->session_id, sizeof m->session_id);
    m->circuit = read_u32(&r);
    m->receive_position = read_u64(&r);
    m->receive_limit = read_u32(&r);
    m->ring = read_u32(&r);
    m->streams = read_u16(&r);
    read_extensions_for(&r, known, 4, unsupported);
    m->takes = first_byte(known[0].value);
    m->reason = known[1].value;
    m->emergency = known[2].value;
    m->permit = known[3].value;
    return reader_done(&r) && is_text(m->reason, REASON_MAX_BYTES) &&
           is_text(m->emergency, EMERGENCY_MAX_BYTES) && m->permit.len <= PERMIT_MAX_BYTES;
}

size_t session_welcome_encode(const struct session_welcome *m, uint8_t *out, size_t size)
{
    static const uint8_t waits = WELCOME_WAITS;
    struct writer w = writer_of(out, size);
    write_code(&w, m->code);
    write_string(&w, m->text);
    if (m->code == CODE_OK) {
        write_u8(&w, m->version);
        write_bytes(&w, view_of(m->session_id, sizeof m->session_id));
        write_u64(&w, m->receive_position);
        write_u32(&w, m->receive_limit);
        write_u32(&w, m->ring);
        write_u16(&w, m->streams);
        write_u32(&w, m->early_credit);
        write_u32(&w, m->resume_window_s);
        if (m->waits)
            write_extension(&w, WELCOME_EXTENSION_WAITS, view_of(&waits, 1));
    }
    return writer_len(&w);
}

bool session_welcome_decode(struct session_welcome *m, struct view body, uint16_t *unsupported)
{
    struct extension waits = {.type = WELCOME_EXTENSION_WAITS};
    struct reader r = reader_of(body);
    *unsupported = 0;
    *m = (struct session_welcome){.code = read_code(&r)};
    m->text = read_string(&r, TEXT_MAX_BYTES);
    if (m->code == CODE_OK) {
        m->version = read_u8(&r);
        read_bytes(&r, m->session_id, sizeof m->session_id);
        m->receive_position = read_u64(&r);
        m->receive_limit = read_u32(&r);
        m->ring = read_u32(&r);
        m->streams = read_u16(&r);
        m->early_credit = read_u32(&r);
        m->resume_window_s = read_u32(&r);
        read_extensions_for(&r, &waits, 1, unsupported);
        m->waits = (first_byte(waits.value) & WELCOME_WAITS) != 0;
    }
    return reader_done(&r);
}
