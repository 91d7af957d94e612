/* The command line of a simulation, and its processes: each takes a few seeds at a time. */
#include "seeds.h"

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

#define JOBS_MAX 256
#define CHUNK 16       /* seeds that a job takes at once */
#define SHOWN_MAX 20   /* failures */
#define TWICE_EVERY 64 /* such a seed is run twice, and both runs must be the same */
#define SEED_LIMIT_S 60
#define PLAIN_EVERY_S 30 /* progress where there is no terminal */

/* Of a job, in memory that all share. */
struct job {
    _Atomic uint64_t seed; /* that it runs */
    uint64_t totals[TOTALS_MAX];
    struct outcome outcome; /* of a seed in a process of its own */
    uint64_t outcome_totals[TOTALS_MAX];
};

struct shared {
    const struct simulation *simulation;
    uint64_t first, seeds;
    bool verbose;
    const char *program;
    _Atomic uint64_t next, done, failed;
    struct job jobs[JOBS_MAX];
};

static void report(struct shared *sh, uint64_t seed, const char *why)
{
    if (atomic_fetch_add(&sh->failed, 1) >= SHOWN_MAX)
        return;
    dprintf(STDOUT_FILENO, "%s: seed %llu failed: %s\n  see it again: %s -v 1 %llu\n",
            sh->simulation->name, (unsigned long long)seed, why, sh->program,
            (unsigned long long)seed);
}

/* ---- One seed. ---- */

static const char *end_text(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it took over a minute"
                                                              : "the program broke down";
}

static void add_totals(uint64_t to[], const uint64_t from[], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        to[i] += from[i];
}

static void run_child(struct shared *sh, struct job *job, uint64_t seed)
{
    const struct simulation *s = sh->simulation;
    alarm(SEED_LIMIT_S);
    s->run(seed, sh->verbose, &job->outcome);
    memcpy(job->outcome_totals, s->totals, s->total_count * sizeof(uint64_t));
    fflush(stdout);
    _exit(0);
}

/* In a process of its own, with whose end all is gone that it left behind. */
static void run_apart(struct shared *sh, struct job *job, uint64_t seed, struct outcome *out)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_child(sh, job, seed);
    if (pid > 0)
        waitpid(pid, &status, 0);
    *out = job->outcome;
    if (status != 0) {
        out->good = false;
        snprintf(out->why, sizeof out->why, "%s", end_text(status));
    } else {
        add_totals(sh->simulation->totals, job->outcome_totals, sh->simulation->total_count);
    }
}

static void run_once(struct shared *sh, struct job *job, uint64_t seed, struct outcome *out)
{
    if (sh->simulation->apart) {
        run_apart(sh, job, seed, out);
        return;
    }
    alarm(SEED_LIMIT_S);
    sh->simulation->run(seed, sh->verbose, out);
}

static void run_seed(struct shared *sh, struct job *job, uint64_t seed)
{
    struct outcome out, again;
    run_once(sh, job, seed, &out);
    if (out.good && !sh->verbose && seed % TWICE_EVERY == 0) {
        run_once(sh, job, seed, &again);
        if (again.good && again.hash != out.hash)
            again = (struct outcome){.why = "the same seed ran differently"};
        out = again;
    }
    if (!out.good)
        report(sh, seed, out.why);
    atomic_fetch_add(&sh->done, 1);
}

/* ---- All of them. ---- */

static void run_job(struct shared *sh, struct job *job)
{
    uint64_t from, chunk = sh->simulation->apart ? 1 : CHUNK;
    while ((from = atomic_fetch_add(&sh->next, chunk)) < sh->seeds) {
        for (uint64_t i = from; i < from + chunk && i < sh->seeds; i++) {
            atomic_store(&job->seed, sh->first + i);
            run_seed(sh, job, sh->first + i);
        }
    }
    add_totals(job->totals, sh->simulation->totals, sh->simulation->total_count);
}

static void show_progress(struct shared *sh, uint64_t since_us)
{
    static uint64_t shown_us;
    uint64_t now = clock_now_us(), done = atomic_load(&sh->done);
    bool terminal = isatty(STDOUT_FILENO);
    if (!terminal && now - (shown_us ? shown_us : since_us) < PLAIN_EVERY_S * CLOCK_US_PER_S)
        return;
    shown_us = now;
    printf(terminal ? "\r%s: %llu of %llu seeds, %llu failed, %llu a second "
                    : "%s: %llu of %llu seeds, %llu failed, %llu a second\n",
           sh->simulation->name, (unsigned long long)done, (unsigned long long)sh->seeds,
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
            run_job(sh, &sh->jobs[job]);
            _exit(0);
        }
        started += pids[job] > 0;
    }
    return started;
}

/* A job that did not come to its end tells by its seed. */
static void take_end(struct shared *sh, const pid_t pids[], unsigned jobs, pid_t pid, int status)
{
    for (unsigned job = 0; job < jobs; job++)
        if (pids[job] == pid && status != 0)
            report(sh, atomic_load(&sh->jobs[job].seed), end_text(status));
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
    const struct simulation *s = sh->simulation;
    uint64_t failed = atomic_load(&sh->failed), done = atomic_load(&sh->done);
    memset(s->totals, 0, s->total_count * sizeof(uint64_t));
    for (unsigned job = 0; job < jobs; job++)
        add_totals(s->totals, sh->jobs[job].totals, s->total_count);
    printf("%s%s: ", isatty(STDOUT_FILENO) ? "\r\033[K" : "", s->name);
    s->tell();
    printf("\n%s: %llu passed, %llu failed, in %.1f s\n", s->name,
           (unsigned long long)(done > failed ? done - failed : 0), (unsigned long long)failed,
           (double)took_us / 1e6);
}

static unsigned parse(struct shared *sh, int argc, char **argv)
{
    unsigned jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    int option;
    while ((option = getopt(argc, argv, "j:v")) != -1)
        if (option == 'j')
            jobs = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'v')
            sh->verbose = true;
        else
            return 0;
    sh->program = argv[0];
    sh->seeds = optind < argc ? strtoull(argv[optind], NULL, 10) : sh->simulation->seeds_usual;
    sh->first = optind + 1 < argc ? strtoull(argv[optind + 1], NULL, 10) : 1;
    return jobs < JOBS_MAX ? jobs : JOBS_MAX;
}

int seeds_main(int argc, char **argv, const struct simulation *simulation)
{
    struct shared *sh =
        mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t since = clock_now_us();
    pid_t pids[JOBS_MAX];
    if (sh == MAP_FAILED) {
        perror(simulation->name);
        return 1;
    }
    sh->simulation = simulation;
    unsigned jobs = parse(sh, argc, argv);
    if (!jobs) {
        fprintf(stderr, "usage: %s [-j JOBS] [-v] [SEEDS [FIRST]]\n", simulation->name);
        return 2;
    }
    /* The circuits' buffers are used again and again: keep their pages. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (sh->verbose)
        run_job(sh, &sh->jobs[0]);
    else
        wait_for_jobs(sh, pids, jobs, start_jobs(sh, jobs, pids));
    sum_up(sh, jobs, clock_now_us() - since);
    return atomic_load(&sh->failed) > 0 || atomic_load(&sh->done) < sh->seeds;
}
