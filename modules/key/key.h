/* Key files: making them and showing their public keys. */
#ifndef SPX_KEY_KEY_H
#define SPX_KEY_KEY_H

#include "base/error.h"

/* The applet: `key new FILE`, `key public [FILE]`. Wants crypto_start to have been called. Returns
 * how it ended, having told why. */
enum failure key_main(int argc, char **argv);

#endif
