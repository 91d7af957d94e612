/* The insides of an audit, for modules/audit only. */
#ifndef SPX_AUDIT_STATE_H
#define SPX_AUDIT_STATE_H

#include <pthread.h>

#include "audit/file.h"
#include "audit/heads.h"
#include "audit/recent.h"
#include "base/rate.h"
#include "net/loop.h"

struct audit {
    char *path;
    const char *role;
    char *agent;                                    /* or NULL */
    void (*on_failing)(void *arg, const char *why); /* or NULL */
    void *arg;
    struct io io; /* an eventfd: something of what follows has changed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, over;
    bool refuse, keeps_recent;       /* settings */
    bool told_failing, told_stalled; /* the loop's */
    /* Under the lock, as all to the thread's. */
    bool hurry, stop, stopped;
    bool abandoned;           /* its owner has not waited for the thread, which frees it */
    bool has_signed, news;    /* there is a signed head; it is to be given to the owner */
    bool no_heads;            /* none from now on */
    bool head_wanted;         /* one of all up to head_ticket at least */
    unsigned head_count;      /* of heads */
    struct list queue;        /* what the thread has not taken yet */
    size_t bytes;             /* of all that is not written */
    uint64_t issued, written; /* tickets */
    uint64_t decided;         /* the last ticket of a decision that is written */
    uint64_t waiting;         /* how many are not written */
    uint64_t lost;            /* entries left out since the last that was taken */
    uint64_t progress_us;     /* of the last commit, or the first entry after it */
    struct list heads;        /* received, and not judged yet */
    uint64_t head_ticket;
    uint64_t next_sign_us;
    struct signed_head signed_head;
    struct error head_trouble;  /* to be told */
    struct audit_recent recent; /* of what is written, if settings ask for it */
    struct error failing;       /* of the last try; FAILURE_NONE: it was good */
    struct error trouble;       /* to be told */
    /* The thread's. */
    struct audit_file file;
    struct audit_heads keys;
    struct list taken;
    /* The loop's. */
    struct list waits;
    struct rate heads_rate;
    void (*on_head)(void *arg, struct view head);
    char own[FINGERPRINT_TEXT_BYTES]; /* of the key it runs with; "": heads are not signed */
};

#endif
