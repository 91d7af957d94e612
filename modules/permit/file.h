/* Permits in files. */
#ifndef SPX_PERMIT_FILE_H
#define SPX_PERMIT_FILE_H

#include "permit/permit.h"

/* Reads the permit of a file, "-" for standard input, and decodes it: p points into out. Errors are
 * FAILURE_CONFIG, with the file's name. Whoever could change the file could only take the permit
 * away, so nothing is asked of its owner and mode. */
bool permit_file_read(struct permit *p, uint8_t out[PERMIT_MAX_BYTES], size_t *len,
                      const char *path, struct error *e);

#endif
