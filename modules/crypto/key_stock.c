/* Ephemeral keys made ahead, under a lock: worker threads take them. */
#include "crypto/key_stock.h"

void key_stock_init(struct key_stock *stock)
{
    stock->count = 0;
    pthread_mutex_init(&stock->lock, NULL);
}

void key_stock_end(struct key_stock *stock)
{
    wipe(stock->pairs, sizeof stock->pairs);
    stock->count = 0;
    pthread_mutex_destroy(&stock->lock);
}

/* False: there was no place for it any more. */
static bool put(struct key_stock *stock, const struct keypair *pair)
{
    pthread_mutex_lock(&stock->lock);
    bool room = stock->count < KEY_STOCK_MAX;
    if (room)
        stock->pairs[stock->count++] = *pair;
    pthread_mutex_unlock(&stock->lock);
    return room;
}

static unsigned missing(struct key_stock *stock)
{
    pthread_mutex_lock(&stock->lock);
    unsigned n = KEY_STOCK_MAX - stock->count;
    pthread_mutex_unlock(&stock->lock);
    return n;
}

void key_stock_fill(struct key_stock *stock)
{
    struct keypair pair;
    for (unsigned n = missing(stock); n > 0; n--) {
        keypair_generate(&pair); /* outside the lock: takers do not wait for it */
        if (!put(stock, &pair))
            break;
    }
    wipe(&pair, sizeof pair);
}

bool key_stock_take(struct key_stock *stock, struct keypair *pair)
{
    pthread_mutex_lock(&stock->lock);
    bool any = stock->count > 0;
    if (any) {
        struct keypair *last = &stock->pairs[--stock->count];
        *pair = *last;
        wipe(last, sizeof *last);
    }
    pthread_mutex_unlock(&stock->lock);
    return any;
}
