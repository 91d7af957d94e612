/* Hex and the files of tests/vectors, for the tests of modules/crypto. */
#ifndef SPX_TESTS_VECTORS_H
#define SPX_TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/primitives.h"

#define VECTOR_FIELDS 16
#define VECTOR_TEXT 8192

/* One group of lines name=value. */
struct vector {
    char line[VECTOR_FIELDS][VECTOR_TEXT];
    size_t count;
};

static inline uint8_t hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, c);

    assert_true(c != '\0' && at != NULL);
    return (uint8_t)(at - digits);
}

/* Writes the bytes; returns how many. */
static inline size_t hex_read(uint8_t *out, const char *text)
{
    size_t len = 0;

    for (; *text != '\0'; text += 2)
        out[len++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
    return len;
}

static inline void assert_hex(const uint8_t *bytes, const char *expected)
{
    uint8_t buffer[VECTOR_TEXT];

    assert_memory_equal(bytes, buffer, hex_read(buffer, expected));
}

/* Reads the next group; false at the end of the file. */
static inline bool vector_next(FILE *file, struct vector *v)
{
    char line[VECTOR_TEXT];

    v->count = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        if (line[0] == '\0' && v->count > 0)
            return true;
        if (line[0] == '\0')
            continue;
        assert_true(v->count < VECTOR_FIELDS);
        strcpy(v->line[v->count++], line);
    }
    return v->count > 0;
}

/* The text of a field, or NULL. */
static inline const char *vector_text(const struct vector *v, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < v->count; i++)
        if (strncmp(v->line[i], name, len) == 0 && v->line[i][len] == '=')
            return v->line[i] + len + 1;
    return NULL;
}

/* The bytes of a field (none if it is not there); returns how many. */
static inline size_t vector_bytes(const struct vector *v, const char *name, uint8_t *out)
{
    const char *text = vector_text(v, name);

    return text ? hex_read(out, text) : 0;
}

static inline int start_fast(void **state)
{
    (void)state;
    return crypto_start(false) ? 0 : -1;
}

static inline int start_portable(void **state)
{
    (void)state;
    return crypto_start(true) ? 0 : -1;
}

/* A test twice: with the processor's instructions and with the portable code. */
#define BOTH(test)                                            \
    {#test " (fast)", test, start_fast, NULL, NULL},          \
    {                                                         \
#test " (portable)", test, start_portable, NULL, NULL \
    }

#endif
