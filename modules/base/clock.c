/* The clocks of the system, in the units of this program. */
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define BOOT_FILE "/proc/sys/kernel/random/boot_id"

uint64_t clock_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * CLOCK_US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

#define SECONDS_BYTES 20 /* "2026-01-31T12:00:00" */

static void format_seconds(char out[SECONDS_BYTES], time_t seconds)
{
    struct tm tm;
    /* A year of five digits does not fit: such a clock is shown as zeros. */
    if (!gmtime_r(&seconds, &tm) ||
        strftime(out, SECONDS_BYTES, "%Y-%m-%dT%H:%M:%S", &tm) != SECONDS_BYTES - 1)
        snprintf(out, SECONDS_BYTES, "0000-00-00T00:00:00");
}

void clock_ms_text(char out[25], uint64_t ms)
{
    /* The last one, for those who ask thousands of times a second. */
    static _Thread_local time_t last;
    static _Thread_local char last_text[SECONDS_BYTES];
    time_t seconds = (time_t)(ms / 1000);
    if (seconds != last || last_text[0] == '\0') {
        format_seconds(last_text, seconds);
        last = seconds;
    }
    memcpy(out, last_text, SECONDS_BYTES - 1);
    out[SECONDS_BYTES - 1] = '.';
    out[SECONDS_BYTES] = (char)('0' + ms / 100 % 10);
    out[SECONDS_BYTES + 1] = (char)('0' + ms / 10 % 10);
    out[SECONDS_BYTES + 2] = (char)('0' + ms % 10);
    memcpy(out + SECONDS_BYTES + 3, "Z", 2);
}

uint64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void clock_wall_text(char out[25])
{
    clock_ms_text(out, clock_wall_ms());
}

int64_t clock_wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

bool clock_boot(char out[CLOCK_BOOT_BYTES])
{
    char text[CLOCK_BOOT_BYTES - 1];
    int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool told = fd >= 0 && read(fd, text, sizeof text) == (ssize_t)sizeof text;
    out[0] = '\0';
    if (told)
        text_clean(out, CLOCK_BOOT_BYTES, view_of(text, sizeof text));
    if (fd >= 0)
        close(fd);
    return told;
}
