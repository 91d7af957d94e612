/* Keys to and from text and files; a private key's text is wiped. */
#include "crypto/keys.h"

#include <stdlib.h>

#include "base/files.h"
#include "base/text.h"

#define KEY_TEXT_LEN (KEY_TEXT_BYTES - 1)
#define KEY_FILE_MAX 1024 /* one key and white space */

void key_to_text(char out[KEY_TEXT_BYTES], const uint8_t key[KEY_BYTES])
{
    base64_encode(out, key, KEY_BYTES);
}

bool public_key_from_text(uint8_t out[KEY_BYTES], struct view text)
{
    return base64_decode(out, KEY_BYTES, text) && public_key_canonical(out) &&
           !bytes_are_zero(out, KEY_BYTES);
}

void fingerprint_text(char out[FINGERPRINT_TEXT_BYTES], struct view bytes)
{
    static const char prefix[] = "SHA256:";
    uint8_t hash[HASH_BYTES];
    char text[KEY_TEXT_BYTES];
    size_t prefix_len = sizeof prefix - 1, text_len = KEY_TEXT_LEN - 1; /* without the '=' */
    sha256(hash, bytes, view_of(NULL, 0));
    base64_encode(text, hash, sizeof hash);
    memcpy(out, prefix, prefix_len);
    memcpy(out + prefix_len, text, text_len);
    out[prefix_len + text_len] = '\0';
}

void key_fingerprint(char out[FINGERPRINT_TEXT_BYTES], const uint8_t public_key[KEY_BYTES])
{
    fingerprint_text(out, view_of(public_key, KEY_BYTES));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct view strip(struct view text)
{
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(*text.data)) {
        text.data++;
        text.len--;
    }
    return text;
}

bool keypair_from_text(struct keypair *pair, struct view text, const char *name, struct error *e)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* some editors put it first */
    const size_t mark_len = sizeof byte_order_mark - 1;
    struct keypair loaded;
    bool good;
    if (text.len >= mark_len && memcmp(text.data, byte_order_mark, mark_len) == 0)
        text = view_of(text.data + mark_len, text.len - mark_len);
    text = strip(text);
    if (text.len == 0)
        return error_set(e, FAILURE_CONFIG, "%s: holds no key; make one with: spx key new FILE",
                         name);
    if (text.len != KEY_TEXT_LEN)
        return error_set(e, FAILURE_CONFIG,
                         "%s: is not a private key: %zu characters, expected one line of %d "
                         "characters of base64",
                         name, text.len, KEY_TEXT_LEN);
    good = base64_decode(loaded.private_key, KEY_BYTES, text);
    if (!good)
        error_set(e, FAILURE_CONFIG, "%s: is not a private key: not canonical base64 of 32 bytes",
                  name);
    else if (bytes_are_zero(loaded.private_key, KEY_BYTES))
        good = error_set(e, FAILURE_CONFIG, "%s: is not a private key: all zero", name);
    if (good) {
        keypair_derive(&loaded);
        *pair = loaded;
    }
    wipe(&loaded, sizeof loaded);
    return good;
}

bool keypair_is_clamped(const struct keypair *pair)
{
    return (pair->private_key[0] & 7) == 0 && pair->private_key[KEY_BYTES - 1] >> 6 == 1;
}

bool keypair_load(struct keypair *pair, const char *path, struct error *e)
{
    char *text;
    size_t len;
    bool good;
    if (!file_read(path, KEY_FILE_MAX, true, &text, &len, e))
        return false;
    good = keypair_from_text(pair, view_of(text, len), path, e);
    wipe(text, len);
    free(text);
    return good;
}
