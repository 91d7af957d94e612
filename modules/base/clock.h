/* Time. Engines are told the time; only the event loop and the logs ask for it. */
#ifndef SPX_BASE_CLOCK_H
#define SPX_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_US_PER_MS 1000ULL
#define CLOCK_US_PER_S 1000000ULL
#define CLOCK_NEVER UINT64_MAX

/* Microseconds since boot, counting time suspended (CLOCK_BOOTTIME). */
uint64_t clock_now_us(void);

/* The wall clock as RFC 3339 UTC with milliseconds, "2026-01-31T12:00:00.123Z"; out takes 25 bytes.
 */
void clock_wall_text(char out[25]);

/* A time in milliseconds since 1970 in the same form. */
void clock_ms_text(char out[25], uint64_t ms);

/* Seconds, and milliseconds, since 1970 by the wall clock. */
uint64_t clock_wall_ms(void);
int64_t clock_wall_s(void);

/* The system's name for its running since the last boot, clean and terminated: while it is the same
 * clock_now_us goes on. False, and out "": it tells none. */
#define CLOCK_BOOT_BYTES 37
bool clock_boot(char out[CLOCK_BOOT_BYTES]);

#endif
