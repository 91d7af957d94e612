/* A list has one spelling, as a permit has. */
#include "permit/revocations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/files.h"
#include "permit/armour.h"

#define FILE_MAX (1 << 20) /* a mail with it */

static const char purpose[] = "spx revocations 1";

/* ---- Reading. ---- */

static const uint8_t *read_items(struct reader *r, size_t *count, size_t item_bytes)
{
    *count = read_u16(r);
    r->failed = r->failed || *count > REVOCATIONS_MAX;
    return read_view(r, r->failed ? 0 : *count * item_bytes).data;
}

static bool decode(struct revocations *r, struct view body,
                   const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    struct reader reader = reader_of(body);
    uint8_t expected[HASH_BYTES], named[HASH_BYTES];
    bool right = view_equal(read_string(&reader, TEXT_MAX_BYTES), view_of_string(purpose));
    permit_authority_hash(expected, authority);
    read_bytes(&reader, named, sizeof named);
    r->number = read_u64(&reader);
    r->issued_s = read_u64(&reader);
    r->before_s = read_u64(&reader);
    r->permits = read_items(&reader, &r->permit_count, PERMIT_ID_BYTES);
    r->keys = read_items(&reader, &r->key_count, KEY_BYTES);
    return reader_done(&reader) && right && r->number > 0 &&
           memcmp(named, expected, sizeof named) == 0;
}

bool revocations_decode(struct revocations *r, struct view bytes,
                        const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    struct reader reader = reader_of(bytes);
    struct view body = read_blob(&reader, REVOCATIONS_BYTES);
    struct view signature = read_view(&reader, SIGNATURE_BYTES);
    uint8_t hash[HASH_BYTES];
    if (!reader_done(&reader) || !decode(r, body, authority))
        return false;
    sha256(hash, body, view_of(NULL, 0));
    return sign_check(signature.data, authority, hash);
}

static bool read_text(char **text, size_t *len, const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good;
    if (fd < 0)
        return error_set(e, FAILURE_CONFIG, "cannot open %s: %s", path, system_text(errno));
    good = file_read_fd(fd, path, FILE_MAX, text, len, e);
    close(fd);
    return good;
}

bool revocations_read(struct revocations *r, const char *path,
                      const uint8_t authority[SIGN_PUBLIC_BYTES], struct error *e)
{
    struct error inner = {0};
    char *text = NULL;
    size_t text_len = 0, len = 0;
    bool good;
    *r = (struct revocations){0};
    if (!read_text(&text, &text_len, path, e))
        return false;
    r->bytes = malloc(REVOCATIONS_BYTES);
    good = r->bytes ? armour_read(r->bytes, REVOCATIONS_BYTES, &len, ARMOUR_REVOCATIONS,
                                  view_of(text, text_len), &inner)
                    : error_no_memory(&inner);
    free(text);
    if (good && revocations_decode(r, view_of(r->bytes, len), authority))
        return true;
    revocations_free(r);
    return error_set(e, FAILURE_CONFIG, "%s: %s", path,
                     good ? "no list of this authority's revocations, or it is damaged"
                          : inner.text);
}

void revocations_free(struct revocations *r)
{
    free(r->bytes);
    *r = (struct revocations){0};
}

/* ---- Writing. ---- */

static size_t encode(const struct revocations *r, const struct sign_key *key, uint8_t *out,
                     size_t size)
{
    struct writer w = writer_of(out, size);
    uint8_t authority[HASH_BYTES];
    permit_authority_hash(authority, key->public_key);
    write_string(&w, view_of_string(purpose));
    write_bytes(&w, view_of(authority, sizeof authority));
    write_u64(&w, r->number);
    write_u64(&w, r->issued_s);
    write_u64(&w, r->before_s);
    write_u16(&w, (uint16_t)r->permit_count);
    write_bytes(&w, view_of(r->permits, r->permit_count * PERMIT_ID_BYTES));
    write_u16(&w, (uint16_t)r->key_count);
    write_bytes(&w, view_of(r->keys, r->key_count * KEY_BYTES));
    return writer_len(&w);
}

static char *sign_list(const struct revocations *r, const struct sign_key *key)
{
    static uint8_t body[REVOCATIONS_BYTES], bytes[REVOCATIONS_BYTES];
    struct writer w = writer_of(bytes, sizeof bytes);
    uint8_t hash[HASH_BYTES], signature[SIGNATURE_BYTES];
    size_t len = encode(r, key, body, sizeof body - SIGNATURE_BYTES - 2);
    sha256(hash, view_of(body, len), view_of(NULL, 0));
    sign_hash(signature, key, hash);
    write_string(&w, view_of(body, len));
    write_bytes(&w, view_of(signature, sizeof signature));
    return armour_text(ARMOUR_REVOCATIONS, view_of(bytes, writer_len(&w)));
}

char *revocations_issue(const struct revocations *r, const struct sign_key *key, struct error *e)
{
    char *text;
    if (r->permit_count > REVOCATIONS_MAX || r->key_count > REVOCATIONS_MAX) {
        error_set(e, FAILURE_USAGE, "a list has at most %d permits and as many keys",
                  REVOCATIONS_MAX);
        return NULL;
    }
    text = sign_list(r, key);
    if (!text)
        error_no_memory(e);
    return text;
}

/* ---- What it takes back. ---- */

static bool has(const uint8_t *items, size_t count, size_t item_bytes, const uint8_t *item)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(items + i * item_bytes, item, item_bytes) == 0)
            return true;
    return false;
}

const char *revocations_say(const struct revocations *r, const struct permit *p)
{
    uint8_t id[PERMIT_ID_BYTES];
    permit_id(id, p);
    if (has(r->permits, r->permit_count, PERMIT_ID_BYTES, id))
        return "the authority has revoked the permit";
    if (has(r->keys, r->key_count, KEY_BYTES, p->outer.user_key))
        return "the authority has revoked the user's key";
    return p->outer.issued_s < r->before_s ? "the authority has revoked all permits of that time"
                                           : NULL;
}
