/* Picks the fastest of BearSSL's constant-time implementations that this processor has. */
#include "crypto/backend.h"

#include "crypto/primitives.h"

static const struct crypto_backend portable_backend = {
    .aes = &br_aes_ct64_ctr_vtable,
    .ghash = br_ghash_ctmul64,
    .chacha20 = br_chacha20_ct_run,
    .poly1305 = br_poly1305_ctmul_run,
};

static struct crypto_backend chosen;

const struct crypto_backend *crypto_backend(void)
{
    return chosen.aes ? &chosen : &portable_backend;
}

bool crypto_has_aes(void)
{
    return crypto_backend()->has_aes;
}

/* Each getter gives NULL (0) where this processor or this build lacks the implementation. */
static struct crypto_backend fastest_backend(void)
{
    struct crypto_backend b = portable_backend;
    const br_block_ctr_class *aes = br_aes_x86ni_ctr_get_vtable();
    br_ghash ghash = br_ghash_pclmul_get();
    br_chacha20_run chacha20 = br_chacha20_sse2_get();
    br_poly1305_run poly1305 = br_poly1305_ctmulq_get();
    if (aes)
        b.aes = aes;
    if (ghash)
        b.ghash = ghash;
    if (chacha20)
        b.chacha20 = chacha20;
    if (poly1305)
        b.poly1305 = poly1305;
    b.has_aes = aes && ghash;
    return b;
}

void crypto_backend_choose(bool portable)
{
    chosen = portable ? portable_backend : fastest_backend();
}
