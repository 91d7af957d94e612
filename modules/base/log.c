/* Lines to standard error, each in one write that never waits. A line that a full pipe does not
 * take is counted, and the count is told later. */
#include "base/log.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/version.h"

#define LINE_BYTES 4096  /* poll promises room for that many in a pipe (PIPE_BUF) */
#define TEXT_BYTES 1800  /* twice that (JSON), the status line and the rest fit a line */
#define STATUS_BYTES 256 /* with the terminator */
#define CLEAR_LINE "\r\033[K"
#define CLEAR_LINE_ABOVE "\033[A\033[K"

struct level_names {
    const char *name, *padded, *colour, *priority;
};

static const struct level_names levels[] = {
    [LOG_ERROR] = {"error", "error", "\033[31m", "<3>"},
    [LOG_WARNING] = {"warning", "warn ", "\033[33m", "<4>"},
    [LOG_INFO] = {"info", "info ", "\033[32m", "<6>"},
    [LOG_DEBUG] = {"debug", "debug", "\033[2m", "<7>"},
};

/* Held while the log is written, so that lines of several threads do not mix. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The one log of the process. */
static struct {
    const char *role;
    enum log_level level;
    bool json, journal, terminal, colour;
    bool torn; /* the last write was cut short, in the middle of a line */
    uint64_t lost;
    char status[LOG_STATUS_ROWS][STATUS_BYTES]; /* "" : none */
    unsigned rows_shown;
} the_log = {.role = "spx", .level = LOG_INFO};

/* A line under construction; anything that does not fit is cut off. */
struct line {
    size_t len;
    char text[LINE_BYTES];
};

static void add(struct line *line, const char *s)
{
    size_t len = strlen(s), room = sizeof line->text - line->len;

    if (len > room)
        len = room;
    memcpy(line->text + line->len, s, len);
    line->len += len;
}

static void add_json(struct line *line, const char *s)
{
    for (; *s != '\0'; s++) {
        char escaped[3] = {'\\', *s, '\0'};
        add(line, *s == '"' || *s == '\\' ? escaped : escaped + 1);
    }
}

/* Writes only if that is possible at once. */
static bool write_now(const struct line *line)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
        return false;
    ssize_t n = write(STDERR_FILENO, line->text, line->len);
    if (n < 0)
        return false;
    the_log.torn = (size_t)n < line->len;
    return !the_log.torn;
}

/* $JOURNAL_STREAM is "device:inode" of the journal's socket; a redirected standard error differs.
 */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char own[48];

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, own) == 0;
}

void log_setup(const char *role, enum log_level level, bool json)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

    the_log.role = role;
    the_log.level = level;
    the_log.json = json;
    the_log.journal = is_journal();
    the_log.terminal = !json && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    the_log.colour = the_log.terminal && (!no_colour || *no_colour == '\0');
}

bool log_enabled(enum log_level level)
{
    return level <= the_log.level;
}

static void add_text_line(struct line *line, enum log_level level, const char *text)
{
    char now[25];

    clock_wall_text(now);
    add(line, the_log.journal ? levels[level].priority : now);
    add(line, the_log.journal ? "" : " ");
    add(line, the_log.colour ? levels[level].colour : "");
    add(line, levels[level].padded);
    add(line, the_log.colour ? "\033[0m " : " ");
    add(line, the_log.role);
    add(line, ": ");
    add(line, text);
}

static void add_json_line(struct line *line, enum log_level level, const char *text)
{
    char now[25];

    clock_wall_text(now);
    add(line, "{\"time\":\"");
    add(line, now);
    add(line, "\",\"level\":\"");
    add(line, levels[level].name);
    add(line, "\",\"role\":\"");
    add_json(line, the_log.role);
    add(line, "\",\"text\":\"");
    add_json(line, text);
    add(line, "\"}");
}

/* The cursor stands at the end of the last row. */
static void clear_status(struct line *line)
{
    add(line, the_log.rows_shown > 0 ? CLEAR_LINE : "");
    for (unsigned i = 1; i < the_log.rows_shown; i++)
        add(line, CLEAR_LINE_ABOVE);
    the_log.rows_shown = 0;
}

static void add_status(struct line *line)
{
    for (unsigned i = 0; i < LOG_STATUS_ROWS; i++) {
        if (the_log.status[i][0] == '\0')
            continue;
        add(line, the_log.rows_shown++ > 0 ? "\n" : "");
        add(line, the_log.status[i]);
    }
}

static bool write_line(enum log_level level, const char *text)
{
    struct line line = {.len = 0};

    add(&line, the_log.torn ? "\n" : "");
    clear_status(&line);
    if (the_log.json)
        add_json_line(&line, level, text);
    else
        add_text_line(&line, level, text);
    add(&line, "\n");
    add_status(&line);
    return write_now(&line);
}

/* Says how many lines were lost, if any were. */
static bool report_lost(void)
{
    char text[64];

    if (the_log.lost == 0)
        return true;
    snprintf(text, sizeof text, "%" PRIu64 " log line%s lost before this one", the_log.lost,
             the_log.lost == 1 ? "" : "s");
    if (!write_line(LOG_WARNING, text))
        return false;
    the_log.lost = 0;
    return true;
}

void log_line(enum log_level level, const char *format, ...)
{
    char raw[TEXT_BYTES] = "", text[TEXT_BYTES];
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_clean(text, sizeof text, view_of_string(raw));
    pthread_mutex_lock(&lock);
    if (!report_lost() || !write_line(level, text))
        the_log.lost++;
    pthread_mutex_unlock(&lock);
}

void log_started(void)
{
    log_info("started: %s", SPX_VERSION_TEXT);
}

void log_ended(enum failure failure, const char *why)
{
    bool wanted = failure == FAILURE_NONE || failure == FAILURE_INTERRUPTED;
    log_line(wanted ? LOG_INFO : LOG_ERROR, "ended: %s", why);
}

/* Cuts text after `columns` characters; wide ones count as one, so a line of them may still wrap.
 */
static void cut_characters(char *text, size_t columns)
{
    size_t characters = 0;

    for (; *text != '\0'; text++) {
        bool starts = ((uint8_t)*text & 0xc0) != 0x80;
        if (starts && characters++ == columns)
            break;
    }
    *text = '\0';
}

void log_status(unsigned row, const char *text)
{
    struct winsize size;
    struct line line = {.len = 0};
    char *status = row < LOG_STATUS_ROWS ? the_log.status[row] : NULL;

    if (!the_log.terminal || !status || (!text && status[0] == '\0'))
        return;
    text_clean(status, STATUS_BYTES, view_of_string(text ? text : ""));
    /* The last column stays free: writing there wraps on some terminals. */
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        cut_characters(status, size.ws_col - 1U);
    if (the_log.rows_shown == 0)
        add(&line, CLEAR_LINE);
    clear_status(&line);
    add_status(&line);
    write_now(&line);
}

bool log_on_terminal(void)
{
    return the_log.terminal;
}
