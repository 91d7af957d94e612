/* The program's version. */
#ifndef SPX_BASE_VERSION_H
#define SPX_BASE_VERSION_H

#include <stdint.h>

#define SPX_VERSION "0.1.0"
#define SPX_VERSION_TEXT "spx " SPX_VERSION /* as peers see it in INFO */

/* The date of the commit that it was built from, or of SOURCE_DATE_EPOCH, in seconds since 1970: no
 * right clock shows an earlier time. */
int64_t version_built_s(void);

#endif
