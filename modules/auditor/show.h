/* spx audit show: entries as a table or as they stand in the files. */
#ifndef SPX_AUDITOR_SHOW_H
#define SPX_AUDITOR_SHOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Which entries; NULL: any. */
struct show_options {
    const char *user, *agent;  /* patterns */
    const char *since, *until; /* as a time, or the beginning of one, in UTC: from the one on, and
                                  before the other */
    bool json;
};

/* True if the text is the beginning of a time, from the year to the day at least. */
bool show_is_time(const char *text);

/* Prints them, file after file. */
enum failure show_files(const struct show_options *o, char **paths, size_t count);

#endif
