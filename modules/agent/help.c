/* The calls that stand, kept in their state file. */
#include "agent/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"

#define FILE_NAME "calls"

struct help {
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
    struct help *h = arg;
    h->storing = false;
    h->unsaved = e ? *e : (struct error){0};
    if (e)
        log_error("calls for help would not outlive this process: %s", e->text);
    h->agent->on_calls_stored(h->agent);
}

/* Without memory for the text it is as if the disk were full. */
static void changed(struct help *h)
{
    char *text = h->store ? standing_to_text(&h->standing) : NULL;
    struct error e = {0};
    h->revision += h->revision == UINT32_MAX ? 2 : 1; /* never 0 */
    if (text) {
        h->storing = true;
        store_write(h->store, text);
        return;
    }
    if (h->store)
        error_no_memory(&e);
    on_written(h, e.failure ? &e : NULL);
}

/* A file that cannot be understood is kept for a person to look at. */
static void read_file(struct help *h, const char *path, const char *text)
{
    struct error e = {0};
    char *aside = NULL;
    if (standing_from_text(&h->standing, text, &e))
        return;
    if (asprintf(&aside, "%s.bad", path) < 0)
        aside = NULL;
    log_error("%s: %s; %s", path, e.text,
              aside && rename(path, aside) == 0 ? "moved to " FILE_NAME ".bad" : "it is replaced");
    free(aside);
}

/* Reads the file if there is one, and writes it, so that it is known now that it can be written. */
static bool load(struct help *h, const char *path, struct error *e)
{
    char *text = NULL;
    size_t len;
    bool good =
        access(path, F_OK) != 0 || file_read(path, STANDING_FILE_MAX_BYTES, true, &text, &len, e);
    if (text)
        read_file(h, path, text);
    free(text);
    if (!good)
        return false;
    text = standing_to_text(&h->standing);
    good = text ? file_replace(path, text, strlen(text), e) : error_no_memory(e);
    free(text);
    return good;
}

static bool open_directory(struct help *h, const char *directory, struct error *e)
{
    char *path = NULL;
    bool good;
    if (asprintf(&path, "%s/" FILE_NAME, directory) < 0)
        return error_no_memory(e);
    good = load(h, path, e);
    if (good && !(h->store = store_new(h->agent->loop, path, on_written, h)))
        good = error_no_memory(e);
    free(path);
    if (!good)
        e->failure = FAILURE_CONFIG;
    return good;
}

struct help *help_new(struct agent *a, const char *directory, struct error *e)
{
    struct help *h = calloc(1, sizeof *h);
    if (!h) {
        error_no_memory(e);
        return NULL;
    }
    h->agent = a;
    h->revision = 1;
    standing_init(&h->standing);
    if (directory && !open_directory(h, directory, e)) {
        free(h);
        return NULL;
    }
    for (size_t i = 0; i < h->standing.count; i++)
        log_info("still calling for help, severity %u: %s", h->standing.all[i].severity,
                 h->standing.all[i].text);
    return h;
}

void help_free(struct help *h)
{
    if (!h)
        return;
    store_free(h->store);
    free(h);
}

const struct standing *help_standing(const struct help *h)
{
    return &h->standing;
}

uint32_t help_revision(const struct help *h)
{
    return h->revision;
}

bool help_is_storing(const struct help *h)
{
    return h->storing;
}

const char *help_unsaved(const struct help *h)
{
    return h->unsaved.failure ? h->unsaved.text : NULL;
}

static struct log_fields fields_of(const struct help *h, const char *event, unsigned severity,
                                   const char *text)
{
    return (struct log_fields){
        .event = event, .agent = h->agent->config.name, .severity = severity, .reason = text};
}

bool help_call(struct help *h, uint8_t severity, const char *text, char words[HELP_WORDS_BYTES])
{
    uint64_t now = loop_now(h->agent->loop);
    uint32_t number = 0;
    struct standing_call lost;
    struct log_fields f;
    enum standing_result result =
        standing_add(&h->standing, severity, text, clock_wall_s(), &number, &lost);
    if (result == STANDING_FULL) {
        snprintf(words, HELP_WORDS_BYTES, "%d calls stand, none less grave: end one first",
                 CALLS_MAX);
        return false;
    }
    snprintf(words, HELP_WORDS_BYTES, "call %u stands%s", (unsigned)number,
             result == STANDING_KNOWN ? " already" : "");
    if (result == STANDING_KNOWN)
        return true;
    if (result == STANDING_IN_PLACE) {
        f = fields_of(h, "call_over", lost.severity, lost.text);
        log_rated_event(&h->lines, now, LOG_WARNING, &f,
                        "%d calls for help stand: the least grave one gives way, severity %u: %s",
                        CALLS_MAX, lost.severity, lost.text);
        snprintf(words, HELP_WORDS_BYTES, "call %u stands in place of call %u, the least grave",
                 (unsigned)number, (unsigned)lost.number);
    }
    f = fields_of(h, "call", severity, text);
    log_rated_event(&h->lines, now, LOG_INFO, &f,
                    "the storage system calls for help, severity %u: %s", severity, text);
    changed(h);
    return true;
}

bool help_end(struct help *h, uint32_t number, char words[HELP_WORDS_BYTES])
{
    uint64_t now = loop_now(h->agent->loop);
    size_t ended = standing_end(&h->standing, number);
    struct log_fields f = fields_of(h, "call_over", 0, NULL);
    if (number && !ended) {
        snprintf(words, HELP_WORDS_BYTES, "no call %u stands", (unsigned)number);
        return false;
    }
    if (number)
        snprintf(words, HELP_WORDS_BYTES, "call %u is over", (unsigned)number);
    else
        snprintf(words, HELP_WORDS_BYTES, ended ? "all calls are over" : "no call stood");
    if (!ended)
        return true;
    if (h->standing.count == 0)
        log_rated_event(&h->lines, now, LOG_INFO, &f, "the call for help is over");
    else
        log_rated_event(&h->lines, now, LOG_INFO, &f, "call for help %u is over, others stand",
                        (unsigned)number);
    changed(h);
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

char *help_take(struct help *h, uint32_t number, const char *user)
{
    bool taken[CALLS_MAX];
    char which[32] = "the calls for help";
    struct log_fields f = fields_of(h, "call_taken", 0, NULL);
    if (standing_take(&h->standing, number, user, taken)) {
        if (number)
            snprintf(which, sizeof which, "call for help %u", (unsigned)number);
        f.user = user;
        log_rated_event(&h->takes, loop_now(h->agent->loop), LOG_INFO, &f, "user %s has taken %s",
                        user, which);
        changed(h);
    }
    return taken_text(&h->standing, taken);
}
