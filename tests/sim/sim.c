/* sim [-j JOBS] [-v] [SEEDS [FIRST]]: simulates so many worlds (4,000) from seed FIRST (1) on, with
 * so many processes (one for each core). Prints each seed that fails and how to see it again. -v:
 * shows all that happens; for one seed. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/primitives.h"
#include "world.h"

#define JOBS_MAX 256
#define SEEDS_USUAL 4000
#define CHUNK 16       /* seeds that a job takes at once */
#define SHOWN_MAX 20   /* failures */
#define TWICE_EVERY 64 /* such a seed is run twice, and both runs must be the same */
#define SEED_LIMIT_S 60
#define PLAIN_EVERY_S 30 /* progress where there is no terminal */

/* In memory that the jobs share. */
struct shared {
    uint64_t first, seeds;
    bool verbose;
    const char *program;
    _Atomic uint64_t next, done, failed;
    _Atomic uint64_t running[JOBS_MAX]; /* the seed of each job */
    struct totals totals[JOBS_MAX];
};

static struct world world;

static void report(struct shared *sh, uint64_t seed, const char *why)
{
    if (atomic_fetch_add(&sh->failed, 1) >= SHOWN_MAX)
        return;
    dprintf(STDOUT_FILENO, "sim: seed %llu failed: %s\n  see it again: %s -v 1 %llu\n",
            (unsigned long long)seed, why, sh->program, (unsigned long long)seed);
}

static void run_seed(struct shared *sh, uint64_t seed)
{
    bool good = world_run(&world, seed, sh->verbose);
    uint64_t hash = world.timeline.hash;
    if (good && !sh->verbose && seed % TWICE_EVERY == 0) {
        good = world_run(&world, seed, false);
        world_expect(&world, hash == world.timeline.hash, "the same seed ran differently");
        good = good && !world.failed;
    }
    if (!good)
        report(sh, seed, world.why);
    atomic_fetch_add(&sh->done, 1);
}

static void run_job(struct shared *sh, unsigned job)
{
    uint64_t from;
    while ((from = atomic_fetch_add(&sh->next, CHUNK)) < sh->seeds) {
        for (uint64_t i = from; i < from + CHUNK && i < sh->seeds; i++) {
            alarm(SEED_LIMIT_S);
            atomic_store(&sh->running[job], sh->first + i);
            run_seed(sh, sh->first + i);
        }
    }
    sh->totals[job] = world.totals;
    world_free(&world);
}

static void show_progress(struct shared *sh, uint64_t since_us)
{
    static uint64_t shown_us;
    uint64_t now = clock_now_us(), done = atomic_load(&sh->done);
    bool terminal = isatty(STDOUT_FILENO);
    if (!terminal && now - (shown_us ? shown_us : since_us) < PLAIN_EVERY_S * CLOCK_US_PER_S)
        return;
    shown_us = now;
    printf(terminal ? "\rsim: %llu of %llu seeds, %llu failed, %llu a second "
                    : "sim: %llu of %llu seeds, %llu failed, %llu a second\n",
           (unsigned long long)done, (unsigned long long)sh->seeds,
           (unsigned long long)atomic_load(&sh->failed),
           (unsigned long long)(done * CLOCK_US_PER_S / (now - since_us + 1)));
    fflush(stdout);
}

static unsigned start_jobs(struct shared *sh, unsigned jobs, pid_t pids[])
{
    unsigned started = 0;
    fflush(stdout);
    for (unsigned job = 0; job < jobs; job++) {
        pids[job] = fork();
        if (pids[job] == 0) {
            run_job(sh, job);
            _exit(0);
        }
        started += pids[job] > 0;
    }
    return started;
}

/* A job that did not come to its end tells by its seed. */
static void take_end(struct shared *sh, const pid_t pids[], unsigned jobs, pid_t pid, int status)
{
    char why[80];
    for (unsigned job = 0; job < jobs; job++) {
        if (pids[job] != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            continue;
        snprintf(why, sizeof why,
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it took over a minute"
                                                                    : "the program broke down");
        report(sh, atomic_load(&sh->running[job]), why);
    }
}

static void wait_for_jobs(struct shared *sh, const pid_t pids[], unsigned jobs, unsigned started)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t since = clock_now_us();
    while (started > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            take_end(sh, pids, jobs, pid, status);
            started--;
        } else {
            nanosleep(&pause, NULL);
            show_progress(sh, since);
        }
    }
}

static void sum_up(struct shared *sh, unsigned jobs, uint64_t took_us)
{
    struct totals all = {0};
    uint64_t failed = atomic_load(&sh->failed), done = atomic_load(&sh->done);
    for (unsigned job = 0; job < jobs; job++) {
        const uint64_t *from = (const uint64_t *)(const void *)&sh->totals[job];
        uint64_t *to = (uint64_t *)(void *)&all;
        for (size_t i = 0; i < sizeof all / sizeof(uint64_t); i++)
            to[i] += from[i];
    }
    printf(
        "%ssim: %llu sessions, %llu resumes (%llu beside an older circuit, %llu overtaken by its "
        "bytes), %llu streams ended cleanly, %llu reset, %.1f GB, %llu datagrams, %.1f days "
        "simulated\n",
        isatty(STDOUT_FILENO) ? "\r\033[K" : "", (unsigned long long)all.sessions,
        (unsigned long long)all.resumes, (unsigned long long)all.beside,
        (unsigned long long)all.overtaken, (unsigned long long)all.streams_done,
        (unsigned long long)all.streams_reset, (double)all.bytes / 1e9,
        (unsigned long long)all.datagrams, (double)all.simulated_us / 86400e6);
    printf("sim: %llu passed, %llu failed, in %.1f s\n",
           (unsigned long long)(done > failed ? done - failed : 0), (unsigned long long)failed,
           (double)took_us / 1e6);
}

static unsigned parse(struct shared *sh, int argc, char **argv)
{
    unsigned jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    int option;
    while ((option = getopt(argc, argv, "j:v")) != -1) {
        if (option == 'j')
            jobs = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'v')
            sh->verbose = true;
        else
            return 0;
    }
    sh->program = argv[0];
    sh->seeds = optind < argc ? strtoull(argv[optind], NULL, 10) : SEEDS_USUAL;
    sh->first = optind + 1 < argc ? strtoull(argv[optind + 1], NULL, 10) : 1;
    return jobs < JOBS_MAX ? jobs : JOBS_MAX;
}

int main(int argc, char **argv)
{
    struct shared *sh =
        mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t since = clock_now_us();
    pid_t pids[JOBS_MAX];
    unsigned jobs = sh == MAP_FAILED ? 0 : parse(sh, argc, argv);
    if (!jobs || !crypto_start(false)) {
        fprintf(stderr, "usage: sim [-j JOBS] [-v] [SEEDS [FIRST]]\n");
        return 2;
    }
    /* The circuits' buffers are used again and again: keep their pages. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (sh->verbose)
        run_job(sh, 0);
    else
        wait_for_jobs(sh, pids, jobs, start_jobs(sh, jobs, pids));
    sum_up(sh, jobs, clock_now_us() - since);
    return atomic_load(&sh->failed) > 0 || atomic_load(&sh->done) < sh->seeds;
}
