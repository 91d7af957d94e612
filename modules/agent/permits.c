/* Admission by permits. All that is cheap is asked before the signature, and that only of a sender
 * who has proven the permit's key; how often relays may bring such is limited already
 * (attempts.h). */
#include "agent/permits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/version.h"
#include "guard/guard.h"
#include "permit/judge.h"
#include "permit/revoked.h"

#define FILE_NAME "permits"
#define FILE_VERSION 1
#define FILE_MAX_BYTES 256
#define LOOK_US (CLOCK_US_PER_S / 2)
/* With those that have no session, whose signatures are known to be good. */
#define GUESTS_MAX 128

struct permits {
    struct agent *agent;
    struct revoked revoked;
    struct timer look;   /* at those files */
    int64_t floor_s;     /* the latest issue of a permit that was accepted */
    struct store *store; /* NULL: no directory */
    unsigned count;      /* of the agent's guests */
};

/* ---- The floor. ---- */

static void on_written(void *permits, const struct error *e)
{
    (void)permits;
    if (e)
        log_error("a clock that is set back after a restart could revive permits: %s", e->text);
}

/* Allocated; NULL without memory. */
static char *floor_text(int64_t floor_s)
{
    char *text = malloc(FILE_MAX_BYTES);
    struct json_line line;
    if (!text)
        return NULL;
    json_begin(&line, text, FILE_MAX_BYTES - 1);
    json_put_number(&line, "version", FILE_VERSION);
    json_put_number(&line, "issued_s", (uint64_t)floor_s);
    text[json_end(&line)] = '\0';
    return text;
}

static void raise_floor(struct permits *p, uint64_t issued_s)
{
    char *text;
    if ((int64_t)issued_s <= p->floor_s)
        return;
    p->floor_s = (int64_t)issued_s;
    text = p->store ? floor_text(p->floor_s) : NULL;
    if (text)
        store_write(p->store, text);
}

static bool read_floor(int64_t *floor_s, const char *text, size_t len, struct error *e)
{
    struct json_object o;
    uint64_t version, issued_s;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (!json_read(&o, view_of(text, len), e))
        return false;
    if (!json_get_number(&o, "version", &version) || version != FILE_VERSION ||
        !json_get_number(&o, "issued_s", &issued_s) || issued_s > PERMIT_TIME_MAX_S)
        return error_set(e, FAILURE_OTHER, "not a state that this release knows");
    *floor_s = (int64_t)issued_s;
    return true;
}

/* The program's own age is a floor, too, which nobody can take away. */
static void load(struct permits *p, const char *path)
{
    struct error e = {0};
    struct stat st;
    char *text = NULL;
    size_t len;
    int64_t kept_s = 0;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return;
    if (file_read(path, FILE_MAX_BYTES, true, &text, &len, &e) &&
        read_floor(&kept_s, text, len, &e))
        p->floor_s = kept_s > p->floor_s ? kept_s : p->floor_s;
    else
        log_error("%s: %s: a clock that was set back could revive permits", path, e.text);
    free(text);
}

static bool open_store(struct permits *p, const char *directory, struct error *e)
{
    char *path = NULL;
    if (!directory)
        return true;
    if (asprintf(&path, "%s/" FILE_NAME, directory) < 0)
        return error_no_memory(e);
    load(p, path);
    p->store = store_new(p->agent->loop, path, on_written, p);
    free(path);
    return p->store || error_no_memory(e);
}

/* ---- Revocations. ---- */

static bool read_lists(struct permits *p, const struct agent_config *c, struct error *e)
{
    bool all = true;
    for (size_t i = 0; i < c->authority_count; i++) {
        const struct agent_authority *a = &c->authorities[i];
        all =
            (!a->revocations || revoked_read(&p->revoked, a->public_key, a->revocations, e)) && all;
    }
    return all;
}

/* True if one of the files may have changed. */
static bool have_changed(const struct permits *p)
{
    const struct agent_config *c = &p->agent->config;
    bool changed = false;
    for (size_t i = 0; i < c->authority_count; i++) {
        const struct agent_authority *a = &c->authorities[i];
        changed |=
            a->revocations && revoked_may_have_changed(&p->revoked, a->public_key, a->revocations);
    }
    return changed;
}

static void renew_all(struct agent *a);

static void on_look(struct timer *timer)
{
    struct permits *p = container_of(timer, struct permits, look);
    struct error e = {0};
    if (have_changed(p)) {
        if (!read_lists(p, &p->agent->config, &e))
            log_error("%s" REVOKED_STAYS "%s", e.text, guard_hint(&e));
        renew_all(p->agent);
        p->agent->on_revoked(p->agent);
    }
    if (p->revoked.count)
        timer_set(p->agent->loop, &p->look, loop_now(p->agent->loop) + LOOK_US);
}

struct permits *permits_new(struct agent *a, const char *directory, struct error *e)
{
    struct permits *p = calloc(1, sizeof *p);
    if (!p) {
        error_no_memory(e);
        return NULL;
    }
    p->agent = a;
    p->floor_s = version_built_s();
    p->look.on_fire = on_look;
    if (open_store(p, directory, e) && read_lists(p, &a->config, e)) {
        if (p->revoked.count)
            timer_set(a->loop, &p->look, loop_now(a->loop) + LOOK_US);
        return p;
    }
    permits_free(p);
    return NULL;
}

void permits_free(struct permits *p)
{
    if (!p)
        return;
    list_each (link, &p->agent->guests)
        guest_free(container_of(link, struct guest, place));
    timer_cancel(p->agent->loop, &p->look);
    revoked_free(&p->revoked);
    store_free(p->store);
    free(p);
}

/* ---- Guests. ---- */

static void forget(struct agent *a, struct guest *g)
{
    guest_free(g);
    a->permits->count--;
}

/* Of those without a session the one used longest ago. */
static void make_room(struct agent *a)
{
    list_each (link, &a->guests) {
        struct guest *g = container_of(link, struct guest, place);
        if (a->permits->count < GUESTS_MAX)
            return;
        if (g->sessions == 0)
            forget(a, g);
    }
}

static bool keep(struct agent *a, struct guest *g, struct wire_error *no)
{
    make_room(a);
    if (a->permits->count >= GUESTS_MAX) {
        guest_free(g);
        return wire_error_set(no, CODE_FULL, "too many permits are in use at this agent");
    }
    list_append(&a->guests, &g->place);
    a->permits->count++;
    return true;
}

struct guest *permits_guest(const struct agent *a, const uint8_t key[KEY_BYTES],
                            const struct session_hello *hello)
{
    uint8_t id[PERMIT_ID_BYTES];
    struct guest *g;
    struct permit p;
    struct error ignored = {0};
    if (!permit_decode(&p, hello->permit, true, &ignored))
        return NULL;
    permit_id(id, &p);
    g = guest_find(&a->guests, key, id);
    return g && !g->withdrawn ? g : NULL;
}

void permits_take(struct agent *a, struct guest *g)
{
    g->sessions++;
    list_move(&a->guests, &g->place);
}

void permits_drop(struct agent *a, struct guest *g)
{
    if (--g->sessions == 0 && g->withdrawn)
        forget(a, g);
}

/* ---- Admission. ---- */

static bool deny(struct wire_error *no, const char *text)
{
    return wire_error_set(no, CODE_DENIED, "%s", text);
}

static const struct agent_authority *authority_of(const struct agent_config *c,
                                                  const struct permit *p)
{
    uint8_t hash[HASH_BYTES];
    for (size_t i = 0; i < c->authority_count; i++) {
        permit_authority_hash(hash, c->authorities[i].public_key);
        if (memcmp(hash, p->outer.authority, sizeof hash) == 0)
            return &c->authorities[i];
    }
    return NULL;
}

static bool is_for_here(const struct agent *a, const struct permit *p)
{
    struct permit_place place = {a->config.name, a->config.scope, a->key.public_key};
    return permit_is_for(p, &place);
}

static bool is_in_time(const struct agent *a, const struct permit *p,
                       const struct agent_authority *by, bool begins, struct error *e)
{
    struct permit_clock clock = {.zone = &a->config.time_zone.zone,
                                 .wall_s = clock_wall_s(),
                                 .floor_s = a->permits->floor_s,
                                 .max_permit_s = by->max_permit_s};
    uint32_t session_s = permit_session_s(p, by->most.given.rules.max_session_s);
    return begins ? permit_may_begin(p, &clock, e) : permit_may_go_on(p, &clock, session_s, e);
}

/* The signature comes last. */
static bool admit_new(struct agent *a, const struct permit *p, struct view bytes,
                      const struct agent_authority *by, struct wire_error *no)
{
    struct error e = {0};
    struct guest *g;
    if (!permit_is_signed_by(p, by->public_key))
        return deny(no, "the permit is not signed by the authority that it names");
    g = guest_new(p, bytes, by, &e);
    if (!g)
        return wire_error_set(no, e.failure == FAILURE_DENIED ? CODE_DENIED : CODE_INTERNAL, "%s",
                              e.text);
    if (!keep(a, g, no))
        return false;
    raise_floor(a->permits, p->outer.issued_s);
    return true;
}

static bool admit(struct agent *a, const uint8_t key[KEY_BYTES], const struct permit *p,
                  struct view bytes, bool begins, struct wire_error *no)
{
    const struct agent_authority *by = authority_of(&a->config, p);
    const struct guest *known;
    uint8_t id[PERMIT_ID_BYTES];
    struct error e = {0};
    if (!by)
        return deny(no, "the permit is of an authority that this agent does not trust");
    if (memcmp(p->outer.user_key, key, KEY_BYTES) != 0)
        return deny(no, "the permit is for another key than the user proves");
    if (!is_for_here(a, p))
        return deny(no, "the permit is not for this agent");
    if (!is_in_time(a, p, by, begins, &e))
        return deny(no, e.text);
    if (revoked_say(&a->permits->revoked, by->public_key, p))
        return deny(no, revoked_say(&a->permits->revoked, by->public_key, p));
    permit_id(id, p);
    known = guest_find(&a->guests, key, id);
    if (!known)
        return admit_new(a, p, bytes, by, no);
    return !known->withdrawn || deny(no, "the permit cannot be used here any more");
}

/* A session that goes on has its permit from its begin. */
static bool has_session(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    list_each (link, &a->guests) {
        const struct guest *g = container_of(link, struct guest, place);
        if (g->sessions > 0 && memcmp(g->user.public_key, key, KEY_BYTES) == 0)
            return true;
    }
    return false;
}

bool permits_are_asked(const struct agent *a, const uint8_t key[KEY_BYTES],
                       const struct session_hello *hello)
{
    bool begins = bytes_are_zero(hello->session_id, SESSION_ID_BYTES);
    return hello->permit.len > 0 || (!begins && has_session(a, key));
}

bool permits_admit(struct agent *a, const uint8_t key[KEY_BYTES], const struct session_hello *hello,
                   struct wire_error *no)
{
    bool begins = bytes_are_zero(hello->session_id, SESSION_ID_BYTES);
    struct permit p;
    struct error e = {0};
    if (!begins && has_session(a, key))
        return true;
    if (!permit_decode(&p, hello->permit, true, &e))
        return deny(no, e.text);
    return admit(a, key, &p, hello->permit, begins, no);
}

/* ---- After a reload. ---- */

static bool still_counts(struct agent *a, struct guest *g)
{
    const struct agent_authority *by;
    struct permit p;
    struct error e = {0};
    g->why = NULL;
    if (!permit_decode(&p, view_of(g->bytes, g->len), true, &e) ||
        !(by = authority_of(&a->config, &p)) || !is_for_here(a, &p))
        return false;
    g->why = revoked_say(&a->permits->revoked, by->public_key, &p);
    return !g->why && guest_renew(g, by, &e);
}

static void renew_all(struct agent *a)
{
    list_each (link, &a->guests) {
        struct guest *g = container_of(link, struct guest, place);
        g->withdrawn = !still_counts(a, g);
        if (g->withdrawn && g->sessions == 0)
            forget(a, g);
    }
}

static bool read_again(struct permits *p, const struct agent_authority *a, struct error *e)
{
    if (!a->revocations || revoked_read(&p->revoked, a->public_key, a->revocations, e))
        return true;
    if (!revoked_has(&p->revoked, a->public_key))
        return false;
    log_error("%s" REVOKED_STAYS "%s", e->text, guard_hint(e));
    return true;
}

bool permits_may_reload(struct agent *a, const struct agent_config *config, struct error *e)
{
    for (size_t i = 0; i < config->authority_count; i++)
        if (!read_again(a->permits, &config->authorities[i], e))
            return false;
    return true;
}

void permits_reloaded(struct agent *a)
{
    struct permits *p = a->permits;
    renew_all(a);
    if (p->revoked.count)
        timer_set(a->loop, &p->look, loop_now(a->loop) + LOOK_US);
}
