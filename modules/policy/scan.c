/* The pieces that the texts of this folder consist of. */
#include "policy/scan.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

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
    uint64_t n;
    if (count < least || count > most || !text_number(&n, view_of(digits, count), 0, max))
        return false;
    *out = (unsigned)n;
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
