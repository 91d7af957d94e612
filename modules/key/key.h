/* Key files: making them and showing their public keys. */
#ifndef SPX_KEY_KEY_H
#define SPX_KEY_KEY_H

/* The applet: `key new FILE`, `key public [FILE]`. Wants crypto_start to have been called. Returns
 * an exit code of base/exits.h. */
int key_main(int argc, char **argv);

#endif
