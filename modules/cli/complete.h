/* Completions for shells, from the tables that the help is made of. */
#ifndef SPX_CLI_COMPLETE_H
#define SPX_CLI_COMPLETE_H

#include "cli/tables.h"

/* The word before a command line that is not to be run but completed. */
#define COMPLETE_WORD "--complete"

/* Prints what the last of the words could become, a line each: the whole word and, behind a tab,
 * its help. A line ":files" stands for names of files. words: the command line behind the applet's
 * name; none: as one that is empty. */
void cli_complete(struct cli *c, int count, char **words);

/* Prints such a line if the word begins with the prefix; of the help, NULL for none, the beginning.
 * For suggest in the applet's table too: the prefix is c->prefix. */
void cli_offer(const char *prefix, const char *word, const char *help);

#endif
