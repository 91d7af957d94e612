/* sim [-j JOBS] [-v] [SEEDS [FIRST]]: simulates so many worlds (4,000) in which sessions of the
 * real engines lose their circuits (seeds.h). */
#include <stdio.h>

#include "crypto/primitives.h"
#include "seeds.h"
#include "world.h"

#define SEEDS_USUAL 4000

static struct world world;

static void run(uint64_t seed, bool verbose, struct outcome *out)
{
    out->good = world_run(&world, seed, verbose);
    out->hash = world.timeline.hash;
    snprintf(out->why, sizeof out->why, "%s", out->good ? "" : world.why);
}

static void tell(void)
{
    const struct totals *all = &world.totals;
    printf(
        "%llu sessions, %llu resumes (%llu beside an older circuit, %llu overtaken by its "
        "bytes), %llu streams ended cleanly, %llu reset, %.1f GB, %llu datagrams, %llu sessions "
        "granted (%llu while the client was away) and %llu denied, %llu heads, %.1f days simulated",
        (unsigned long long)all->sessions, (unsigned long long)all->resumes,
        (unsigned long long)all->beside, (unsigned long long)all->overtaken,
        (unsigned long long)all->streams_done, (unsigned long long)all->streams_reset,
        (double)all->bytes / 1e9, (unsigned long long)all->datagrams,
        (unsigned long long)all->granted, (unsigned long long)all->granted_away,
        (unsigned long long)all->denied, (unsigned long long)all->heads,
        (double)all->simulated_us / 86400e6);
}

int main(int argc, char **argv)
{
    const struct simulation simulation = {
        .name = "sim",
        .seeds_usual = SEEDS_USUAL,
        .run = run,
        .totals = (uint64_t *)(void *)&world.totals,
        .total_count = sizeof world.totals / sizeof(uint64_t),
        .tell = tell,
    };
    if (!crypto_start(false)) {
        fputs("sim: the cryptographic self-test failed\n", stderr);
        return 1;
    }
    return seeds_main(argc, argv, &simulation);
}
