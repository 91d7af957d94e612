/* Distances of words: few names, all short, so that the plain table over both words will do. */
#include "cli/nearest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64 /* as long as a name */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The optimal string alignment distance; both words have at most WORD_MAX letters. */
static unsigned distance_of(const char *a, const char *b)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    size_t m = strlen(a), n = strlen(b);
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                            least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[m][n];
}

void nearest_offer(struct nearest *n, const char *name)
{
    if (strlen(n->word) > WORD_MAX || strlen(name) > WORD_MAX)
        return;

    unsigned distance = distance_of(n->word, name);
    if (distance > (strlen(name) + 1) / 3 || (n->best && distance >= n->distance))
        return;
    n->best = name;
    n->distance = distance;
}

void nearest_text(char out[NEAREST_TEXT_BYTES], const struct nearest *n, const char *what,
                  const char *dashes)
{
    if (n->best)
        snprintf(out, NEAREST_TEXT_BYTES, "unknown %s '%s%s'; did you mean '%s%s'?", what, dashes,
                 n->word, dashes, n->best);
    else
        snprintf(out, NEAREST_TEXT_BYTES, "unknown %s '%s%.120s'", what, dashes, n->word);
}
