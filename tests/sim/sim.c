/* sim SEEDS [FIRST] [-v]: runs so many worlds, from seed FIRST on. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/primitives.h"
#include "world.h"

static struct world world;

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    bool verbose = argc > 3;
    uint64_t failed = 0, steps = 0;
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    crypto_start(false);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bool good = world_run(&world, seed, verbose);
        steps += world.timeline.steps;
        if (!good) {
            printf("seed %llu: %s\n", (unsigned long long)seed, world.why);
            failed++;
        }
    }
    printf("%llu seeds, %llu failed, %llu steps, %016llx\n", (unsigned long long)seeds,
           (unsigned long long)failed, (unsigned long long)steps,
           (unsigned long long)world.timeline.hash);
    struct totals *o = &world.totals;
    printf("%llu s simulated, %llu sessions, %llu resumes (%llu beside), %llu overtaken, %llu done, %llu reset, %llu bytes, %llu crashes, %llu windows over\n", (unsigned long long)(o->simulated_us/1000000),(unsigned long long)o->sessions,(unsigned long long)o->resumes,(unsigned long long)o->beside,(unsigned long long)o->overtaken,(unsigned long long)o->streams_done,(unsigned long long)o->streams_reset,(unsigned long long)o->bytes,(unsigned long long)o->crashes,(unsigned long long)o->windows_over);
    world_free(&world);
    return failed > 0;
}
