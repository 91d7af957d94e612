/* The control messages of a hop. */
#include "wire/messages.h"

static const char *const message_names[] = {
    [MESSAGE_INFO] = "INFO",           [MESSAGE_LIST] = "LIST",       [MESSAGE_WATCH] = "WATCH",
    [MESSAGE_AGENT] = "AGENT",         [MESSAGE_END] = "END",         [MESSAGE_CONNECT] = "CONNECT",
    [MESSAGE_OFFER] = "OFFER",         [MESSAGE_ACCEPT] = "ACCEPT",   [MESSAGE_REFUSE] = "REFUSE",
    [MESSAGE_CONNECTED] = "CONNECTED", [MESSAGE_REFUSED] = "REFUSED", [MESSAGE_CALL] = "CALL",
    [MESSAGE_PING] = "PING",           [MESSAGE_PONG] = "PONG",       [MESSAGE_BYE] = "BYE",
};

static const char *const later_names[] = {"CALLS", "HEARD", "HEAD"};

const char *message_name(unsigned type)
{
    bool known = type >= MESSAGE_INFO && type <= MESSAGE_BYE;
    if (type >= MESSAGE_CALLS && type <= MESSAGE_HEAD)
        return later_names[type - MESSAGE_CALLS];
    return known ? message_names[type] : "?";
}

static const char *const agent_state_names[] = {
    [AGENT_OFFLINE] = "offline",     [AGENT_ONLINE] = "online",     [AGENT_DIALLED] = "dialled",
    [AGENT_DUPLICATE] = "duplicate", [AGENT_UNLISTED] = "unlisted",
};

const char *agent_state_name(unsigned state)
{
    return state <= AGENT_UNLISTED ? agent_state_names[state] : "?";
}

static bool name_starts(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_valid(struct view name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !name_starts(name.data[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool dot_after_dot = c == '.' && name.data[i - 1] == '.';
        if (dot_after_dot || !(name_starts(c) || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

struct view read_name(struct reader *r)
{
    struct view name = read_blob(r, NAME_MAX_BYTES);
    if (!name_valid(name)) {
        r->failed = true;
        return view_of(NULL, 0);
    }
    return name;
}

/* The rest, at most max bytes: what stands last in a message needs no length of its own. */
static struct view read_last(struct reader *r, size_t max)
{
    struct view rest = read_rest(r);
    if (rest.len > max)
        r->failed = true;
    return rest;
}

size_t info_encode(const struct info *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, m->version);
    write_u16(&w, m->flags);
    write_string(&w, m->labels);
    return writer_len(&w);
}

bool info_decode(struct info *m, struct view body, uint16_t *unsupported)
{
    struct reader r = reader_of(body);
    *unsupported = 0;
    m->version = read_string(&r, VERSION_TEXT_MAX_BYTES);
    m->flags = read_u16(&r);
    m->labels = read_string(&r, LABELS_MAX_BYTES);
    read_extensions(&r, unsupported);
    return reader_done(&r);
}

size_t query_encode(struct view query, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, query);
    return writer_len(&w);
}

bool query_decode(struct view *query, struct view body)
{
    struct reader r = reader_of(body);
    *query = read_string(&r, QUERY_MAX_BYTES);
    return reader_done(&r);
}

size_t agent_entry_encode(const struct agent_entry *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, m->name);
    write_bytes(&w, view_of(m->public_key, sizeof m->public_key));
    write_u16(&w, m->flags);
    write_string(&w, m->labels);
    write_u8(&w, m->state);
    write_u32(&w, m->age_s);
    write_u8(&w, m->severity);
    write_string(&w, m->call_text);
    if (m->calls.len > 0) {
        write_u16(&w, AGENT_EXTENSION_CALLS);
        write_string(&w, m->calls);
    }
    if (m->vouch.len > 0) {
        write_u16(&w, EXTENSION_PERMIT);
        write_string(&w, m->vouch);
    }
    return writer_len(&w);
}

bool agent_entry_decode(struct agent_entry *m, struct view body, uint16_t *unsupported)
{
    struct reader r = reader_of(body);
    struct told_calls calls;
    struct extension known[] = {{.type = AGENT_EXTENSION_CALLS}, {.type = EXTENSION_PERMIT}};
    *unsupported = 0;
    m->name = read_name(&r);
    read_bytes(&r, m->public_key, sizeof m->public_key);
    m->flags = read_u16(&r);
    m->labels = read_string(&r, LABELS_MAX_BYTES);
    m->state = read_u8(&r);
    m->age_s = read_u32(&r);
    m->severity = read_u8(&r);
    m->call_text = read_string(&r, TEXT_MAX_BYTES);
    read_extensions_for(&r, known, 2, unsupported);
    m->calls = known[0].value;
    m->vouch = known[1].value;
    return reader_done(&r) && m->vouch.len <= VOUCH_MAX_BYTES &&
           (m->severity != 0 || m->call_text.len == 0) &&
           (m->calls.len == 0 || told_calls_decode(&calls, m->calls));
}

size_t connect_encode(const struct connect *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, m->agent);
    write_bytes(&w, m->message1);
    return writer_len(&w);
}

bool connect_decode(struct connect *m, struct view body)
{
    struct reader r = reader_of(body);
    m->agent = read_name(&r);
    m->message1 = read_last(&r, SESSION_MESSAGE1_MAX);
    return reader_done(&r) && m->message1.len > 0;
}

size_t offer_encode(const struct offer *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_bytes(&w, view_of(m->ticket, sizeof m->ticket));
    write_string(&w, m->user);
    write_bytes(&w, view_of(m->user_key, sizeof m->user_key));
    write_string(&w, m->user_address);
    write_string(&w, m->message1);
    return writer_len(&w);
}

bool offer_decode(struct offer *m, struct view body, uint16_t *unsupported)
{
    struct reader r = reader_of(body);
    *unsupported = 0;
    read_bytes(&r, m->ticket, sizeof m->ticket);
    m->user = read_name(&r);
    read_bytes(&r, m->user_key, sizeof m->user_key);
    m->user_address = read_string(&r, ADDRESS_MAX_BYTES);
    m->message1 = read_blob(&r, SESSION_MESSAGE1_MAX);
    read_extensions(&r, unsupported);
    return reader_done(&r) && m->message1.len > 0;
}

bool message2_decode(struct view *message2, struct view body)
{
    struct reader r = reader_of(body);
    *message2 = read_last(&r, SESSION_MESSAGE2_MAX);
    return reader_done(&r) && message2->len > 0;
}

static void write_refusal(struct writer *w, const struct refusal *m)
{
    write_code(w, m->code);
    write_string(w, m->text);
    write_u16(w, m->retry_s);
    write_bytes(w, m->message2);
}

static void read_refusal(struct reader *r, struct refusal *m)
{
    m->code = read_code(r);
    m->text = read_string(r, TEXT_MAX_BYTES);
    m->retry_s = read_u16(r);
    m->message2 = read_last(r, SESSION_MESSAGE2_MAX);
}

size_t refuse_encode(const struct refusal *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_bytes(&w, view_of(m->ticket, sizeof m->ticket));
    write_refusal(&w, m);
    return writer_len(&w);
}

bool refuse_decode(struct refusal *m, struct view body)
{
    struct reader r = reader_of(body);
    read_bytes(&r, m->ticket, sizeof m->ticket);
    read_refusal(&r, m);
    return reader_done(&r);
}

size_t refused_encode(const struct refusal *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_refusal(&w, m);
    return writer_len(&w);
}

bool refused_decode(struct refusal *m, struct view body)
{
    struct reader r = reader_of(body);
    memset(m->ticket, 0, sizeof m->ticket);
    read_refusal(&r, m);
    return reader_done(&r);
}

size_t call_encode(const struct call *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u8(&w, m->severity);
    write_string(&w, m->text);
    return writer_len(&w);
}

bool call_decode(struct call *m, struct view body)
{
    struct reader r = reader_of(body);
    m->severity = read_u8(&r);
    m->text = read_string(&r, TEXT_MAX_BYTES);
    return reader_done(&r) && (m->severity != 0 || m->text.len == 0);
}

size_t told_calls_encode(const struct told_calls *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u8(&w, (uint8_t)m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct told_call *call = &m->all[i];
        write_u32(&w, call->number);
        write_u8(&w, call->severity);
        write_u32(&w, call->age_s);
        write_string(&w, call->taken_by);
        write_string(&w, call->text);
    }
    return writer_len(&w);
}

/* A name, or nothing. */
static struct view read_taker(struct reader *r)
{
    struct view name = read_blob(r, NAME_MAX_BYTES);
    if (name.len > 0 && !name_valid(name))
        r->failed = true;
    return name;
}

/* 0 is no number. */
static bool has_number(const struct told_calls *m, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (number != 0 && m->all[i].number == number)
            return true;
    return false;
}

bool told_calls_decode(struct told_calls *m, struct view bytes)
{
    struct reader r = reader_of(bytes);
    m->count = read_u8(&r);
    if (m->count > CALLS_MAX)
        return false;
    for (size_t i = 0; i < m->count; i++) {
        struct told_call *call = &m->all[i];
        call->number = read_u32(&r);
        call->severity = read_u8(&r);
        call->age_s = read_u32(&r);
        call->taken_by = read_taker(&r);
        call->text = read_string(&r, TEXT_MAX_BYTES);
        if (call->severity == 0 || has_number(m, i, call->number))
            return false;
    }
    return reader_done(&r);
}

const struct told_call *told_calls_gravest(const struct told_calls *m)
{
    const struct told_call *gravest = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const struct told_call *call = &m->all[i];
        if (!gravest || call->severity > gravest->severity ||
            (call->severity == gravest->severity && call->age_s > gravest->age_s))
            gravest = call;
    }
    return gravest;
}

size_t calls_encode(const struct calls *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_u32(&w, m->revision);
    write_bytes(&w, m->calls);
    return writer_len(&w);
}

bool calls_decode(struct calls *m, struct view body)
{
    struct reader r = reader_of(body);
    struct told_calls calls;
    m->revision = read_u32(&r);
    m->calls = read_rest(&r);
    return reader_done(&r) && told_calls_decode(&calls, m->calls);
}

bool heard_decode(uint32_t *revision, struct view body)
{
    struct reader r = reader_of(body);
    *revision = read_u32(&r);
    return reader_done(&r);
}

bool ping_decode(uint8_t out[8], struct view body)
{
    struct reader r = reader_of(body);
    read_bytes(&r, out, 8);
    return reader_done(&r);
}

size_t bye_encode(const struct bye *m, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_code(&w, m->code);
    write_string(&w, m->text);
    write_u32(&w, m->retry_s);
    return writer_len(&w);
}

bool bye_decode(struct bye *m, struct view body)
{
    struct reader r = reader_of(body);
    m->code = read_code(&r);
    m->text = read_string(&r, TEXT_MAX_BYTES);
    m->retry_s = read_u32(&r);
    return reader_done(&r);
}
