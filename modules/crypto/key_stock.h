/* Ephemeral key pairs made while nobody waited for them, so that a handshake that is waited for has
 * one multiplication less. Each is used once and wiped. Any thread may use it. */
#ifndef SPX_CRYPTO_KEY_STOCK_H
#define SPX_CRYPTO_KEY_STOCK_H

#include <pthread.h>

#include "crypto/primitives.h"

#define KEY_STOCK_MAX 8

struct key_stock {
    pthread_mutex_t lock;
    unsigned count;
    struct keypair pairs[KEY_STOCK_MAX];
};

/* An empty stock: key_stock_end frees what it holds. */
void key_stock_init(struct key_stock *stock);

/* Wipes what is left. */
void key_stock_end(struct key_stock *stock);

/* Makes what is missing: a multiplication each. */
void key_stock_fill(struct key_stock *stock);

/* Takes one out. False: there is none, pair is as it was. */
bool key_stock_take(struct key_stock *stock, struct keypair *pair);

#endif
