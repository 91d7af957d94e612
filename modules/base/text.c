/* Encoding, cleaning, formatting and matching of text. */
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/unicode.h"

/* The data may be a private key: digits are computed, never looked up by a secret index. */

/* all ones when low <= v <= high, else 0; for values below 2^31 */
static uint32_t mask_in_range(uint32_t v, uint32_t low, uint32_t high)
{
    uint32_t outside = ((v - low) | (high - v)) >> 31;
    return outside - 1;
}

static char base64_digit(uint32_t v)
{
    uint32_t c = (mask_in_range(v, 0, 25) & (v + 'A')) |
                 (mask_in_range(v, 26, 51) & (v - 26 + 'a')) |
                 (mask_in_range(v, 52, 61) & (v - 52 + '0')) | (mask_in_range(v, 62, 62) & '+') |
                 (mask_in_range(v, 63, 63) & '/');
    return (char)c;
}

/* The value of a digit plus 1; 0 when it is none. */
static uint32_t base64_value_plus_1(uint32_t c)
{
    return (mask_in_range(c, 'A', 'Z') & (c - 'A' + 1)) |
           (mask_in_range(c, 'a', 'z') & (c - 'a' + 27)) |
           (mask_in_range(c, '0', '9') & (c - '0' + 53)) | (mask_in_range(c, '+', '+') & 63) |
           (mask_in_range(c, '/', '/') & 64);
}

void base64_encode(char *out, const uint8_t *data, size_t len)
{
    while (len > 0) {
        uint32_t second = len > 1 ? data[1] : 0, third = len > 2 ? data[2] : 0;
        uint32_t group = (uint32_t)data[0] << 16 | second << 8 | third;
        *out++ = base64_digit(group >> 18);
        *out++ = base64_digit(group >> 12 & 63);
        *out++ = base64_digit(group >> 6 & 63);
        *out++ = base64_digit(group & 63);
        if (len < 3)
            out[-1] = '=';
        if (len < 2)
            out[-2] = '=';
        data += len < 3 ? len : 3;
        len -= len < 3 ? len : 3;
    }
    *out = '\0';
}

/* Decodes the n bytes (1 to 3) of a group of 4 characters. */
static bool base64_decode_group(uint8_t *out, size_t n, const uint8_t *text)
{
    uint32_t group = 0, bad = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = 0;
        if (i <= n) {
            value = base64_value_plus_1(text[i]);
            bad |= mask_in_range(value, 0, 0);
            value -= 1;
        } else {
            bad |= ~mask_in_range(text[i], '=', '=');
        }
        group = group << 6 | (value & 63);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    bad |= group & (0xffffffU >> (8 * n)); /* unused bits */
    return bad == 0;
}

bool base64_decode(uint8_t *out, size_t out_len, struct view text)
{
    if (text.len % 4 != 0 || text.len / 4 != out_len / 3 + (out_len % 3 != 0))
        return false;
    bool good = true;
    for (size_t at = 0; out_len > 0; at += 4) {
        size_t n = out_len < 3 ? out_len : 3;
        good = base64_decode_group(out, n, text.data + at) && good;
        out += n;
        out_len -= n;
    }
    return good;
}

void text_hex(char *out, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

char *text_put(char *out, const char *text)
{
    while (*text != '\0')
        *out++ = *text++;
    return out;
}

char *text_put_number(char *out, uint64_t number)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0)
        *out++ = digits[--n];
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_unhex(uint8_t *out, size_t len, const char *text)
{
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++, text += 2) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct view view_from(struct view v, size_t offset)
{
    return view_of(v.data + offset, v.len - offset);
}

bool utf8_valid(struct view text)
{
    uint32_t point;
    for (size_t at = 0, n; at < text.len; at += n) {
        n = utf8_next(view_from(text, at), &point);
        if (n == 0)
            return false;
    }
    return true;
}

size_t text_clean(char *out, size_t size, struct view text)
{
    size_t written = 0;
    if (size == 0)
        return 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t point = 0;
        size_t n = utf8_next(view_from(text, at), &point);
        bool shown = n > 0 && !unicode_misleads(point);
        size_t needed = shown ? n : 1;
        if (needed > size - 1 - written)
            break;
        if (shown)
            memcpy(out + written, text.data + at, n);
        else
            out[written] = '?';
        written += needed;
        at += n > 0 ? n : 1;
    }
    out[written] = '\0';
    return written;
}

void text_quote(char *out, size_t size, const char *text)
{
    size_t len = text_clean(out + 1, size - 2, view_of_string(text));
    out[0] = '"';
    for (char *at = out + 1; (at = memchr(at, '"', len - (size_t)(at - out - 1))) != NULL;)
        *at = '\'';
    out[len + 1] = '"';
    out[len + 2] = '\0';
}

void text_format(char *out, size_t size, const char *format, va_list args)
{
    char raw[1024] = "";
    vsnprintf(raw, sizeof raw, format, args);
    text_clean(out, size, view_of_string(raw));
}

bool text_is_clean(struct view text)
{
    uint32_t point = 0;
    for (size_t at = 0, n; at < text.len; at += n) {
        n = utf8_next(view_from(text, at), &point);
        if (n == 0 || unicode_misleads(point))
            return false;
    }
    return true;
}

bool text_number(uint64_t *out, struct view text, uint64_t low, uint64_t high)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)text.data[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    if (text.len == 0 || v < low || v > high)
        return false;
    *out = v;
    return true;
}

bool text_take_number(const char **at, char end, uint64_t *out, uint64_t low, uint64_t high)
{
    size_t digits = strspn(*at, "0123456789");
    if ((*at)[digits] != end || !text_number(out, view_of(*at, digits), low, high))
        return false;
    *at += digits + (end != '\0');
    return true;
}

void text_bytes(char out[16], uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    uint64_t unit = 1000;
    size_t i = 0;
    if (bytes < 1000) {
        snprintf(out, 16, "%u B", (unsigned)bytes);
        return;
    }
    for (; units[i + 1] != '\0' && bytes / unit >= 1000; i++)
        unit *= 1000;
    snprintf(out, 16, "%u.%u %cB", (unsigned)(bytes / unit), (unsigned)(bytes % unit / (unit / 10)),
             units[i]);
}

void text_duration(char out[24], uint64_t us)
{
    uint64_t tenths = (us + 50000) / 100000, s = (us + 500000) / 1000000;
    if (tenths < 100 && tenths % 10 != 0)
        snprintf(out, 24, "%u.%u s", (unsigned)(tenths / 10), (unsigned)(tenths % 10));
    else if (s < 60)
        snprintf(out, 24, "%u s", (unsigned)s);
    else if (s < 3600 && s % 60 != 0)
        snprintf(out, 24, "%u min %u s", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 3600)
        snprintf(out, 24, "%u min", (unsigned)(s / 60));
    else if (s % 3600 < 60)
        snprintf(out, 24, "%" PRIu64 " h", s / 3600);
    else
        snprintf(out, 24, "%" PRIu64 " h %u min", s / 3600, (unsigned)(s % 3600 / 60));
}

void text_wait(char out[32], uint64_t us)
{
    char time[24];
    text_duration(time, us);
    snprintf(out, 32, "%s%s", us ? "in " : "now", us ? time : "");
}

void text_round_trip(char out[24], uint64_t us)
{
    uint64_t tenths = (us + 50) / 100;
    if (tenths < 100)
        snprintf(out, 24, "%u.%u ms", (unsigned)(tenths / 10), (unsigned)(tenths % 10));
    else
        snprintf(out, 24, "%" PRIu64 " ms", (us + 500) / 1000);
}

/* A pattern as a machine that is in several states at once, a bit for each. In state i the first i
 * elements (bytes of characters, and '?') have matched. Each row has as many words as there are
 * states. */
#define STATE_WORDS (PATTERN_MAX_BYTES / 64 + 1)

struct matcher {
    uint64_t byte[256 * STATE_WORDS]; /* a row for each byte; state i: element i is that byte */
    uint64_t any[STATE_WORDS];        /* state i: element i is '?' */
    uint64_t
        after_any[STATE_WORDS]; /* state i: element i - 1 is; its character's rest may follow */
    uint64_t star[STATE_WORDS]; /* state i: a '*' stands before element i */
    size_t elements, words;
};

static void add_state(uint64_t *row, size_t i)
{
    row[i / 64] |= 1ULL << i % 64;
}

/* Compiles a pattern with so many elements. */
static void compile(struct matcher *m, const char *pattern, size_t elements)
{
    m->elements = elements;
    m->words = elements / 64 + 1;
    memset(m->byte, 0, 256 * m->words * sizeof m->byte[0]);
    memset(m->any, 0, sizeof m->any);
    memset(m->after_any, 0, sizeof m->after_any);
    memset(m->star, 0, sizeof m->star);
    for (size_t i = 0; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            add_state(m->star, i);
        } else if (*pattern == '?') {
            add_state(m->any, i++);
            add_state(m->after_any, i);
        } else {
            add_state(m->byte + (uint8_t)*pattern * m->words, i++);
        }
    }
}

/* Runs over the text; inline, so that the common case of one word is a loop without another inside.
 */
static inline bool run(const struct matcher *m, const char *text, size_t words)
{
    uint64_t now[STATE_WORDS] = {1};
    for (; *text != '\0'; text++) {
        bool continues = ((uint8_t)*text & 0xc0) == 0x80; /* a character of UTF-8 */
        const uint64_t *row = m->byte + (uint8_t)*text * words;
        uint64_t carry = 0;
        for (size_t i = 0; i < words; i++) {
            uint64_t go = now[i] & (row[i] | (continues ? 0 : m->any[i]));
            uint64_t stay = now[i] & (m->star[i] | (continues ? m->after_any[i] : 0));
            now[i] = go << 1 | carry | stay;
            carry = go >> 63;
        }
    }
    return (now[m->elements / 64] >> m->elements % 64 & 1) != 0;
}

static bool machine_matches(const char *pattern, const char *text)
{
    struct matcher m;
    size_t elements = 0;
    for (const char *c = pattern; *c != '\0'; c++)
        elements += *c != '*';
    if (elements > PATTERN_MAX_BYTES)
        return false;
    compile(&m, pattern, elements);
    return m.words == 1 ? run(&m, text, 1) : run(&m, text, m.words);
}

bool text_matches(const char *pattern, const char *text)
{
    /* Most patterns are a name, or decided before the first wildcard. */
    while (*pattern != '*' && *pattern != '?' && *pattern == *text && *text != '\0') {
        pattern++;
        text++;
    }
    if (*pattern == '\0' || (*pattern != '*' && *pattern != '?'))
        return *pattern == *text;
    if (pattern[0] == '*' && pattern[1] == '\0')
        return true;
    return machine_matches(pattern, text);
}
