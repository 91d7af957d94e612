/* A permit has one spelling: fields in a fixed order, extensions by rising types, nothing behind.
 */
#include "permit/permit.h"

#include "base/text.h"
#include "wire/messages.h"

#define EXTENSION_MUST_BE_UNDERSTOOD 0x8000U

static const char outer_purpose[] = "spx permit 1", inner_purpose[] = "spx permit inner 1";

bool permit_list_add(struct permit_list *list, struct view item)
{
    if (list->count == PERMIT_ITEMS_MAX)
        return false;
    list->items[list->count++] = item;
    return true;
}

bool permit_pattern_valid(struct view pattern)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-*?";
    for (size_t i = 0; i < pattern.len; i++)
        if (!memchr(allowed, pattern.data[i], sizeof allowed - 1))
            return false;
    return pattern.len > 0 && pattern.len <= NAME_MAX_BYTES;
}

/* ---- Reading. ---- */

static void require(struct reader *r, bool what)
{
    r->failed = r->failed || !what;
}

static void read_purpose(struct reader *r, const char *purpose)
{
    require(r, view_equal(read_string(r, TEXT_MAX_BYTES), view_of_string(purpose)));
}

/* The count (1) of a list. */
static unsigned read_count(struct reader *r)
{
    unsigned count = read_u8(r);
    require(r, count <= PERMIT_ITEMS_MAX);
    return r->failed ? 0 : count;
}

static void read_strings(struct reader *r, struct permit_list *list, size_t max)
{
    for (unsigned left = read_count(r); left > 0; left--) {
        struct view item = read_string(r, max);
        require(r, item.len > 0 && permit_list_add(list, item));
    }
}

static void read_keys(struct reader *r, struct permit_list *list)
{
    for (unsigned left = read_count(r); left > 0; left--) {
        struct view key = read_view(r, KEY_BYTES);
        require(r, key.len == KEY_BYTES && permit_list_add(list, key));
    }
}

/* None is known yet. They come by rising types, so that there is one order. */
static void read_no_extensions(struct reader *r, uint16_t *unsupported)
{
    uint32_t least = 0;
    while (!r->failed && r->left > 0) {
        uint16_t type = read_u16(r);
        read_blob(r, UINT16_MAX);
        require(r, type >= least);
        least = type + 1U;
        if (r->failed || (type & EXTENSION_MUST_BE_UNDERSTOOD) == 0)
            continue;
        *unsupported = type;
        r->failed = true;
    }
}

static void read_times(struct reader *r, struct permit_outer *o)
{
    o->issued_s = read_u64(r);
    o->from_s = read_u64(r);
    o->until_s = read_u64(r);
    require(r,
            o->issued_s <= o->from_s && o->from_s < o->until_s && o->until_s <= PERMIT_TIME_MAX_S);
}

static void read_agents(struct reader *r, struct permit_outer *o)
{
    o->scope = read_string(r, NAME_MAX_BYTES);
    require(r, o->scope.len == 0 || name_valid(o->scope));
    read_strings(r, &o->patterns, NAME_MAX_BYTES);
    for (size_t i = 0; i < o->patterns.count; i++)
        require(r, permit_pattern_valid(o->patterns.items[i]));
    read_keys(r, &o->keys);
    /* A scope is there for patterns, and patterns with a scope. */
    require(r, (o->scope.len > 0) == (o->patterns.count > 0));
    require(r, o->patterns.count + o->keys.count > 0);
}

static bool outer_decode(struct permit_outer *o, struct view bytes, uint16_t *unsupported)
{
    struct reader r = reader_of(bytes);
    *o = (struct permit_outer){0};
    read_purpose(&r, outer_purpose);
    read_bytes(&r, o->authority, sizeof o->authority);
    o->user = read_name(&r);
    read_bytes(&r, o->user_key, sizeof o->user_key);
    read_times(&r, o);
    read_agents(&r, o);
    read_bytes(&r, o->inner_hash, sizeof o->inner_hash);
    read_no_extensions(&r, unsupported);
    return reader_done(&r);
}

static bool inner_decode(struct permit_inner *i, struct view bytes, uint16_t *unsupported)
{
    struct reader r = reader_of(bytes);
    *i = (struct permit_inner){0};
    read_purpose(&r, inner_purpose);
    read_bytes(&r, i->salt, sizeof i->salt);
    i->longest_s = read_u32(&r);
    require(&r, i->longest_s <= PERMIT_SESSION_MAX_S);
    i->reason = read_string(&r, REASON_MAX_BYTES);
    read_strings(&r, &i->allow, TARGET_MAX_BYTES);
    read_strings(&r, &i->listen, ADDRESS_MAX_BYTES);
    read_no_extensions(&r, unsupported);
    return reader_done(&r);
}

static bool refuse(uint16_t unsupported, struct error *e)
{
    if (unsupported)
        return error_set(e, FAILURE_CONFIG,
                         "the permit needs a newer spx: it has an extension (%u) that must be "
                         "understood and is not",
                         (unsigned)unsupported);
    return error_set(e, FAILURE_CONFIG, "the permit is malformed");
}

static bool hash_is(struct view bytes, const uint8_t expected[HASH_BYTES])
{
    uint8_t hash[HASH_BYTES];
    sha256(hash, bytes, view_of(NULL, 0));
    return memcmp(hash, expected, sizeof hash) == 0;
}

static bool decode_inner(struct permit *p, struct view bytes, struct error *e)
{
    uint16_t unsupported = 0;
    if (!hash_is(bytes, p->outer.inner_hash))
        return error_set(e, FAILURE_CONFIG, "the permit's two parts do not belong together");
    p->has_inner = true;
    return inner_decode(&p->inner, bytes, &unsupported) || refuse(unsupported, e);
}

bool permit_decode(struct permit *p, struct view bytes, bool with_inner, struct error *e)
{
    struct reader r = reader_of(bytes);
    uint16_t unsupported = 0;
    struct view inner = view_of(NULL, 0);
    *p = (struct permit){.outer_bytes = read_blob(&r, PERMIT_MAX_BYTES)};
    p->signature = read_view(&r, SIGNATURE_BYTES);
    if (with_inner)
        inner = read_blob(&r, PERMIT_MAX_BYTES);
    if (!reader_done(&r) || bytes.len > PERMIT_MAX_BYTES)
        return refuse(0, e);
    if (!outer_decode(&p->outer, p->outer_bytes, &unsupported))
        return refuse(unsupported, e);
    return !with_inner || decode_inner(p, inner, e);
}

struct view permit_for_relay(struct view bytes)
{
    struct reader r = reader_of(bytes);
    read_blob(&r, PERMIT_MAX_BYTES);
    read_view(&r, SIGNATURE_BYTES);
    return view_of(bytes.data, r.failed ? 0 : bytes.len - r.left);
}

/* ---- Writing. ---- */

static void write_strings(struct writer *w, const struct permit_list *list)
{
    write_u8(w, (uint8_t)list->count);
    for (size_t i = 0; i < list->count; i++)
        write_string(w, list->items[i]);
}

static void write_keys(struct writer *w, const struct permit_list *list)
{
    write_u8(w, (uint8_t)list->count);
    for (size_t i = 0; i < list->count; i++)
        write_bytes(w, list->items[i]);
}

static size_t outer_encode(const struct permit_outer *o, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, view_of_string(outer_purpose));
    write_bytes(&w, view_of(o->authority, sizeof o->authority));
    write_string(&w, o->user);
    write_bytes(&w, view_of(o->user_key, sizeof o->user_key));
    write_u64(&w, o->issued_s);
    write_u64(&w, o->from_s);
    write_u64(&w, o->until_s);
    write_string(&w, o->scope);
    write_strings(&w, &o->patterns);
    write_keys(&w, &o->keys);
    write_bytes(&w, view_of(o->inner_hash, sizeof o->inner_hash));
    return writer_len(&w);
}

static size_t inner_encode(const struct permit_inner *i, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);
    write_string(&w, view_of_string(inner_purpose));
    write_bytes(&w, view_of(i->salt, sizeof i->salt));
    write_u32(&w, i->longest_s);
    write_string(&w, i->reason);
    write_strings(&w, &i->allow);
    write_strings(&w, &i->listen);
    return writer_len(&w);
}

static void sign_outer(uint8_t signature[SIGNATURE_BYTES], struct view outer,
                       const struct sign_key *key)
{
    uint8_t hash[HASH_BYTES];
    sha256(hash, outer, view_of(NULL, 0));
    sign_hash(signature, key, hash);
}

/* A permit that cannot be read back is not handed out. */
static bool reads_back(struct view bytes, struct error *e)
{
    struct error why = {0};
    struct permit again;
    return permit_decode(&again, bytes, true, &why) ||
           error_set(e, FAILURE_USAGE,
                     "no permit can say this: a time, a name or a text is out of its bounds");
}

size_t permit_issue(uint8_t out[PERMIT_MAX_BYTES], struct permit *p, const struct sign_key *key,
                    struct error *e)
{
    uint8_t inner[PERMIT_MAX_BYTES], outer[PERMIT_MAX_BYTES], signature[SIGNATURE_BYTES];
    struct writer w = writer_of(out, PERMIT_MAX_BYTES);
    size_t inner_len = inner_encode(&p->inner, inner, sizeof inner), outer_len;
    permit_authority_hash(p->outer.authority, key->public_key);
    sha256(p->outer.inner_hash, view_of(inner, inner_len), view_of(NULL, 0));
    outer_len = outer_encode(&p->outer, outer, sizeof outer);
    sign_outer(signature, view_of(outer, outer_len), key);
    write_string(&w, view_of(outer, outer_len));
    write_bytes(&w, view_of(signature, sizeof signature));
    write_string(&w, view_of(inner, inner_len));
    if (!inner_len || !outer_len || !writer_len(&w)) {
        error_set(e, FAILURE_USAGE, "the permit would have more than %d bytes", PERMIT_MAX_BYTES);
        return 0;
    }
    return reads_back(view_of(out, writer_len(&w)), e) ? writer_len(&w) : 0;
}

/* ---- Signature and id. ---- */

void permit_authority_hash(uint8_t out[HASH_BYTES], const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    sha256(out, view_of(authority, SIGN_PUBLIC_BYTES), view_of(NULL, 0));
}

bool permit_is_signed_by(const struct permit *p, const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    uint8_t hash[HASH_BYTES];
    permit_authority_hash(hash, authority);
    if (memcmp(hash, p->outer.authority, sizeof hash) != 0)
        return false;
    sha256(hash, p->outer_bytes, view_of(NULL, 0));
    return sign_check(p->signature.data, authority, hash);
}

void permit_id(uint8_t out[PERMIT_ID_BYTES], const struct permit *p)
{
    uint8_t hash[HASH_BYTES];
    sha256(hash, p->outer_bytes, view_of(NULL, 0));
    memcpy(out, hash, PERMIT_ID_BYTES);
}

void permit_id_text(char out[PERMIT_ID_TEXT_BYTES], const struct permit *p)
{
    uint8_t id[PERMIT_ID_BYTES];
    permit_id(id, p);
    text_hex(out, id, sizeof id);
}
