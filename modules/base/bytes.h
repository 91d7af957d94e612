/* Bytes in memory: views, big-endian integers, wiping, constant-time comparison. */
#ifndef SPX_BASE_BYTES_H
#define SPX_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that belong to someone else, valid as long as the owner says. */
struct view {
    const uint8_t *data;
    size_t len;
};

static inline struct view view_of(const void *data, size_t len)
{
    return (struct view){data, len};
}

static inline struct view view_of_string(const char *s)
{
    return (struct view){(const uint8_t *)s, strlen(s)};
}

static inline bool view_equal(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return ((uint32_t)load_be16(p) << 16) | load_be16(p + 2);
}

static inline uint64_t load_be64(const uint8_t *p)
{
    return ((uint64_t)load_be32(p) << 32) | load_be32(p + 4);
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_be16(p, (uint16_t)(v >> 16));
    store_be16(p + 2, (uint16_t)v);
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
    store_be32(p, (uint32_t)(v >> 32));
    store_be32(p + 4, (uint32_t)v);
}

/* Overwrites a secret; the compiler cannot optimise it away. */
void wipe(void *secret, size_t len);

/* True if two secrets of one length are equal; takes the same time wherever they differ. */
bool bytes_equal_secret(const void *a, const void *b, size_t len);

/* True if all bytes are zero; takes the same time wherever one is not. */
bool bytes_are_zero(const void *p, size_t len);

#endif
