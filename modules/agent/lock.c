/* The lock: its state, the file that keeps it, and the orders that wait for that. */
#include "agent/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/approval_desk.h"
#include "agent/events.h"
#include "agent/service.h"
#include "agent/store.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "control/request.h"

#define FILE_NAME "lock"
#define FILE_VERSION 1
#define FILE_MAX_BYTES 1024
#define LOOK_US (5 * CLOCK_US_PER_S) /* at the wall clock, which may be set */
#define STAMP_US (60 * CLOCK_US_PER_S)

/* As the file has it. */
struct lock_state {
    bool locked;
    uint64_t until_s;  /* open: seconds since 1970; 0: without limit */
    uint64_t until_us; /* the same by the boot clock, which nobody sets */
    char why[LOCK_WHY_MAX_BYTES + 1];
};

struct agent_lock {
    struct agent *agent;
    struct lock_state now, wanted; /* wanted: when it is on disk, while opening */
    bool opening;
    unsigned ended;              /* sessions, when it was locked last */
    char boot[CLOCK_BOOT_BYTES]; /* whose boot clock that is */
    uint64_t stamped_us;         /* when the file was last given the time */
    struct timer look;
    struct store *store;             /* NULL: no directory */
    struct control_request *waiting; /* for the disk, or NULL */
};

/* ---- The file. ---- */

/* Allocated; NULL without memory. */
static char *state_text(const struct agent_lock *l, const struct lock_state *s)
{
    char *text = malloc(FILE_MAX_BYTES);
    struct json_line line;
    size_t len;
    if (!text)
        return NULL;
    json_begin(&line, text, FILE_MAX_BYTES - 1);
    json_put_number(&line, "version", FILE_VERSION);
    json_put_text(&line, "state", s->locked ? "locked" : "open");
    json_put_number(&line, "written_s", (uint64_t)clock_wall_s());
    json_put_number(&line, "until_s", s->until_s);
    json_put_text(&line, "boot", l->boot);
    json_put_number(&line, "until_boot_us", s->until_us);
    json_put_text(&line, "why", s->why);
    len = json_end(&line);
    text[len] = '\0';
    return text;
}

/* By the boot clock, if it has gone on since (an earlier release did not write it), so that nothing
 * is gained by setting the other one while the agent does not run. */
static void read_until(const struct agent_lock *l, struct lock_state *s,
                       const struct json_object *o)
{
    uint64_t wall_s = (uint64_t)clock_wall_s();
    char boot[CLOCK_BOOT_BYTES];
    if (l->boot[0] && json_get_text(o, "boot", boot, sizeof boot) && strcmp(boot, l->boot) == 0 &&
        json_get_number(o, "until_boot_us", &s->until_us))
        return;
    s->until_us =
        loop_now(l->agent->loop) + (s->until_s > wall_s ? s->until_s - wall_s : 0) * CLOCK_US_PER_S;
}

/* False: e says why it cannot be taken as it is. */
static bool read_state(const struct agent_lock *l, struct lock_state *s, const char *text,
                       size_t len, struct error *e)
{
    struct json_object o;
    uint64_t version, written_s;
    char state[16], why[LOCK_WHY_MAX_BYTES + 1];
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (!json_read(&o, view_of(text, len), e))
        return false;
    if (!json_get_number(&o, "version", &version) || version != FILE_VERSION ||
        !json_get_text(&o, "state", state, sizeof state) ||
        !json_get_number(&o, "written_s", &written_s) ||
        !json_get_number(&o, "until_s", &s->until_s) || !json_get_text(&o, "why", why, sizeof why))
        return error_set(e, FAILURE_OTHER, "not a state that this release knows");
    if (written_s > (uint64_t)clock_wall_s())
        return error_set(e, FAILURE_OTHER, "written later than the clock says");
    s->locked = strcmp(state, "open") != 0;
    read_until(l, s, &o);
    text_clean(s->why, sizeof s->why, view_of_string(why));
    return true;
}

/* Whatever is wrong with it, it locks. */
static void load(struct agent_lock *l, const char *path)
{
    struct error e = {0};
    struct stat st;
    char *text = NULL;
    size_t len;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return; /* the first start */
    if (!file_read(path, FILE_MAX_BYTES, true, &text, &len, &e) ||
        !read_state(l, &l->now, text, len, &e)) {
        l->now = (struct lock_state){.locked = true};
        log_error("%s: %s: the agent is locked until spx agent unlock", path, e.text);
    }
    free(text);
}

/* ---- Changes. ---- */

static void log_state(const struct agent_lock *l, const char *who)
{
    struct log_fields f = {.event = l->now.locked ? "locked" : "unlocked",
                           .agent = l->agent->config.name,
                           .reason = l->now.why};
    const struct audit_entry more = {.by = who, .decision = true};
    char left[24] = "", text[LOCK_WHY_MAX_BYTES + 128];
    text_duration(left, lock_left_s(l) * CLOCK_US_PER_S);
    snprintf(text, sizeof text, "%s by %s%s%s%s%s", f.event, who, l->now.why[0] ? ": " : "",
             l->now.why, l->now.until_s ? ", for " : "", l->now.until_s ? left : "");
    log_event(LOG_WARNING, &f, "%s", text);
    audit_note(l->agent->audit, &f, &more);
    event_tell(l->agent, EVENT_LOCK, NULL, &f, &more, text);
}

static void look_again(struct agent_lock *l)
{
    uint64_t next = loop_now(l->agent->loop) + LOOK_US;
    timer_set(l->agent->loop, &l->look,
              !l->now.until_s          ? CLOCK_NEVER
              : l->now.until_us < next ? l->now.until_us
                                       : next);
}

static void apply(struct agent_lock *l, const struct lock_state *s)
{
    l->now = *s;
    l->agent->is_locked = s->locked;
    look_again(l);
}

/* False: there is nothing to wait for. e says why it cannot be kept, if there is a directory. */
static bool keep(struct agent_lock *l, const struct lock_state *s, struct error *e)
{
    char *text = l->store ? state_text(l, s) : NULL;
    l->stamped_us = loop_now(l->agent->loop);
    if (text)
        store_write(l->store, text);
    else if (l->store)
        error_no_memory(e);
    return text != NULL;
}

/* ---- Orders. ---- */

static void on_gone(void *lock)
{
    struct agent_lock *l = lock;
    l->waiting = NULL;
}

/* One order waits; one before it is overtaken. */
static void wait_for_disk(struct agent_lock *l, struct control_request *r)
{
    static const struct control_work work = {.gone = on_gone};
    if (l->waiting)
        control_failed(l->waiting, FAILURE_OTHER, "another order came before this was kept");
    l->waiting = r;
    control_begin(r, &work, l);
}

static void tell_closed(const struct agent_lock *l, struct control_request *r, const char *unkept)
{
    char ended[40] = "";
    if (l->ended)
        snprintf(ended, sizeof ended, "; %u session%s ended", l->ended, l->ended == 1 ? "" : "s");
    if (unkept)
        control_done(r, "the agent is locked%s; a restart would not know: %s", ended, unkept);
    else
        control_done(r, "the agent is locked%s%s", ended,
                     l->store ? "" : "; without StateDirectory a restart does not know");
}

static void tell_open(const struct agent_lock *l, struct control_request *r)
{
    char left[24];
    text_duration(left, lock_left_s(l) * CLOCK_US_PER_S);
    control_done(r, "the agent is open%s%s%s", l->now.until_s ? " for " : "",
                 l->now.until_s ? left : "",
                 l->store ? "" : "; without StateDirectory a restart does not know");
}

static void finish_opening(struct agent_lock *l, struct control_request *r, const char *unkept)
{
    l->opening = false;
    if (unkept) {
        if (r)
            control_failed(r, FAILURE_OTHER, "%s, as a new state cannot be kept: %s",
                           l->now.locked ? "still locked" : "still open as before", unkept);
        return;
    }
    apply(l, &l->wanted);
    log_state(l, r ? control_caller(r) : "an order whose asker has gone");
    if (r)
        tell_open(l, r);
}

static void on_written(void *lock, const struct error *e)
{
    struct agent_lock *l = lock;
    struct control_request *r = l->waiting;
    const char *unkept = e ? e->text : NULL;
    if (e)
        log_error("the lock would not outlive this process: %s", e->text);
    if (l->opening)
        finish_opening(l, r, unkept);
    else if (r)
        tell_closed(l, r, unkept);
}

/* An unlock that waits for the disk is over with it. */
static void close_now(struct agent_lock *l, const char *why)
{
    struct lock_state locked = {.locked = true};
    char text[LOCK_WHY_MAX_BYTES + 32];
    snprintf(locked.why, sizeof locked.why, "%s", why);
    snprintf(text, sizeof text, "the agent is locked%s%s", why[0] ? ": " : "", why);
    if (l->opening && l->waiting)
        control_failed(l->waiting, FAILURE_OTHER, "locked before this was kept");
    l->opening = false;
    apply(l, &locked);
    l->ended = service_end_by_order(l->agent, 0, NULL, text);
    approval_desk_end_all(l->agent, "lock", text);
}

void lock_close(struct agent_lock *l, struct control_request *r, const char *why)
{
    struct error e = {0};
    close_now(l, why);
    log_state(l, control_caller(r));
    if (keep(l, &l->now, &e))
        wait_for_disk(l, r);
    else
        tell_closed(l, r, e.failure ? e.text : NULL);
}

void lock_open(struct agent_lock *l, struct control_request *r, uint32_t for_s)
{
    struct error e = {0};
    l->wanted = (struct lock_state){0};
    if (for_s) {
        l->wanted.until_s = (uint64_t)clock_wall_s() + for_s;
        l->wanted.until_us = loop_now(l->agent->loop) + for_s * CLOCK_US_PER_S;
    }
    l->opening = true;
    if (keep(l, &l->wanted, &e))
        wait_for_disk(l, r);
    else
        finish_opening(l, r, e.failure ? e.text : NULL);
}

/* While it is open for a time the file tells how late it is: a clock that says less at the next
 * start was set back. */
static void stamp(struct agent_lock *l)
{
    struct error e = {0};
    if (l->now.until_s && !l->opening)
        keep(l, &l->now, &e);
}

/* By the earlier of the two clocks. */
static void on_look(struct timer *timer)
{
    struct agent_lock *l = container_of(timer, struct agent_lock, look);
    struct error e = {0};
    if (lock_left_s(l) > 0) {
        if (loop_now(l->agent->loop) - l->stamped_us >= STAMP_US)
            stamp(l);
        look_again(l);
        return;
    }
    close_now(l, "the time that it was open for is over");
    log_state(l, "itself");
    if (!keep(l, &l->now, &e) && e.failure)
        log_error("the lock would not outlive this process: %s", e.text);
}

/* ---- Start and end. ---- */

struct agent_lock *lock_new(struct agent *a, const char *directory)
{
    struct agent_lock *l = calloc(1, sizeof *l);
    struct error e = {0};
    char *path = NULL;
    if (!l || (directory && asprintf(&path, "%s/" FILE_NAME, directory) < 0)) {
        free(l);
        return NULL;
    }
    l->agent = a;
    l->look.on_fire = on_look;
    clock_boot(l->boot);
    l->now.locked = a->config.starts_locked;
    if (path)
        load(l, path);
    if (path && !(l->store = store_new(a->loop, path, on_written, l))) {
        free(path);
        free(l);
        return NULL;
    }
    free(path);
    apply(l, &l->now);
    keep(l, &l->now, &e);
    if (l->now.locked)
        log_state(l, "the state at the start");
    return l;
}

void lock_free(struct agent_lock *l)
{
    if (!l)
        return;
    timer_cancel(l->agent->loop, &l->look);
    stamp(l);
    store_free(l->store);
    free(l);
}

const char *lock_why(const struct agent_lock *l)
{
    return l->now.why;
}

/* The wall clock may have been set, and the machine started again. */
uint64_t lock_left_s(const struct agent_lock *l)
{
    uint64_t now = loop_now(l->agent->loop), wall_s = (uint64_t)clock_wall_s();
    uint64_t boot_s =
        l->now.until_us > now ? (l->now.until_us - now + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S : 0;
    uint64_t left_s = l->now.until_s > wall_s ? l->now.until_s - wall_s : 0;
    return left_s < boot_s ? left_s : boot_s;
}
