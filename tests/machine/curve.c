/* Curve25519 of the simulated programs: libsodium's, several times as fast as BearSSL's, which
 * would take half of the simulation's time. It has the name of BearSSL's, so that the linker leaves
 * that one in its archive; the program's self-test at its start holds it against RFC 7748. */
#include <bearssl.h>
#include <sodium.h>
#include <string.h>

/* 1: point is scalar times point, both little-endian (br_ec_impl). */
static uint32_t multiply(unsigned char *point, size_t point_len, const unsigned char *scalar,
                         size_t scalar_len, int curve)
{
    unsigned char product[crypto_scalarmult_curve25519_BYTES];
    if (point_len != sizeof product || scalar_len != sizeof product || curve != BR_EC_curve25519)
        return 0;
    /* A point of low order is refused there; here the product is all zeros. */
    if (crypto_scalarmult_curve25519(product, scalar, point) != 0)
        sodium_memzero(product, sizeof product);
    memcpy(point, product, sizeof product);
    return 1;
}

const br_ec_impl br_ec_c25519_m31 = {
    .supported_curves = (uint32_t)1 << BR_EC_curve25519,
    .mul = multiply,
};
