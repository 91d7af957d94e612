/* A short sorted list: what is added, ended, taken, written and read. */
#include "agent/standing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define FILE_HEAD "spx calls 1\nnext "

void standing_init(struct standing *s)
{
    s->count = 0;
    s->next = 1;
}

static void remove_at(struct standing *s, size_t i)
{
    s->count--;
    memmove(&s->all[i], &s->all[i + 1], (s->count - i) * sizeof s->all[0]);
}

/* Behind those that are as grave and older. */
static struct standing_call *insert(struct standing *s, uint8_t severity, int64_t since_s)
{
    size_t i = s->count;
    while (i > 0 && (s->all[i - 1].severity < severity ||
                     (s->all[i - 1].severity == severity && s->all[i - 1].since_s > since_s)))
        i--;
    memmove(&s->all[i + 1], &s->all[i], (s->count - i) * sizeof s->all[0]);
    s->count++;
    s->all[i] = (struct standing_call){.severity = severity, .since_s = since_s};
    return &s->all[i];
}

static const struct standing_call *find(const struct standing *s, uint8_t severity,
                                        const char *text)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->all[i].severity == severity && strcmp(s->all[i].text, text) == 0)
            return &s->all[i];
    return NULL;
}

static bool stands(const struct standing *s, uint32_t number)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->all[i].number == number)
            return true;
    return false;
}

/* 0 stands for all; one that stands already is another's, whatever the file said was next. */
static uint32_t new_number(struct standing *s)
{
    uint32_t number;
    do {
        number = s->next++;
        if (s->next == 0)
            s->next = 1;
    } while (stands(s, number));
    return number;
}

enum standing_result standing_add(struct standing *s, uint8_t severity, const char *text,
                                  int64_t now_s, uint32_t *number, struct standing_call *lost)
{
    const struct standing_call *known = find(s, severity, text);
    struct standing_call *added;
    uint32_t own_number;
    bool full = s->count == CALLS_MAX;
    if (known) {
        *number = known->number;
        return STANDING_KNOWN;
    }
    if (full && s->all[CALLS_MAX - 1].severity >= severity)
        return STANDING_FULL;
    if (full) {
        *lost = s->all[CALLS_MAX - 1];
        remove_at(s, CALLS_MAX - 1);
    }
    own_number = new_number(s);
    added = insert(s, severity, now_s);
    *number = added->number = own_number;
    snprintf(added->text, sizeof added->text, "%s", text);
    return full ? STANDING_IN_PLACE : STANDING_NEW;
}

size_t standing_end(struct standing *s, uint32_t number)
{
    size_t before = s->count;
    for (size_t i = s->count; i-- > 0;)
        if (number == 0 || s->all[i].number == number)
            remove_at(s, i);
    return before - s->count;
}

bool standing_take(struct standing *s, uint32_t number, const char *user, bool is_asked[CALLS_MAX])
{
    bool changed = false;
    for (size_t i = 0; i < s->count; i++) {
        struct standing_call *call = &s->all[i];
        bool own = strcmp(call->taken_by, user) == 0, nobodys = call->taken_by[0] == '\0';
        is_asked[i] = number ? call->number == number : own || nobodys;
        if (!is_asked[i] || own)
            continue;
        snprintf(call->taken_by, sizeof call->taken_by, "%s", user);
        changed = true;
    }
    return changed;
}

static uint32_t age_s(const struct standing_call *call, int64_t now_s)
{
    int64_t age = now_s - call->since_s;
    return age < 0 ? 0 : age < UINT32_MAX ? (uint32_t)age : UINT32_MAX;
}

void standing_tell(const struct standing *s, struct told_calls *calls, int64_t now_s)
{
    calls->count = s->count;
    for (size_t i = 0; i < s->count; i++)
        calls->all[i] = (struct told_call){
            .number = s->all[i].number,
            .severity = s->all[i].severity,
            .age_s = age_s(&s->all[i], now_s),
            .taken_by = view_of_string(s->all[i].taken_by),
            .text = view_of_string(s->all[i].text),
        };
}

/* ---- The state file. ---- */

char *standing_to_text(const struct standing *s)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fprintf(out, FILE_HEAD "%" PRIu32 "\n", s->next);
    for (size_t i = 0; i < s->count; i++) {
        const struct standing_call *call = &s->all[i];
        fprintf(out, "call %" PRIu32 " %u %" PRId64 " %s %s\n", call->number, call->severity,
                call->since_s, call->taken_by[0] ? call->taken_by : "-", call->text);
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* The text before this character, and that. */
static bool read_until(const char **at, char end, char *out, size_t size)
{
    const char *stop = strchr(*at, end);
    size_t len = stop ? (size_t)(stop - *at) : 0;
    if (!stop || len >= size || !text_is_clean(view_of(*at, len)))
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at = stop + 1;
    return true;
}

static bool read_taker(const char **at, char taken_by[NAME_TEXT_BYTES])
{
    if (!read_until(at, ' ', taken_by, NAME_TEXT_BYTES))
        return false;
    if (strcmp(taken_by, "-") != 0)
        return name_valid(view_of_string(taken_by));
    taken_by[0] = '\0';
    return true;
}

static bool read_call(struct standing *s, const char **at)
{
    uint64_t number, severity, since_s;
    struct standing_call read, *call;
    if (s->count == CALLS_MAX || strncmp(*at, "call ", 5) != 0)
        return false;
    *at += 5;
    if (!text_take_number(at, ' ', &number, 1, UINT32_MAX) ||
        !text_take_number(at, ' ', &severity, 1, UINT8_MAX) ||
        !text_take_number(at, ' ', &since_s, 0, INT64_MAX / 10) || !read_taker(at, read.taken_by) ||
        !read_until(at, '\n', read.text, sizeof read.text))
        return false;
    if (stands(s, (uint32_t)number) || find(s, (uint8_t)severity, read.text))
        return false;
    call = insert(s, (uint8_t)severity, (int64_t)since_s);
    call->number = (uint32_t)number;
    memcpy(call->taken_by, read.taken_by, sizeof call->taken_by);
    memcpy(call->text, read.text, sizeof call->text);
    return true;
}

static bool read_calls(struct standing *s, const char *at)
{
    while (*at != '\0')
        if (!read_call(s, &at))
            return false;
    return true;
}

bool standing_from_text(struct standing *s, const char *text, struct error *e)
{
    uint64_t next;
    const char *at = text + strlen(FILE_HEAD);
    standing_init(s);
    if (strncmp(text, FILE_HEAD, strlen(FILE_HEAD)) != 0)
        return error_set(e, FAILURE_CONFIG, "not calls for help as this version writes them");
    if (text_take_number(&at, '\n', &next, 1, UINT32_MAX) && read_calls(s, at)) {
        s->next = (uint32_t)next;
        return true;
    }
    standing_init(s);
    return error_set(e, FAILURE_CONFIG, "calls for help that cannot be read");
}
