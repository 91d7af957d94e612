/* Text: base64, hexadecimal, UTF-8, texts from peers, human-readable numbers. */
#ifndef SPX_BASE_TEXT_H
#define SPX_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Standard base64 with padding (RFC 4648 section 4). out takes 4 * ((len + 2) / 3) + 1 bytes and is
 * terminated. */
void base64_encode(char *out, const uint8_t *data, size_t len);

/* Decodes exactly out_len bytes from canonical base64 (right padding, unused bits zero, nothing
 * else around it); false otherwise, out is then undefined. */
bool base64_decode(uint8_t *out, size_t out_len, struct view text);

/* Lower-case hexadecimal; out takes 2 * len + 1 bytes and is terminated. */
void text_hex(char *out, const uint8_t *data, size_t len);

/* The reverse: exactly len bytes of it; false otherwise, out is then undefined. */
bool text_unhex(uint8_t *out, size_t len, const char *text);

/* Writes a text, or a number in decimal (at most 20 digits), without a terminator; returns its end.
 * For short ones that are written thousands of times a second. */
char *text_put(char *out, const char *text);
char *text_put_number(char *out, uint64_t number);

/* True if the bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(struct view text);

/* Copies a peer's text into out (size bytes, always terminated), made safe to show: every byte that
 * is not valid UTF-8 and every character that shows nothing, breaks the line or changes the
 * direction (base/unicode.h) becomes '?'; what does not fit is cut at a character's border. Returns
 * the length written. */
size_t text_clean(char *out, size_t size, struct view text);

/* Quotes somebody's words: they stand between double quotes, and those within are single ones. What
 * does not fit into out (size bytes, at least 3, terminated) is cut at a character's border. The
 * text need not be clean. */
void text_quote(char *out, size_t size, const char *text);

/* Formats as vsnprintf does, at most 1,023 bytes, and makes it safe to show as text_clean does:
 * values quoted from files and peers may hold anything. */
void text_format(char *out, size_t size, const char *format, va_list args);

/* True if the text holds nothing that text_clean would replace. */
bool text_is_clean(struct view text);

/* A decimal number: digits and nothing else, neither a sign nor a space; zeros may lead. False: it
 * is none, or not in the range; out is left alone. */
bool text_number(uint64_t *out, struct view text, uint64_t low, uint64_t high);

/* The same at the start of a text, with the character `end` behind it: *at moves behind that.
 * False: *at is left alone too. */
bool text_take_number(const char **at, char end, uint64_t *out, uint64_t low, uint64_t high);

/* "512 B", "1.5 KB", "3.2 MB", …: decimal units. out takes 16 bytes. */
void text_bytes(char out[16], uint64_t bytes);

/* "0 s", "0.5 s", "4 s", "45 s", "2 min 5 s", "3 h 20 min": rounded, with a decimal below 10 s
 * unless it is 0. out takes 24 bytes. */
void text_duration(char out[24], uint64_t us);

/* When something is tried again: "now", or "in 0.5 s". out takes 32 bytes. */
void text_wait(char out[32], uint64_t us);

/* A round trip in milliseconds: "0.3 ms", "4 ms", "120 ms". out takes 24 bytes. */
void text_round_trip(char out[24], uint64_t us);

#define PATTERN_MAX_BYTES 256 /* of text_matches, without '*' */

/* Shell-like pattern match of valid UTF-8: '*' stands for any run of characters, '?' for one,
 * nothing else is special. A longer pattern than PATTERN_MAX_BYTES matches nothing. Takes the same
 * few steps for each byte of pattern and text, whatever they hold. */
bool text_matches(const char *pattern, const char *text);

#endif
