/* The calls that stand, kept in their state file. */
#include "agent/own_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"

#define FILE_NAME "calls"

struct own_calls {
    struct agent *agent;
    struct standing standing;
    uint32_t revision;
    struct store *store; /* NULL: no directory */
    bool storing;
    struct error unsaved;
    struct log_rate lines, takes; /* users cause takes: they push out no call */
};

static void on_written(void *arg, const struct error *e)
{
    struct own_calls *c = arg;
    c->storing = false;
    c->unsaved = e ? *e : (struct error){0};
    if (e)
        log_error("calls for help would not outlive this process: %s", e->text);
    c->agent->on_calls_stored(c->agent);
}

/* Without memory for the text it is as if the disk were full. */
static void changed(struct own_calls *c)
{
    char *text = c->store ? standing_to_text(&c->standing) : NULL;
    struct error e = {0};
    c->revision += c->revision == UINT32_MAX ? 2 : 1; /* never 0 */
    if (text) {
        c->storing = true;
        store_write(c->store, text);
        return;
    }
    if (c->store)
        error_no_memory(&e);
    on_written(c, e.failure ? &e : NULL);
}

/* A file that cannot be understood is kept for a person to look at. */
static void read_file(struct own_calls *c, const char *path, const char *text, size_t len)
{
    struct error e = {0};
    char *aside = NULL;
    if (strlen(text) < len)
        error_set(&e, FAILURE_CONFIG, "holds zeros: not calls for help");
    else if (standing_from_text(&c->standing, text, &e))
        return;
    if (asprintf(&aside, "%s.bad", path) < 0)
        aside = NULL;
    log_error("%s: %s; %s", path, e.text,
              aside && rename(path, aside) == 0 ? "moved to " FILE_NAME ".bad" : "it is replaced");
    free(aside);
}

/* Reads the file if there is one, and writes it, so that it is known now that it can be written. */
static bool load(struct own_calls *c, const char *path, struct error *e)
{
    char *text = NULL;
    size_t len;
    bool good =
        access(path, F_OK) != 0 || file_read(path, STANDING_FILE_MAX_BYTES, true, &text, &len, e);
    if (text)
        read_file(c, path, text, len);
    free(text);
    if (!good)
        return false;
    text = standing_to_text(&c->standing);
    good = text ? file_replace(path, text, strlen(text), e) : error_no_memory(e);
    free(text);
    return good;
}

static bool open_directory(struct own_calls *c, const char *directory, struct error *e)
{
    char *path = NULL;
    bool good;
    if (asprintf(&path, "%s/" FILE_NAME, directory) < 0)
        return error_no_memory(e);
    good = load(c, path, e);
    if (good && !(c->store = store_new(c->agent->loop, path, on_written, c)))
        good = error_no_memory(e);
    free(path);
    if (!good)
        e->failure = FAILURE_CONFIG;
    return good;
}

struct own_calls *own_calls_new(struct agent *a, const char *directory, struct error *e)
{
    struct own_calls *c = calloc(1, sizeof *c);
    if (!c) {
        error_no_memory(e);
        return NULL;
    }
    c->agent = a;
    c->revision = 1;
    standing_init(&c->standing);
    if (directory && !open_directory(c, directory, e)) {
        free(c);
        return NULL;
    }
    for (size_t i = 0; i < c->standing.count; i++)
        log_info("still calling for help, severity %u: %s", c->standing.all[i].severity,
                 c->standing.all[i].text);
    return c;
}

void own_calls_free(struct own_calls *c)
{
    if (!c)
        return;
    store_free(c->store);
    free(c);
}

const struct standing *own_calls_standing(const struct own_calls *c)
{
    return &c->standing;
}

uint32_t own_calls_revision(const struct own_calls *c)
{
    return c->revision;
}

bool own_calls_is_storing(const struct own_calls *c)
{
    return c->storing;
}

const char *own_calls_unsaved(const struct own_calls *c)
{
    return c->unsaved.failure ? c->unsaved.text : NULL;
}

static const struct audit_entry by_agent = {.by = "agent"};

static struct log_fields fields_of(const struct own_calls *c, const char *event, unsigned severity,
                                   const char *text)
{
    return (struct log_fields){
        .event = event, .agent = c->agent->config.name, .severity = severity, .reason = text};
}

bool own_calls_add(struct own_calls *c, uint8_t severity, const char *text,
                   char words[CALL_WORDS_BYTES])
{
    uint64_t now = loop_now(c->agent->loop);
    uint32_t number = 0;
    struct standing_call lost;
    struct log_fields f;
    enum standing_result result =
        standing_add(&c->standing, severity, text, clock_wall_s(), &number, &lost);
    if (result == STANDING_FULL) {
        snprintf(words, CALL_WORDS_BYTES, "%d calls stand, none less grave: end one first",
                 CALLS_MAX);
        return false;
    }
    snprintf(words, CALL_WORDS_BYTES, "call %u stands%s", (unsigned)number,
             result == STANDING_KNOWN ? " already" : "");
    if (result == STANDING_KNOWN)
        return true;
    if (result == STANDING_IN_PLACE) {
        f = fields_of(c, "call_over", lost.severity, lost.text);
        log_rated_event(&c->lines, now, LOG_WARNING, &f,
                        "%d calls for help stand: the least grave one gives way, severity %u: %s",
                        CALLS_MAX, lost.severity, lost.text);
        audit_note(c->agent->audit, &f, &by_agent);
        snprintf(words, CALL_WORDS_BYTES, "call %u stands in place of call %u, the least grave",
                 (unsigned)number, (unsigned)lost.number);
    }
    f = fields_of(c, "call", severity, text);
    log_rated_event(&c->lines, now, LOG_INFO, &f,
                    "the storage system calls for help, severity %u: %s", severity, text);
    audit_note(c->agent->audit, &f, &by_agent);
    changed(c);
    return true;
}

bool own_calls_end(struct own_calls *c, uint32_t number, char words[CALL_WORDS_BYTES])
{
    uint64_t now = loop_now(c->agent->loop);
    size_t ended = standing_end(&c->standing, number);
    struct log_fields f = fields_of(c, "call_over", 0, NULL);
    if (number && !ended) {
        snprintf(words, CALL_WORDS_BYTES, "no call %u stands", (unsigned)number);
        return false;
    }
    if (number)
        snprintf(words, CALL_WORDS_BYTES, "call %u is over", (unsigned)number);
    else
        snprintf(words, CALL_WORDS_BYTES, ended ? "all calls are over" : "no call stood");
    if (!ended)
        return true;
    if (c->standing.count == 0)
        log_rated_event(&c->lines, now, LOG_INFO, &f, "the call for help is over");
    else
        log_rated_event(&c->lines, now, LOG_INFO, &f, "call for help %u is over, others stand",
                        (unsigned)number);
    audit_note(c->agent->audit, &f, &by_agent);
    changed(c);
    return true;
}

static char *taken_text(const struct standing *s, const bool taken[CALLS_MAX])
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        if (taken[i])
            fprintf(out, "taken %u %u %s\n", (unsigned)s->all[i].number, s->all[i].severity,
                    s->all[i].text);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

char *own_calls_take(struct own_calls *c, uint32_t number, const char *user)
{
    bool taken[CALLS_MAX];
    char which[32] = "the calls for help";
    struct log_fields f = fields_of(c, "call_taken", 0, NULL);
    if (standing_take(&c->standing, number, user, taken)) {
        if (number)
            snprintf(which, sizeof which, "call for help %u", (unsigned)number);
        f.user = user;
        log_rated_event(&c->takes, loop_now(c->agent->loop), LOG_INFO, &f, "user %s has taken %s",
                        user, which);
        audit_note(c->agent->audit, &f, &(struct audit_entry){.reason = which, .by = "client"});
        changed(c);
    }
    return taken_text(&c->standing, taken);
}
