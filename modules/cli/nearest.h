/* The word that somebody meant who mistyped it. */
#ifndef SPX_CLI_NEAREST_H
#define SPX_CLI_NEAREST_H

/* A search: set word, offer each name, then read best. */
struct nearest {
    const char *word; /* as typed */
    const char *best; /* NULL: none is near enough */
    unsigned distance;
};

/* Keeps the name if it is nearer than those before: at most a third of its letters put in, left
 * out, replaced or swapped with the next one. */
void nearest_offer(struct nearest *n, const char *name);

/* "unknown command 'agnet'; did you mean 'agent'?", of what is to be so called. dashes stand before
 * both words: "--" of options, "" otherwise. out takes NEAREST_TEXT_BYTES; a long word is cut. */
#define NEAREST_TEXT_BYTES 160
void nearest_text(char out[NEAREST_TEXT_BYTES], const struct nearest *n, const char *what,
                  const char *dashes);

#endif
