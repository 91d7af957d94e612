/* The files of the page, in the program. */
#ifndef SPX_WEB_PAGE_H
#define SPX_WEB_PAGE_H

#include "base/bytes.h"

struct page_file {
    const char *path, *type;
    struct view (*content)(void);
};

/* "/" and what it names; ended by one without a path. */
extern const struct page_file page_files[];

#endif
