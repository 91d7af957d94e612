/* Signed is the encoding up to the signature, behind words that no other signature of spx
 * begins with. */
#include "audit/signed_head.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/reader.h"

#define VERSION 1
#define CHAIN_BYTES 16
#define SIGNED_BYTES (SIGNED_HEAD_BYTES - SIGNATURE_BYTES)

static const char *const names[] = {
    [AUDIT_CLIENT] = "client", [AUDIT_RELAY] = "relay", [AUDIT_AGENT] = "agent"};

#define NAMES (sizeof names / sizeof *names)

const char *audit_role_name(enum audit_role role)
{
    return (size_t)role < NAMES ? names[role] : NULL;
}

enum audit_role audit_role_of(const char *name)
{
    for (size_t i = 1; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return (enum audit_role)i;
    return (enum audit_role)0;
}

static void hash_signed(uint8_t out[HASH_BYTES], const uint8_t encoded[SIGNED_HEAD_BYTES])
{
    static const char context[] = "spx audit head";
    sha256(out, view_of(context, sizeof context), view_of(encoded, SIGNED_BYTES));
}

/* The name of a chain is its bytes in hexadecimal. */
static void chain_bytes(uint8_t out[CHAIN_BYTES], const char *chain)
{
    if (!text_unhex(out, CHAIN_BYTES, chain))
        memset(out, 0, CHAIN_BYTES);
}

void signed_head_encode(uint8_t out[SIGNED_HEAD_BYTES], const struct signed_head *h)
{
    struct writer w = writer_of(out, SIGNED_HEAD_BYTES);
    uint8_t chain[CHAIN_BYTES];
    chain_bytes(chain, h->head.chain);
    write_u8(&w, VERSION);
    write_u8(&w, (uint8_t)h->role);
    write_bytes(&w, view_of(h->key, sizeof h->key));
    write_bytes(&w, view_of(chain, sizeof chain));
    write_u64(&w, h->head.number);
    write_u64(&w, h->time_ms);
    write_bytes(&w, view_of(h->head.hash, sizeof h->head.hash));
    write_bytes(&w, view_of(h->signature, sizeof h->signature));
}

void signed_head_make(struct signed_head *out, const struct sign_key *key, enum audit_role role,
                      const struct audit_head *head, uint64_t time_ms)
{
    uint8_t encoded[SIGNED_HEAD_BYTES], hash[HASH_BYTES];
    *out = (struct signed_head){.role = role, .head = *head, .time_ms = time_ms};
    memcpy(out->key, key->public_key, sizeof out->key);
    signed_head_encode(encoded, out);
    hash_signed(hash, encoded);
    sign_hash(out->signature, key, hash);
}

bool signed_head_decode(struct signed_head *h, struct view bytes)
{
    struct reader r = reader_of(bytes);
    uint8_t chain[CHAIN_BYTES];
    uint8_t version = read_u8(&r);
    *h = (struct signed_head){.role = (enum audit_role)read_u8(&r)};
    read_bytes(&r, h->key, sizeof h->key);
    read_bytes(&r, chain, sizeof chain);
    text_hex(h->head.chain, chain, sizeof chain);
    h->head.number = read_u64(&r);
    h->time_ms = read_u64(&r);
    read_bytes(&r, h->head.hash, sizeof h->head.hash);
    read_bytes(&r, h->signature, sizeof h->signature);
    return reader_done(&r) && version == VERSION && audit_role_name(h->role) && h->head.number;
}

bool signed_head_from_text(struct signed_head *h, const char *text)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    return text_unhex(bytes, sizeof bytes, text) &&
           signed_head_decode(h, view_of(bytes, sizeof bytes));
}

bool signed_head_is_good(const struct signed_head *h)
{
    uint8_t encoded[SIGNED_HEAD_BYTES], hash[HASH_BYTES];
    signed_head_encode(encoded, h);
    hash_signed(hash, encoded);
    return sign_check(h->signature, h->key, hash);
}
