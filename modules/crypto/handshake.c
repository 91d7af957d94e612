/* The header and mac1 of a first message. The Noise part is noise.c's. */
#include "crypto/handshake.h"

#define MAGIC_BYTES 4
#define SUITE_OFFSET 4
#define PURPOSE_OFFSET 5
#define PROLOGUE_BYTES 6
#define LENGTH_OFFSET 6

static const uint8_t magic[MAGIC_BYTES] = {'S', 'P', 'X', '1'};

bool suite_known(uint8_t suite)
{
    return suite == SUITE_AESGCM || suite == SUITE_CHACHAPOLY;
}

void handshake_mac1_key(uint8_t out[HASH_BYTES], const uint8_t public_key[KEY_BYTES])
{
    sha256(out, view_of_string("spx1 mac1"), view_of(public_key, KEY_BYTES));
}

static void compute_mac1(uint8_t out[MAC1_BYTES], const uint8_t key[HASH_BYTES],
                         struct view message)
{
    uint8_t mac[HASH_BYTES];
    hmac_sha256(mac, view_of(key, HASH_BYTES), message, view_of(NULL, 0));
    memcpy(out, mac, MAC1_BYTES);
    wipe(mac, sizeof mac);
}

/* True if these bytes, the header or its beginning, can start a first message. */
static bool header_possible(enum purpose purpose, struct view bytes)
{
    for (size_t i = 0; i < bytes.len && i < MAGIC_BYTES; i++)
        if (bytes.data[i] != magic[i])
            return false;
    if (bytes.len > PURPOSE_OFFSET && bytes.data[PURPOSE_OFFSET] != purpose)
        return false;
    if (bytes.len < HANDSHAKE_HEADER_BYTES)
        return true;
    uint16_t noise_len = load_be16(bytes.data + LENGTH_OFFSET);
    return noise_len >= HANDSHAKE_NOISE_MIN && noise_len <= HANDSHAKE_NOISE_MAX;
}

enum handshake_look handshake_look(const uint8_t mac1_key[HASH_BYTES], enum purpose purpose,
                                   struct view bytes, size_t *message_len)
{
    uint8_t mac1[MAC1_BYTES];
    size_t covered;
    if (!header_possible(purpose, bytes))
        return LOOK_WRONG;
    if (bytes.len < HANDSHAKE_HEADER_BYTES)
        return LOOK_MORE;
    covered = HANDSHAKE_HEADER_BYTES + (size_t)load_be16(bytes.data + LENGTH_OFFSET);
    if (bytes.len < covered + MAC1_BYTES)
        return LOOK_MORE;
    compute_mac1(mac1, mac1_key, view_of(bytes.data, covered));
    if (!bytes_equal_secret(mac1, bytes.data + covered, MAC1_BYTES))
        return LOOK_WRONG;
    *message_len = covered + MAC1_BYTES;
    return suite_known(bytes.data[SUITE_OFFSET]) ? LOOK_COMPLETE : LOOK_SUITE;
}

enum suite handshake_preferred_suite(bool peer_lacks_aes)
{
    return crypto_has_aes() && !peer_lacks_aes ? SUITE_AESGCM : SUITE_CHACHAPOLY;
}

static void write_header(uint8_t *out, enum suite suite, enum purpose purpose, size_t noise_len)
{
    memcpy(out, magic, MAGIC_BYTES);
    out[SUITE_OFFSET] = (uint8_t)suite;
    out[PURPOSE_OFFSET] = (uint8_t)purpose;
    store_be16(out + LENGTH_OFFSET, (uint16_t)noise_len);
}

bool handshake_start(struct noise *n, enum suite suite, enum purpose purpose,
                     const struct keypair *own, const uint8_t peer_public[KEY_BYTES],
                     const struct keypair *ephemeral, struct view payload, uint8_t *out,
                     size_t *out_len)
{
    uint8_t mac1_key[HASH_BYTES];
    size_t noise_len = payload.len + NOISE_MESSAGE1_OVERHEAD;
    size_t covered = HANDSHAKE_HEADER_BYTES + noise_len;
    memset(n, 0, sizeof *n);
    *out_len = 0;
    if (payload.len > HANDSHAKE_PAYLOAD1_MAX)
        return false;
    write_header(out, suite, purpose, noise_len);
    if (!noise_init(n, suite, true, view_of(out, PROLOGUE_BYTES), own, peer_public))
        return false;
    if (ephemeral)
        noise_set_ephemeral(n, ephemeral);
    if (!noise_write(n, payload, out + HANDSHAKE_HEADER_BYTES, &noise_len))
        return false;
    handshake_mac1_key(mac1_key, peer_public);
    compute_mac1(out + covered, mac1_key, view_of(out, covered));
    *out_len = covered + MAC1_BYTES;
    return true;
}

static bool read_first(struct noise *n, const struct keypair *own, struct known_keys *known,
                       bool known_only, struct view message, uint8_t *payload, size_t *payload_len)
{
    memset(n, 0, sizeof *n);
    *payload_len = 0;
    if (message.len < HANDSHAKE_MESSAGE1_OVERHEAD || message.len > HANDSHAKE_MESSAGE1_MAX ||
        !suite_known(message.data[SUITE_OFFSET]))
        return false;
    enum suite suite = (enum suite)message.data[SUITE_OFFSET];
    size_t noise_len = message.len - HANDSHAKE_HEADER_BYTES - MAC1_BYTES;

    if (!noise_init(n, suite, false, view_of(message.data, PROLOGUE_BYTES), own, NULL))
        return false;
    noise_set_known(n, known);
    if (known_only)
        noise_refuse_unknown(n);
    return noise_read(n, view_of(message.data + HANDSHAKE_HEADER_BYTES, noise_len), payload,
                      payload_len);
}

bool handshake_accept(struct noise *n, const struct keypair *own, struct known_keys *known,
                      struct view message, uint8_t *payload, size_t *payload_len)
{
    return read_first(n, own, known, false, message, payload, payload_len);
}

bool handshake_accept_known(struct noise *n, const struct keypair *own, struct known_keys *known,
                            struct view message, uint8_t *payload, size_t *payload_len)
{
    return read_first(n, own, known, true, message, payload, payload_len);
}

void handshake_take_ephemeral(struct noise *n, struct key_stock *stock)
{
    struct keypair pair;
    if (stock && key_stock_take(stock, &pair)) {
        noise_set_ephemeral(n, &pair);
        wipe(&pair, sizeof pair);
    }
}
