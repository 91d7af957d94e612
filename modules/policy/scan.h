/* Reading a text from its start: each function takes a piece off the front and returns
 * true, or leaves it. */
#ifndef SPX_POLICY_SCAN_H
#define SPX_POLICY_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* This character. */
bool scan_sign(const char **at, char sign);

/* A decimal number of `least` to `most` digits (at most 9) that is not above max. */
bool scan_number(const char **at, unsigned *out, unsigned least, unsigned most, unsigned max);

/* One of the words, all of the same length, without regard to case; *out is which. */
bool scan_word(const char **at, unsigned *out, const char *const *words, size_t count);

/* Spaces and tabs, or none. */
void scan_space(const char **at);

#endif
