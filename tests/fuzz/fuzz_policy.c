/* libFuzzer: the texts of rules in agent.conf and the files of time zones. The first byte chooses
 * zone, hours, date or file, eight bytes after it are the second asked for, the rest is the text.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/date.h"
#include "policy/hours.h"
#include "policy/tzif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct zone berlin = {
    .first_offset_s = 3600,
    .has_rules = true,
    .rules = {.offset_s = 3600,
              .has_summer = true,
              .summer_offset_s = 7200,
              .begins = {ZONE_DAY_WEEKDAY, 0, 3, 5, 7200},
              .ends = {ZONE_DAY_WEEKDAY, 0, 10, 5, 10800}},
};

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

/* An error has a text, and there is one if and only if nothing was read. */
static bool check(bool good, const struct error *e)
{
    require(good == (e->failure == FAILURE_NONE));
    require(good || e->text[0] != '\0');
    return good;
}

/* Offsets are bounded, a change is the first second with another, and a local time is found. */
static void ask_zone(const struct zone *z, int64_t at)
{
    char text[DATE_TEXT_BYTES];
    int64_t next = zone_next_change(z, at), local;
    int32_t offset = zone_offset(z, at);
    require(offset >= -ZONE_OFFSET_MAX_S && offset <= ZONE_OFFSET_MAX_S);
    if (next != TIME_NEVER && next < TIME_MAX_S) {
        require(next > calendar_clamp(at));
        require(zone_offset(z, next) != offset && zone_offset(z, next - 1) == offset);
    }
    local = zone_utc(z, at);
    if (at > -TIME_MAX_S / 4 && at < TIME_MAX_S / 4) {
        require(local + zone_offset(z, local) >= at);
        require(local - 1 + zone_offset(z, local - 1) < at || local == at - ZONE_OFFSET_MAX_S);
    }
    date_text(text, z, at);
    require(strlen(text) >= 27);
}

static void read_zone(const char *text, int64_t at)
{
    struct zone z;
    struct error e = {0};
    if (check(zone_parse(&z, text, &e), &e))
        ask_zone(&z, at);
}

/* At the next change they are open, or not, for the first time. */
static void read_hours(const char *text, int64_t at)
{
    struct hours h, again;
    struct error e = {0};
    int64_t next;
    bool now;
    if (!check(hours_parse(&h, text, &e), &e))
        return;
    require(hours_parse(&again, h.text, &e) && hours_same(&h, &again));
    at = calendar_clamp(at);
    now = hours_are_open(&h, &berlin, at);
    next = hours_next_change(&h, &berlin, at);
    if (next == TIME_NEVER || next >= TIME_MAX_S)
        return;
    require(next > at);
    require(hours_are_open(&h, &berlin, next) != now &&
            hours_are_open(&h, &berlin, next - 1) == now);
    require(hours_are_open(&h, &berlin, at + (next - at) / 2) == now);
}

static void read_date(const char *text)
{
    struct date d;
    struct error e = {0};
    if (check(date_parse(&d, text, &e), &e))
        require(date_begin(&d, &berlin) <= date_end(&d, &berlin));
}

static void read_file(struct view file, int64_t at)
{
    struct zone z;
    struct error e = {0};
    if (check(tzif_read(&z, file, &e), &e))
        ask_zone(&z, at);
    zone_free(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t at;
    char *text;
    if (size < 9)
        return 0;
    at = (int64_t)load_be64(data + 1);
    if (data[0] & 8) /* near the present */
        at = at % ((int64_t)1 << 32);
    text = strndup((const char *)data + 9, size - 9);
    require(text != NULL);
    if (data[0] % 4 == 0)
        read_zone(text, at);
    else if (data[0] % 4 == 1)
        read_hours(text, at);
    else if (data[0] % 4 == 2)
        read_date(text);
    else
        read_file(view_of(data + 9, size - 9), at);
    free(text);
    return 0;
}
