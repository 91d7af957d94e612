/* Statements about agents' keys. */
#include "permit/vouch.h"

#include "permit/judge.h"
#include "wire/messages.h"

static const char purpose[] = "spx agent 1";

static bool decode_body(struct vouch *v, struct view body)
{
    struct reader r = reader_of(body);
    bool right = view_equal(read_string(&r, TEXT_MAX_BYTES), view_of_string(purpose));
    read_bytes(&r, v->authority, sizeof v->authority);
    v->agent = read_name(&r);
    read_bytes(&r, v->key, sizeof v->key);
    v->issued_s = read_u64(&r);
    v->until_s = read_u64(&r);
    return reader_done(&r) && right && v->issued_s < v->until_s && v->until_s <= PERMIT_TIME_MAX_S;
}

bool vouch_decode(struct vouch *v, struct view bytes)
{
    struct reader r = reader_of(bytes);
    *v = (struct vouch){.signed_bytes = read_blob(&r, VOUCH_MAX_BYTES)};
    v->signature = read_view(&r, SIGNATURE_BYTES);
    return reader_done(&r) && bytes.len <= VOUCH_MAX_BYTES && decode_body(v, v->signed_bytes);
}

static size_t encode_body(const struct vouch *v, const struct sign_key *key, uint8_t *out,
                          size_t size)
{
    struct writer w = writer_of(out, size);
    uint8_t authority[HASH_BYTES];
    permit_authority_hash(authority, key->public_key);
    write_string(&w, view_of_string(purpose));
    write_bytes(&w, view_of(authority, sizeof authority));
    write_string(&w, v->agent);
    write_bytes(&w, view_of(v->key, sizeof v->key));
    write_u64(&w, v->issued_s);
    write_u64(&w, v->until_s);
    return writer_len(&w);
}

size_t vouch_issue(uint8_t out[VOUCH_MAX_BYTES], const struct vouch *v, const struct sign_key *key)
{
    uint8_t body[VOUCH_MAX_BYTES], hash[HASH_BYTES], signature[SIGNATURE_BYTES];
    struct writer w = writer_of(out, VOUCH_MAX_BYTES);
    size_t len = encode_body(v, key, body, sizeof body);
    struct vouch again;
    sha256(hash, view_of(body, len), view_of(NULL, 0));
    sign_hash(signature, key, hash);
    write_string(&w, view_of(body, len));
    write_bytes(&w, view_of(signature, sizeof signature));
    return vouch_decode(&again, view_of(out, writer_len(&w))) ? writer_len(&w) : 0;
}

bool vouch_says(struct view bytes, const uint8_t authority[SIGN_PUBLIC_BYTES], const char *agent,
                const uint8_t key[KEY_BYTES], int64_t now_s)
{
    uint8_t hash[HASH_BYTES];
    struct vouch v;
    permit_authority_hash(hash, authority);
    if (!vouch_decode(&v, bytes) || memcmp(v.authority, hash, sizeof hash) != 0 ||
        !view_equal(v.agent, view_of_string(agent)) || memcmp(v.key, key, KEY_BYTES) != 0 ||
        now_s + PERMIT_SKEW_S < (int64_t)v.issued_s || now_s >= (int64_t)v.until_s + PERMIT_SKEW_S)
        return false;
    sha256(hash, v.signed_bytes, view_of(NULL, 0));
    return sign_check(v.signature.data, authority, hash);
}
