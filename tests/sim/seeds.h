/* Runs a simulation for many seeds, with several processes; prints each seed that fails and how to
 * see it again. */
#ifndef SPX_SIM_SEEDS_H
#define SPX_SIM_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

#define TOTALS_MAX 16
#define WHY_BYTES 256

struct outcome {
    bool good;
    char why[WHY_BYTES]; /* not good: what did not hold */
    uint64_t hash;       /* of all that happened */
};

struct simulation {
    const char *name;
    uint64_t seeds_usual; /* when the command line says nothing */
    bool apart;           /* each seed leaves memory behind: it gets a process of its own */
    void (*run)(uint64_t seed, bool verbose, struct outcome *out);
    /* Numbers of all seeds together, which run adds to. */
    uint64_t *totals;
    unsigned total_count; /* at most TOTALS_MAX */
    void (*tell)(void);   /* prints the totals, as part of a line */
};

/* The program NAME [-j JOBS] [-v] [SEEDS [FIRST]]: simulates so many seeds from FIRST (1) on, with
 * so many processes (one for each core). -v: shows all that happens; for one seed. Returns the exit
 * code. */
int seeds_main(int argc, char **argv, const struct simulation *simulation);

#endif
