/* The pieces that the texts of this folder consist of. */
#include "policy/scan.h"

#include <string.h>
#include <strings.h>

bool scan_sign(const char **at, char sign)
{
    if (**at != sign || sign == '\0')
        return false;
    ++*at;
    return true;
}

bool scan_number(const char **at, unsigned *out, unsigned least, unsigned most, unsigned max)
{
    const char *digits = *at;
    size_t count = strspn(digits, "0123456789");
    unsigned n = 0;
    if (count < least || count > most)
        return false;
    for (size_t i = 0; i < count; i++)
        n = 10 * n + (unsigned)(digits[i] - '0');
    if (n > max)
        return false;
    *out = n;
    *at += count;
    return true;
}

bool scan_word(const char **at, unsigned *out, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncasecmp(*at, words[i], strlen(words[i])) != 0)
            continue;
        *out = (unsigned)i;
        *at += strlen(words[i]);
        return true;
    }
    return false;
}

void scan_space(const char **at)
{
    *at += strspn(*at, " \t");
}
