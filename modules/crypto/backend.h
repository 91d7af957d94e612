/* Which of BearSSL's implementations the ciphers use; for modules/crypto only. */
#ifndef SPX_CRYPTO_BACKEND_H
#define SPX_CRYPTO_BACKEND_H

#include <bearssl.h>
#include <stdbool.h>

struct crypto_backend {
    const br_block_ctr_class *aes;
    br_ghash ghash;
    br_chacha20_run chacha20;
    br_poly1305_run poly1305;
    bool has_aes; /* aes and ghash are the processor's instructions */
};

/* In use now; the portable one before crypto_backend_choose. */
const struct crypto_backend *crypto_backend(void);

/* portable: as crypto_start's. */
void crypto_backend_choose(bool portable);

#endif
