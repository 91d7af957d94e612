/* The list, its file's form, and who has tried in vain. */
#include "agent/emergency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"

#define FILE_VERSION 1
#define LINE_BYTES 512
#define GROUP_SIGNS 4 /* between two hyphens */

/* ---- Codes. ---- */

static void hash_signs(uint8_t out[HASH_BYTES], const struct emergency_list *l, const char *signs)
{
    sha256(out, view_of(l->salt, sizeof l->salt), view_of_string(signs));
}

static void group(char out[EMERGENCY_TEXT_BYTES], const char signs[EMERGENCY_SIGNS + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < EMERGENCY_SIGNS; i++) {
        if (i > 0 && i % GROUP_SIGNS == 0)
            out[n++] = '-';
        out[n++] = signs[i];
    }
    out[n] = '\0';
}

void emergency_make(struct emergency_list *l, size_t count, const char *by, uint64_t now_s,
                    char texts[][EMERGENCY_TEXT_BYTES])
{
    char signs[EMERGENCY_SIGNS + 1];
    *l = (struct emergency_list){.made_s = now_s, .count = count};
    snprintf(l->by, sizeof l->by, "%s", by);
    random_bytes(l->salt, sizeof l->salt);
    for (size_t i = 0; i < count; i++) {
        spoken_signs_new(signs, EMERGENCY_SIGNS);
        hash_signs(l->all[i].hash, l, signs);
        group(texts[i], signs);
    }
    wipe(signs, sizeof signs);
}

size_t emergency_left(const struct emergency_list *l)
{
    size_t left = 0;
    for (size_t i = 0; i < l->count; i++)
        left += l->all[i].used_s == 0;
    return left;
}

/* 0: none is. */
static unsigned find(const struct emergency_list *l, const char *signs)
{
    uint8_t hash[HASH_BYTES];
    unsigned number = 0;
    hash_signs(hash, l, signs);
    for (unsigned i = 0; i < l->count; i++)
        if (bytes_equal_secret(l->all[i].hash, hash, sizeof hash))
            number = i + 1;
    return number;
}

unsigned emergency_take(struct emergency_list *l, const char *typed, const char *user,
                        uint64_t now_s, struct error *e)
{
    char signs[EMERGENCY_SIGNS + 1];
    bool read = spoken_signs_read(signs, EMERGENCY_SIGNS, typed);
    unsigned number = read ? find(l, signs) : 0;
    wipe(signs, sizeof signs);
    if (!read)
        error_set(e, FAILURE_DENIED,
                  "an emergency code has %d signs of " SPOKEN_SIGNS ", as in 7F3K-QW92-XHJL-M4R5",
                  EMERGENCY_SIGNS);
    else if (!number)
        error_set(e, FAILURE_DENIED, "the emergency code is none of this agent's");
    else if (l->all[number - 1].used_s)
        error_set(e, FAILURE_DENIED, "the emergency code was used before: each counts once");
    if (e->failure)
        return 0;
    l->all[number - 1].used_s = now_s ? now_s : 1;
    snprintf(l->all[number - 1].user, sizeof l->all[number - 1].user, "%s", user);
    return number;
}

/* ---- The file: a line for the list and one for each code. ---- */

static bool write_line(FILE *out, struct json_line *line)
{
    size_t len = json_end(line);
    return len > 0 && fwrite(line->out, 1, len, out) == len;
}

static bool write_list(FILE *out, const struct emergency_list *l)
{
    char text[LINE_BYTES], salt[2 * EMERGENCY_SALT_BYTES + 1];
    struct json_line line;
    text_hex(salt, l->salt, sizeof l->salt);
    json_begin(&line, text, sizeof text);
    json_put_number(&line, "version", FILE_VERSION);
    json_put_number(&line, "made_s", l->made_s);
    json_put_text(&line, "by", l->by);
    json_put_text(&line, "salt", salt);
    return write_line(out, &line);
}

static bool write_code(FILE *out, const struct emergency_code *code)
{
    char text[LINE_BYTES], hash[2 * HASH_BYTES + 1];
    struct json_line line;
    text_hex(hash, code->hash, sizeof code->hash);
    json_begin(&line, text, sizeof text);
    json_put_text(&line, "hash", hash);
    json_put_number(&line, "used_s", code->used_s);
    json_put_text(&line, "user", code->user);
    return write_line(out, &line);
}

char *emergency_to_text(const struct emergency_list *l)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    bool good = out && write_list(out, l);
    for (size_t i = 0; good && i < l->count; i++)
        good = write_code(out, &l->all[i]);
    if (out && fclose(out) != 0)
        good = false;
    if (good)
        return text;
    free(text);
    return NULL;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool get_hex(const struct json_object *o, const char *name, uint8_t *out, size_t len)
{
    char text[2 * HASH_BYTES + 1];
    if (!json_get_text(o, name, text, sizeof text) || strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_list(struct emergency_list *l, const struct json_object *o)
{
    uint64_t version;
    return json_get_number(o, "version", &version) && version == FILE_VERSION &&
           json_get_number(o, "made_s", &l->made_s) &&
           json_get_text(o, "by", l->by, sizeof l->by) &&
           get_hex(o, "salt", l->salt, sizeof l->salt);
}

static bool read_code(struct emergency_list *l, const struct json_object *o)
{
    struct emergency_code *code = &l->all[l->count];
    return l->count++ < EMERGENCY_CODES_MAX && get_hex(o, "hash", code->hash, sizeof code->hash) &&
           json_get_number(o, "used_s", &code->used_s) &&
           json_get_text(o, "user", code->user, sizeof code->user);
}

static bool read_lines(struct emergency_list *l, const char *text, struct error *e)
{
    struct json_object o;
    for (bool first = true; *text != '\0' || first; first = false) {
        size_t len = strcspn(text, "\n");
        if (!json_read(&o, view_of(text, len), e))
            return false;
        if (!(first ? read_list(l, &o) : read_code(l, &o)))
            return error_set(e, FAILURE_OTHER, "not a list that this release knows");
        text += len + (text[len] == '\n');
    }
    return true;
}

bool emergency_from_text(struct emergency_list *l, const char *text, struct error *e)
{
    *l = (struct emergency_list){0};
    if (read_lines(l, text, e))
        return true;
    *l = (struct emergency_list){0};
    return false;
}

/* ---- Those who try. ---- */

static bool is_of(const struct emergency_trier *t, const uint8_t user_key[KEY_BYTES],
                  uint64_t now_us)
{
    return t->until_us > now_us && memcmp(t->user_key, user_key, KEY_BYTES) == 0;
}

bool emergency_may_try(const struct emergency_tries *t, const uint8_t user_key[KEY_BYTES],
                       uint64_t now_us, struct error *e)
{
    for (size_t i = 0; i < EMERGENCY_TRIERS; i++) {
        const struct emergency_trier *trier = &t->all[i];
        char wait[32];
        if (!is_of(trier, user_key, now_us) || trier->wrong < EMERGENCY_TRIES)
            continue;
        text_wait(wait, trier->until_us - now_us);
        return error_set(e, FAILURE_DENIED, "too many wrong emergency codes: try again %s", wait);
    }
    return true;
}

/* This key's, or the one whose time is over first. */
static struct emergency_trier *trier_of(struct emergency_tries *t,
                                        const uint8_t user_key[KEY_BYTES], uint64_t now_us)
{
    struct emergency_trier *first = &t->all[0];
    for (size_t i = 0; i < EMERGENCY_TRIERS; i++) {
        if (is_of(&t->all[i], user_key, now_us))
            return &t->all[i];
        if (t->all[i].until_us < first->until_us)
            first = &t->all[i];
    }
    *first = (struct emergency_trier){0};
    memcpy(first->user_key, user_key, KEY_BYTES);
    return first;
}

void emergency_tried(struct emergency_tries *t, const uint8_t user_key[KEY_BYTES], uint64_t now_us)
{
    struct emergency_trier *trier = trier_of(t, user_key, now_us);
    trier->wrong++;
    trier->until_us = now_us + EMERGENCY_PAUSE_S * CLOCK_US_PER_S;
}
