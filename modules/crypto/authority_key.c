/* Authorities' keys to and from text; a private key's text is wiped. */
#include "crypto/authority_key.h"

#include <bearssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/text.h"

#define FILE_MAX 1024 /* one key and white space */

static const char prefix[] = "authority:";

void authority_to_text(char out[AUTHORITY_TEXT_BYTES], const uint8_t public_key[SIGN_PUBLIC_BYTES])
{
    base64_encode(out, public_key, SIGN_PUBLIC_BYTES);
}

/* Multiplies it by 1, which BearSSL does for points of the curve only. */
static bool is_point(const uint8_t public_key[SIGN_PUBLIC_BYTES])
{
    static const uint8_t one = 1;
    uint8_t point[1 + SIGN_PUBLIC_BYTES] = {4};
    memcpy(point + 1, public_key, SIGN_PUBLIC_BYTES);
    return br_ec_p256_m31.mul(point, sizeof point, &one, 1, BR_EC_secp256r1) == 1;
}

bool authority_from_text(uint8_t out[SIGN_PUBLIC_BYTES], struct view text)
{
    return base64_decode(out, SIGN_PUBLIC_BYTES, text) && is_point(out);
}

void authority_file_text(char out[AUTHORITY_FILE_BYTES], const struct sign_key *key)
{
    char base64[KEY_TEXT_BYTES];
    base64_encode(base64, key->private_key, SIGN_PRIVATE_BYTES);
    snprintf(out, AUTHORITY_FILE_BYTES, "%s%s\n", prefix, base64);
    wipe(base64, sizeof base64);
}

static struct view strip(struct view text)
{
    static const char space[] = " \t\r\n";
    while (text.len > 0 && memchr(space, text.data[text.len - 1], sizeof space - 1))
        text.len--;
    return text;
}

bool authority_file_is_one(struct view content)
{
    return content.len >= sizeof prefix - 1 && memcmp(content.data, prefix, sizeof prefix - 1) == 0;
}

bool authority_key_from_text(struct sign_key *key, struct view content, const char *name,
                             struct error *e)
{
    const size_t len = sizeof prefix - 1;
    struct sign_key loaded;
    bool good;
    content = strip(content);
    if (!authority_file_is_one(content))
        return error_set(e, FAILURE_CONFIG,
                         "%s: holds no authority's private key; make one with: spx key new "
                         "--authority FILE",
                         name);
    good = base64_decode(loaded.private_key, sizeof loaded.private_key,
                         view_of(content.data + len, content.len - len)) &&
           sign_key_derive(&loaded);
    if (good)
        *key = loaded;
    wipe(&loaded, sizeof loaded);
    return good || error_set(e, FAILURE_CONFIG, "%s: the authority's key in it is damaged", name);
}

bool authority_key_load(struct sign_key *key, const char *path, struct error *e)
{
    char *text;
    size_t len;
    bool good;
    if (!file_read(path, FILE_MAX, true, &text, &len, e))
        return false;
    good = authority_key_from_text(key, view_of(text, len), path, e);
    wipe(text, len);
    free(text);
    return good;
}
