/* TZif files: bounded reading of what RFC 8536 section 3 lays out. */
#include "policy/tzif.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADER_BYTES 44
#define TYPE_BYTES 6
#define FOOTER_MAX_BYTES 256

/* A header's fields, and the size of a time in its block. */
struct tzif_header {
    uint8_t version; /* as a character, or 0 */
    uint32_t isut_count, isstd_count, leap_count, time_count, type_count, char_count;
    size_t time_bytes;
};

static bool take(struct view *rest, struct view *out, size_t len)
{
    if (len > rest->len)
        return false;
    *out = view_of(rest->data, len);
    *rest = view_of(rest->data + len, rest->len - len);
    return true;
}

static bool read_header(struct tzif_header *h, struct view *rest, size_t time_bytes)
{
    struct view v;
    if (!take(rest, &v, HEADER_BYTES) || memcmp(v.data, "TZif", 4) != 0)
        return false;
    *h = (struct tzif_header){
        .version = v.data[4],
        .isut_count = load_be32(v.data + 20),
        .isstd_count = load_be32(v.data + 24),
        .leap_count = load_be32(v.data + 28),
        .time_count = load_be32(v.data + 32),
        .type_count = load_be32(v.data + 36),
        .char_count = load_be32(v.data + 40),
        .time_bytes = time_bytes,
    };
    return h->version == 0 || (h->version >= '2' && h->version <= '4');
}

/* Of the data that follows the header. No sum overflows: each count has 32 bits. */
static uint64_t block_bytes(const struct tzif_header *h)
{
    return (uint64_t)h->time_count * (h->time_bytes + 1) + (uint64_t)h->type_count * TYPE_BYTES +
           h->char_count + (uint64_t)h->leap_count * (h->time_bytes + 4) + h->isstd_count +
           h->isut_count;
}

static int64_t load_time(const uint8_t *p, size_t bytes)
{
    return bytes == 8 ? (int64_t)load_be64(p) : (int32_t)load_be32(p);
}

/* A local time type's offset. */
static bool read_type(int32_t *out, struct view types, size_t index)
{
    if (index >= types.len / TYPE_BYTES)
        return false;
    *out = (int32_t)load_be32(types.data + index * TYPE_BYTES);
    return *out >= -ZONE_OFFSET_MAX_S && *out <= ZONE_OFFSET_MAX_S;
}

/* Steps before the least time that is told apart are one. */
static bool read_steps(struct zone *z, const struct tzif_header *h, struct view times,
                       struct view indexes, struct view types)
{
    for (size_t i = 0; i < h->time_count; i++) {
        int64_t at_s = load_time(times.data + i * h->time_bytes, h->time_bytes);
        struct zone_step *step = &z->steps[i];
        if (!read_type(&step->offset_s, types, indexes.data[i]))
            return false;
        if (i > 0 && at_s <= load_time(times.data + (i - 1) * h->time_bytes, h->time_bytes))
            return false;
        step->at_s = calendar_clamp(at_s);
    }
    z->step_count = h->time_count;
    return true;
}

/* The data block: its steps. The rest of it has no bearing on offsets. */
static bool read_block(struct zone *z, const struct tzif_header *h, struct view *rest,
                       struct error *e)
{
    struct view block, times, indexes, types;
    if (h->leap_count)
        return error_set(e, FAILURE_CONFIG, "it counts leap seconds, as no clock here does");
    if (block_bytes(h) > rest->len || !take(rest, &block, (size_t)block_bytes(h)) ||
        !take(&block, &times, h->time_count * h->time_bytes) ||
        !take(&block, &indexes, h->time_count) ||
        !take(&block, &types, (size_t)h->type_count * TYPE_BYTES))
        return false;
    z->steps = calloc(h->time_count + 1U, sizeof *z->steps);
    if (!z->steps)
        return error_no_memory(e);
    return read_type(&z->first_offset_s, types, 0) && read_steps(z, h, times, indexes, types);
}

/* The string for the time after the last step, between two line ends; it may be empty. */
static bool read_footer(struct zone *z, struct view rest)
{
    char text[FOOTER_MAX_BYTES];
    struct zone rules;
    struct error ignored = {0};
    if (rest.len < 2 || rest.len > sizeof text || rest.data[0] != '\n' ||
        rest.data[rest.len - 1] != '\n' || memchr(rest.data, '\0', rest.len))
        return false;
    if (rest.len == 2)
        return true;
    snprintf(text, sizeof text, "%.*s", (int)rest.len - 2, (const char *)rest.data + 1);
    if (!zone_parse(&rules, text, &ignored))
        return false;
    z->has_rules = true;
    z->rules = rules.rules;
    return true;
}

static bool read_file(struct zone *z, struct view rest, struct error *e)
{
    struct tzif_header h;
    struct view skipped;
    if (rest.len > TZIF_MAX_BYTES || !read_header(&h, &rest, 4))
        return false;
    if (h.version == 0)
        return read_block(z, &h, &rest, e) && rest.len == 0;
    return block_bytes(&h) <= rest.len && take(&rest, &skipped, (size_t)block_bytes(&h)) &&
           read_header(&h, &rest, 8) && read_block(z, &h, &rest, e) && read_footer(z, rest);
}

bool tzif_read(struct zone *out, struct view data, struct error *e)
{
    *out = (struct zone){0};
    if (read_file(out, data, e))
        return true;
    zone_free(out);
    return error_set(e, FAILURE_CONFIG, "malformed time zone file");
}
