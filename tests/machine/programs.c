/* programs [-j JOBS] [-v] [SEEDS [FIRST]]: simulates so many worlds in which the whole program
 * runs, as relays, agent and clients on simulated machines, and much goes wrong (seeds.h). */
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "crypto/primitives.h"
#include "seeds.h"
#include "site.h"

#define SEEDS_USUAL 300

static struct site site;
static struct totals totals;

static void run(uint64_t seed, bool verbose, struct outcome *out)
{
    out->good = site_run(&site, seed, verbose, &totals);
    out->hash = timeline.hash;
    memcpy(out->why, site.why, sizeof out->why);
}

static void tell(void)
{
    printf(
        "%llu sessions, %llu resumes, %llu programs started again, %llu connections cut, "
        "%llu changes of who is known, which ended %llu circuits and %llu sessions, %llu granted, "
        "%llu ends of connections clean, %llu reset, %.2f GB, %.1f days simulated",
        (unsigned long long)totals.sessions, (unsigned long long)totals.resumes,
        (unsigned long long)totals.restarts, (unsigned long long)totals.cuts,
        (unsigned long long)totals.changes, (unsigned long long)totals.revoked,
        (unsigned long long)totals.refused, (unsigned long long)totals.granted,
        (unsigned long long)totals.done, (unsigned long long)totals.reset,
        (double)totals.bytes / 1e9, (double)totals.simulated_us / 86400e6);
}

#ifdef __SANITIZE_ADDRESS__
/* Under the address sanitizer, which warns of the first change of stacks in a process: so that it
 * does here, and not for each seed. */
static void change_stacks_once(void)
{
    ucontext_t here, left;
    volatile bool changed = false;
    if (getcontext(&here) == 0 && !changed) {
        changed = true;
        swapcontext(&left, &here);
    }
}
#endif

int main(int argc, char **argv)
{
    const struct simulation simulation = {
        .name = "programs",
        .seeds_usual = SEEDS_USUAL,
        .apart = true,
        .run = run,
        .totals = (uint64_t *)(void *)&totals,
        .total_count = sizeof totals / sizeof(uint64_t),
        .tell = tell,
    };
    if (!crypto_start(false)) {
        fputs("programs: the cryptographic self-test failed\n", stderr);
        return 1;
    }
#ifdef __SANITIZE_ADDRESS__
    change_stacks_once();
#endif
    return seeds_main(argc, argv, &simulation);
}
