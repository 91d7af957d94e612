/* Records and control messages of a hop: who may say what, and INFO, PING, PONG, BYE
 * (docs/PROTOCOL.md section 3). */
#include <stdlib.h>

#include "hop/hop.h"
#include "hop/phases.h"

#define LENGTH_BYTES 2
#define TYPE_BYTES 1

enum role_mask {
    FROM_CLIENT = 1 << ROLE_CLIENT,
    FROM_CONTROL = 1 << ROLE_AGENT,
    FROM_CIRCUIT = 1 << ROLE_AGENT_CIRCUIT,
    FROM_AGENT = FROM_CONTROL | FROM_CIRCUIT,
    FROM_RELAY = 1 << ROLE_RELAY,
    FROM_ANY = FROM_CLIENT | FROM_AGENT | FROM_RELAY,
};

/* Section 3's table: the roles that may send and receive a message, and whether it is the first
 * record or a later one. */
struct message_rule {
    uint8_t type;
    uint8_t from, to;
    bool first;
    bool (*read)(struct hop *h, unsigned type, struct view body);
};

static bool read_info(struct hop *h, unsigned type, struct view body);
static bool read_ping(struct hop *h, unsigned type, struct view body);
static bool read_pong(struct hop *h, unsigned type, struct view body);
static bool read_bye(struct hop *h, unsigned type, struct view body);
static bool read_empty(struct hop *h, unsigned type, struct view body);
static bool give_to_owner(struct hop *h, unsigned type, struct view body);

static const struct message_rule rules[] = {
    {MESSAGE_INFO, FROM_ANY, FROM_ANY, true, read_info},
    {MESSAGE_LIST, FROM_CLIENT, FROM_RELAY, false, give_to_owner},
    {MESSAGE_WATCH, FROM_CLIENT, FROM_RELAY, false, give_to_owner},
    {MESSAGE_AGENT, FROM_RELAY, FROM_CLIENT, false, give_to_owner},
    {MESSAGE_END, FROM_RELAY, FROM_CLIENT, false, read_empty},
    {MESSAGE_CONNECT, FROM_CLIENT, FROM_RELAY, false, give_to_owner},
    {MESSAGE_OFFER, FROM_RELAY, FROM_AGENT, false, give_to_owner},
    {MESSAGE_ACCEPT, FROM_CIRCUIT, FROM_RELAY, false, give_to_owner},
    {MESSAGE_REFUSE, FROM_AGENT, FROM_RELAY, false, give_to_owner},
    {MESSAGE_CONNECTED, FROM_RELAY, FROM_CLIENT, false, give_to_owner},
    {MESSAGE_REFUSED, FROM_RELAY, FROM_CLIENT, false, give_to_owner},
    {MESSAGE_CALL, FROM_CONTROL, FROM_RELAY, false, give_to_owner},
    {MESSAGE_CALLS, FROM_CONTROL, FROM_RELAY, false, give_to_owner},
    {MESSAGE_HEARD, FROM_RELAY, FROM_CONTROL, false, give_to_owner},
    {MESSAGE_HEAD, FROM_CLIENT | FROM_CONTROL | FROM_RELAY, FROM_CLIENT | FROM_CONTROL | FROM_RELAY,
     false, give_to_owner},
    {MESSAGE_PING, FROM_ANY, FROM_ANY, false, read_ping},
    {MESSAGE_PONG, FROM_ANY, FROM_ANY, false, read_pong},
    {MESSAGE_BYE, FROM_ANY, FROM_ANY, false, read_bye},
};

static const struct message_rule *find_rule(unsigned type)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].type == type)
            return &rules[i];
    return NULL;
}

static const char *a_role(unsigned role)
{
    switch (role) {
    case ROLE_CLIENT:
        return "a client";
    case ROLE_AGENT:
        return "an agent";
    case ROLE_AGENT_CIRCUIT:
        return "an agent's circuit";
    case ROLE_RELAY:
        return "a relay";
    default:
        return "an unknown role";
    }
}

static bool malformed(struct hop *h, unsigned type)
{
    return hop_fail(h, CODE_PROTOCOL, "malformed %s", message_name(type));
}

static void dispatch(struct hop *h, unsigned type, struct view body)
{
    const struct message_rule *rule = find_rule(type);
    if (!rule) {
        if (type < MESSAGE_IGNORED_FROM || !h->info_read) {
            hop_fail(h, CODE_PROTOCOL, "unknown message type %u from %s", type,
                     a_role(h->peer_role));
        }
        return;
    }
    if (rule->first == h->info_read) {
        hop_fail(h, CODE_PROTOCOL, rule->first ? "%s came twice" : "%s before INFO",
                 message_name(type));
        return;
    }
    if (!(rule->from & (1U << h->peer_role)) || !(rule->to & (1U << h->own_role))) {
        hop_fail(h, CODE_PROTOCOL, "%s from %s to %s", message_name(type), a_role(h->peer_role),
                 a_role(h->own_role));
        return;
    }
    rule->read(h, type, body);
}

void hop_read_record(struct hop *h, uint8_t *record, size_t len)
{
    size_t plain = len - TAG_BYTES;
    h->records++;
    if (!cipher_open(&h->receive, view_of(NULL, 0), record, plain, record + plain)) {
        hop_fail(h, CODE_PROTOCOL, "a record failed its check");
        return;
    }
    dispatch(h, record[0], view_of(record + TYPE_BYTES, plain - TYPE_BYTES));
}

bool hop_send(struct hop *h, enum message_type type, struct view body)
{
    if (h->state != HOP_OPEN)
        return false;
    if (body.len > RECORD_PLAINTEXT_MAX - TYPE_BYTES) {
        return hop_fail(h, CODE_INTERNAL, "%s of %zu bytes is too long", message_name(type),
                        body.len);
    }
    size_t plain = TYPE_BYTES + body.len;
    size_t size = LENGTH_BYTES + plain + TAG_BYTES;
    uint8_t *record = malloc(size);
    if (!record)
        return hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
    store_be16(record, (uint16_t)(plain + TAG_BYTES));
    record[LENGTH_BYTES] = (uint8_t)type;
    if (body.len > 0)
        memcpy(record + LENGTH_BYTES + TYPE_BYTES, body.data, body.len);
    cipher_seal(&h->send, view_of(NULL, 0), record + LENGTH_BYTES, plain,
                record + LENGTH_BYTES + plain);
    bool appended = fifo_append(&h->out, record, size);
    free(record);
    return appended || hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
}

static struct view view_of_optional(const char *text)
{
    return view_of_string(text ? text : "");
}

bool hop_send_info(struct hop *h)
{
    uint8_t body[2 + VERSION_TEXT_MAX_BYTES + 2 + 2 + LABELS_MAX_BYTES];
    struct info info = {
        .version = view_of_optional(h->party->version),
        .flags = (uint16_t)((crypto_has_aes() ? INFO_FLAG_AES : 0) |
                            (h->party->takes_calls ? INFO_FLAG_CALLS : 0)),
        .labels = view_of_optional(h->party->labels),
    };
    size_t len = info_encode(&info, body, sizeof body);
    if (len == 0)
        return hop_fail(h, CODE_INTERNAL, "the own version or labels are too long for INFO");
    return hop_send(h, MESSAGE_INFO, view_of(body, len));
}

/* A responder has now proof that the initiator is no recording: the hop is open. */
static bool open_responder(struct hop *h, const struct info *info)
{
    h->state = HOP_OPEN;
    h->opened_us = h->last_read_us;
    if (!hop_send_info(h))
        return false;
    h->handler->on_open(h, info);
    return true;
}

static bool read_info(struct hop *h, unsigned type, struct view body)
{
    struct info info;
    uint16_t unsupported = 0;
    if (!info_decode(&info, body, &unsupported)) {
        if (unsupported) {
            return hop_fail(h, CODE_UNSUPPORTED, "INFO has extension %u, which is not supported",
                            unsupported);
        }
        return malformed(h, type);
    }
    h->info_read = true;
    h->peer_has_aes = info.flags & INFO_FLAG_AES;
    return h->initiator ? give_to_owner(h, type, body) : open_responder(h, &info);
}

static bool give_to_owner(struct hop *h, unsigned type, struct view body)
{
    return h->handler->on_message(h, type, body) ||
           hop_fail(h, CODE_PROTOCOL, "%s was not acceptable", message_name(type));
}

static bool read_empty(struct hop *h, unsigned type, struct view body)
{
    return body.len == 0 ? give_to_owner(h, type, body) : malformed(h, type);
}

void hop_send_ping(struct hop *h, uint64_t now_us)
{
    uint8_t body[8];
    store_be64(body, ++h->pings);
    if (hop_send(h, MESSAGE_PING, view_of(body, sizeof body))) {
        h->last_ping_us = now_us;
        h->pinged = h->ping_waits = true;
    }
}

static bool read_ping(struct hop *h, unsigned type, struct view body)
{
    uint8_t bytes[8];
    if (!ping_decode(bytes, body))
        return malformed(h, type);
    return h->quiet || hop_send(h, MESSAGE_PONG, view_of(bytes, sizeof bytes));
}

static bool read_pong(struct hop *h, unsigned type, struct view body)
{
    uint8_t bytes[8];
    if (!ping_decode(bytes, body))
        return malformed(h, type);
    if (h->ping_waits && load_be64(bytes) == h->pings) {
        h->ping_waits = false;
        h->rtt_us = h->last_read_us - h->last_ping_us;
    }
    return true;
}

static bool read_bye(struct hop *h, unsigned type, struct view body)
{
    struct bye bye;
    if (!bye_decode(&bye, body))
        return malformed(h, type);
    hop_refused(h, bye.code, bye.text, bye.retry_s);
    return false;
}
