/* Random bytes from the kernel. */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/exits.h"

void random_bytes(void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            dprintf(STDERR_FILENO, "spx: no randomness from the kernel (getrandom: %s)\n",
                    system_text(errno));
            _exit(exit_code(FAILURE_OTHER));
        }
        p += n;
        len -= (size_t)n;
    }
}

uint64_t random_below(uint64_t bound)
{
    /* 2^64 mod bound: values below it would make the small results more likely. */
    uint64_t unfair = (UINT64_MAX - bound + 1) % bound;
    uint64_t v;

    do
        random_bytes(&v, sizeof v);
    while (v < unfair);
    return v % bound;
}
