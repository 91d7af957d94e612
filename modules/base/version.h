/* The program's version. */
#ifndef SPX_BASE_VERSION_H
#define SPX_BASE_VERSION_H

#define SPX_VERSION "0.1.0"
#define SPX_VERSION_TEXT "spx " SPX_VERSION /* as peers see it in INFO */

#endif
