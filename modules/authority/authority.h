/* `spx permit`: what the holder of an authority's key does. */
#ifndef SPX_AUTHORITY_AUTHORITY_H
#define SPX_AUTHORITY_AUTHORITY_H

#include "base/error.h"

/* The applet: `permit issue`, `permit show`, `permit check`. Wants crypto_start to have been
 * called. Returns how it ended, having told why. */
enum failure permit_main(int argc, char **argv);

#endif
