/* The file of emergency codes, those who wait for it, and the verb about them. */
#include "agent/code_desk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/approval_desk.h"
#include "agent/approvals.h"
#include "agent/service.h"
#include "agent/store.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "control/request.h"

#define FILE_NAME "codes"

/* A code that was taken, on its way to the disk. */
struct code_use {
    struct list link;
    unsigned number;  /* of the code */
    uint32_t request; /* that it is for */
};

/* Invariant: while `making` no code is taken, so that what is being written is the new list. */
struct code_desk {
    struct agent *agent;
    struct store *store; /* NULL: no directory */
    struct emergency_list list;
    struct emergency_tries tries;
    struct list uses; /* that wait for the disk */
    bool making;      /* the next list, which counts when it is on disk */
    struct emergency_list next;
    char texts[EMERGENCY_CODES_MAX][EMERGENCY_TEXT_BYTES];
    struct control_request *asker; /* of it; NULL: has gone */
};

/* ---- The file. ---- */

static void load(struct code_desk *d, const char *path)
{
    struct error e = {0};
    struct stat st;
    char *text = NULL;
    size_t len;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return; /* none was ever made */
    if (!file_read(path, EMERGENCY_FILE_MAX_BYTES, true, &text, &len, &e) ||
        !emergency_from_text(&d->list, text, &e))
        log_error("%s: %s: no emergency code counts until spx agent codes new", path, e.text);
    free(text);
}

static bool keep(const struct code_desk *d, const struct emergency_list *list, struct error *e)
{
    char *text = emergency_to_text(list);
    if (!text)
        return error_no_memory(e);
    store_write(d->store, text);
    return true;
}

/* ---- A new list. ---- */

static void put_code(struct control_request *r, unsigned number, const char *text)
{
    char out[CONTROL_LINE_BYTES];
    struct json_line line;
    json_begin(&line, out, sizeof out);
    json_put_text(&line, "kind", "new");
    json_put_number(&line, "number", number);
    json_put_text(&line, "code", text);
    control_put(r, &line);
    wipe(out, sizeof out);
}

static void tell_made(const struct code_desk *d)
{
    for (unsigned i = 0; i < d->list.count; i++)
        put_code(d->asker, i + 1, d->texts[i]);
    if (d->list.count)
        control_done(d->asker, "each counts once in place of an approval; they are not shown again,"
                               " and those made before count no more");
    else
        control_done(d->asker, "no emergency code counts any more");
}

static void log_made(const struct code_desk *d)
{
    struct log_fields f = {.event = "codes_made", .agent = d->agent->config.name};
    const struct audit_entry more = {.by = d->list.by, .count = d->list.count, .decision = true};
    log_event(LOG_WARNING, &f, "%zu emergency code%s made by %s; those before count no more",
              d->list.count, d->list.count == 1 ? "" : "s", d->list.by);
    audit_note(d->agent->audit, &f, &more);
}

static void finish_making(struct code_desk *d, const struct error *e)
{
    d->making = false;
    if (!e) {
        d->list = d->next;
        log_made(d);
    }
    if (d->asker && e)
        control_failed(d->asker, FAILURE_OTHER, "the codes cannot be kept, and none is new: %s",
                       e->text);
    else if (d->asker)
        tell_made(d);
    wipe(d->texts, sizeof d->texts);
}

static void on_gone(void *desk)
{
    struct code_desk *d = desk;
    d->asker = NULL;
}

void code_desk_make(struct code_desk *d, struct control_request *r, size_t count)
{
    static const struct control_work work = {.gone = on_gone};
    struct error e = {0};
    if (!d->store) {
        control_failed(r, FAILURE_OTHER, "without StateDirectory emergency codes cannot be kept");
        return;
    }
    if (d->making || !list_empty(&d->uses)) {
        control_failed(r, FAILURE_OTHER, "another change waits for the disk: try again");
        return;
    }
    emergency_make(&d->next, count, control_caller(r), (uint64_t)clock_wall_s(), d->texts);
    d->making = true;
    d->asker = r;
    control_begin(r, &work, d);
    if (!keep(d, &d->next, &e))
        finish_making(d, &e);
}

/* ---- How it stands. ---- */

static void put_list(const struct code_desk *d, struct control_request *r)
{
    char out[CONTROL_LINE_BYTES], made[DATE_TEXT_BYTES];
    struct json_line line;
    date_text(made, &d->agent->config.time_zone.zone, (int64_t)d->list.made_s);
    json_begin(&line, out, sizeof out);
    json_put_text(&line, "kind", "list");
    json_put_number(&line, "codes", d->list.count);
    json_put_number(&line, "left", emergency_left(&d->list));
    json_put_text(&line, "made", made);
    json_put_text(&line, "by", d->list.by);
    control_put(r, &line);
}

static void put_state(const struct code_desk *d, struct control_request *r, unsigned number)
{
    const struct emergency_code *code = &d->list.all[number - 1];
    char out[CONTROL_LINE_BYTES], used[DATE_TEXT_BYTES];
    struct json_line line;
    json_begin(&line, out, sizeof out);
    json_put_text(&line, "kind", "code");
    json_put_number(&line, "number", number);
    json_put_text(&line, "state", code->used_s ? "used" : "left");
    if (code->used_s) {
        date_text(used, &d->agent->config.time_zone.zone, (int64_t)code->used_s);
        json_put_text(&line, "used", used);
        json_put_text(&line, "user", code->user);
    }
    control_put(r, &line);
}

void code_desk_list(const struct code_desk *d, struct control_request *r)
{
    if (d->list.made_s)
        put_list(d, r);
    for (unsigned i = 0; i < d->list.count; i++)
        put_state(d, r, i + 1);
    control_done(r, "%s", "");
}

/* ---- A code is taken. ---- */

/* Returns the number; 0: e says why not. */
static unsigned try_code(struct code_desk *d, const char *typed, const struct agent_user *user,
                         struct error *e)
{
    uint64_t now = loop_now(d->agent->loop);
    unsigned number = 0;
    if (!emergency_may_try(&d->tries, user->public_key, now, e))
        return 0;
    number = emergency_take(&d->list, typed, user->name, (uint64_t)clock_wall_s(), e);
    if (!number)
        emergency_tried(&d->tries, user->public_key, now);
    return number;
}

size_t code_desk_left(const struct code_desk *d)
{
    return emergency_left(&d->list);
}

/* 0: e says why not. */
static unsigned refuse_use(struct code_use *use)
{
    free(use);
    return 0;
}

unsigned code_desk_take(struct code_desk *d, const char *typed, const struct agent_user *user,
                        uint32_t request, struct error *e)
{
    struct code_use *use = calloc(1, sizeof *use);
    if (!use)
        error_no_memory(e);
    else if (d->making)
        error_set(e, FAILURE_OTHER, "the emergency codes are being made anew");
    else
        *use = (struct code_use){.number = try_code(d, typed, user, e), .request = request};
    if (!use || !use->number || !keep(d, &d->list, e))
        return refuse_use(use);
    list_append(&d->uses, &use->link);
    return use->number;
}

static void finish_use(const struct code_desk *d, const struct code_use *use, bool kept)
{
    char by[APPROVAL_BY_BYTES];
    snprintf(by, sizeof by, "emergency code %u", use->number);
    if (kept)
        approval_desk_approve_for(d->agent->approval_desk, use->request, by);
    else
        service_end_request(d->agent, use->request,
                            "that the emergency code was used cannot be kept on the agent's disk");
}

static void on_written(void *desk, const struct error *e)
{
    struct code_desk *d = desk;
    if (e)
        log_error("emergency codes: %s", e->text);
    if (d->making)
        finish_making(d, e);
    list_each (link, &d->uses) {
        struct code_use *use = container_of(link, struct code_use, link);
        list_remove(link);
        finish_use(d, use, !e);
        free(use);
    }
}

/* ---- Start and end. ---- */

struct code_desk *code_desk_new(struct agent *a, const char *directory)
{
    struct code_desk *d = calloc(1, sizeof *d);
    char *path = NULL;
    if (!d || (directory && asprintf(&path, "%s/" FILE_NAME, directory) < 0)) {
        free(d);
        return NULL;
    }
    d->agent = a;
    list_init(&d->uses);
    if (path) {
        load(d, path);
        d->store = store_new(a->loop, path, on_written, d);
    }
    free(path);
    if (!directory || d->store)
        return d;
    free(d);
    return NULL;
}

void code_desk_free(struct code_desk *d)
{
    if (!d)
        return;
    store_free(d->store);
    list_each (link, &d->uses)
        free(container_of(link, struct code_use, link));
    wipe(d, sizeof *d);
    free(d);
}
