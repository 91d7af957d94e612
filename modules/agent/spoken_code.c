/* Codes of signs that neither sound nor look alike: no 0 beside O, no 1, I or L beside each other,
 * of M and N, of F and S, and of those that rhyme with B one each. */
#include "agent/spoken_code.h"

#include <string.h>

#include "base/clock.h"
#include "base/random.h"

#define SPAN_US (SPOKEN_CODE_KEPT_S * CLOCK_US_PER_S)

static const char signs[] = SPOKEN_SIGNS;
#define SIGNS (sizeof signs - 1)

_Static_assert(SIGNS *SIGNS *SIGNS *SIGNS == SPOKEN_CODES, "the codes are all there are");

static bool is_given(const struct spoken_codes *c, unsigned code)
{
    return (c->given[0][code / 8] | c->given[1][code / 8]) & 1U << code % 8;
}

/* Those of the span before the last are forgotten, which were given at least one span ago. */
static void begin_span(struct spoken_codes *c, uint64_t now_us)
{
    if (now_us - c->span_us < SPAN_US)
        return;
    if (now_us - c->span_us >= 2 * SPAN_US)
        *c = (struct spoken_codes){0};
    c->span = !c->span;
    c->span_us = now_us;
    c->count[c->span] = 0;
    memset(c->given[c->span], 0, sizeof c->given[c->span]);
}

bool spoken_code_new(struct spoken_codes *c, char out[SPOKEN_CODE_BYTES], uint64_t now_us)
{
    unsigned code;
    begin_span(c, now_us);
    if (c->count[0] + c->count[1] >= SPOKEN_CODES / 2)
        return false;
    do
        code = (unsigned)random_below(SPOKEN_CODES);
    while (is_given(c, code));
    c->given[c->span][code / 8] |= (uint8_t)(1U << code % 8);
    c->count[c->span]++;
    out[SPOKEN_CODE_SIGNS] = '\0';
    for (unsigned i = SPOKEN_CODE_SIGNS; i-- > 0; code /= SIGNS)
        out[i] = signs[code % SIGNS];
    return true;
}

void spoken_signs_new(char *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        out[i] = signs[random_below(SIGNS)];
    out[count] = '\0';
}

bool spoken_signs_read(char *out, unsigned count, const char *typed)
{
    unsigned taken = 0;
    for (; *typed != '\0'; typed++) {
        char sign = *typed >= 'a' && *typed <= 'z' ? (char)(*typed - 'a' + 'A') : *typed;
        if (sign == ' ' || sign == '-')
            continue;
        if (taken == count || !strchr(signs, sign))
            return false;
        out[taken++] = sign;
    }
    out[taken] = '\0';
    return taken == count;
}

bool spoken_code_read(char out[SPOKEN_CODE_BYTES], const char *typed)
{
    return spoken_signs_read(out, SPOKEN_CODE_SIGNS, typed);
}
