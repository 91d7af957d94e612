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

#define LINE_BYTES 4096   /* poll promises room for that many in a pipe (PIPE_BUF) */
#define TEXT_BYTES 1800   /* that, the status line and the rest fit a line */
#define FIELDS_BYTES 1500 /* of the texts among a line's fields, at most */
#define JSON_END "\"}\n"
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
    void (*tap)(void *arg, struct view line);
    void *tap_arg;
} the_log = {.role = "spx", .level = LOG_INFO};

/* A line under construction; anything that does not fit is cut off. */
struct line {
    size_t len;
    char text[LINE_BYTES];
};

static void add_bytes(struct line *line, const char *s, size_t len)
{
    size_t room = sizeof line->text - line->len;
    if (len > room)
        len = room;
    memcpy(line->text + line->len, s, len);
    line->len += len;
}

static void add(struct line *line, const char *s)
{
    add_bytes(line, s, strlen(s));
}

/* The bytes of the first character of clean text. */
static size_t character_bytes(const char *s)
{
    size_t n = 1;
    while (((uint8_t)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Adds a clean text, cut at a character's border where the line would be longer than end. */
static void add_json(struct line *line, const char *s, size_t end)
{
    while (*s != '\0') {
        bool escaped = *s == '"' || *s == '\\';
        size_t n = character_bytes(s);
        if (line->len + n + escaped > end)
            return;
        add(line, escaped ? "\\" : "");
        add_bytes(line, s, n);
        s += n;
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
    add(line, "\n");
}

/* Those that are long stand last: they are cut. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
#define TEXT(name)                               \
    {                                            \
#name, offsetof(struct log_fields, name) \
    }
    TEXT(event), TEXT(circuit), TEXT(resumes), TEXT(user),    TEXT(agent),  TEXT(key),
    TEXT(relay), TEXT(address), TEXT(target),  TEXT(request), TEXT(reason),
#undef TEXT
};

#define TEXTS (sizeof texts / sizeof texts[0])

static const char *text_of(const struct log_fields *f, size_t i)
{
    return *(const char *const *)((const char *)f + texts[i].offset);
}

void log_fields_totals(char out[LOG_TOTALS_BYTES], const struct log_fields *f)
{
    char up[16], down[16], time[24];
    text_bytes(up, f->bytes_up);
    text_bytes(down, f->bytes_down);
    text_duration(time, f->duration_us);
    snprintf(out, LOG_TOTALS_BYTES, "%s up, %s down, %s", up, down, time);
}

void log_fields_keep(struct log_fields *out, char *store, size_t size, const struct log_fields *in)
{
    *out = *in;
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = text_of(in, i);
        size_t bytes = text ? strlen(text) + 1 : 0;
        bool fits = text && bytes <= size;
        *(const char **)((char *)out + texts[i].offset) = fits ? store : NULL;
        if (!fits)
            continue;
        memcpy(store, text, bytes);
        store += bytes;
        size -= bytes;
    }
}

/* "name":value, */
static void add_number(struct line *line, const char *name, uint64_t value)
{
    char member[64];
    snprintf(member, sizeof member, "\"%s\":%" PRIu64 ",", name, value);
    add(line, member);
}

static void add_numbers(struct line *line, const struct log_fields *f)
{
    if (f->code)
        add_number(line, "code", f->code);
    if (f->stream)
        add_number(line, "stream", f->stream);
    if (f->severity)
        add_number(line, "severity", f->severity);
    if (f->left_out)
        add_number(line, "left_out", f->left_out);
    if (!f->counted)
        return;
    if (f->streams)
        add_number(line, "streams", f->streams);
    add_number(line, "bytes_up", f->bytes_up);
    add_number(line, "bytes_down", f->bytes_down);
    add_number(line, "duration_ms", f->duration_us / (CLOCK_US_PER_S / 1000));
}

/* Adds "name":"text", if the line has room for some of it. */
static void add_text(struct line *line, const char *name, const char *text, size_t end)
{
    static const char quote[] = "\":\"", last[] = "\",";
    char clean[TEXT_BYTES];
    if (line->len + strlen(name) + strlen(quote) + strlen(last) + 8 > end)
        return;
    text_clean(clean, sizeof clean, view_of_string(text));
    add(line, "\"");
    add(line, name);
    add(line, quote);
    add_json(line, clean, end - strlen(last));
    add(line, last);
}

static void add_fields(struct line *line, const struct log_fields *f)
{
    size_t end = line->len + FIELDS_BYTES;
    for (size_t i = 0; i < TEXTS; i++)
        if (text_of(f, i) && text_of(f, i)[0])
            add_text(line, texts[i].name, text_of(f, i), end);
    add_numbers(line, f);
}

static void add_json_line(struct line *line, enum log_level level, const struct log_fields *fields,
                          const char *text)
{
    char now[25];
    clock_wall_text(now);
    add(line, "{\"time\":\"");
    add(line, now);
    add(line, "\",\"level\":\"");
    add(line, levels[level].name);
    add(line, "\",\"role\":\"");
    add(line, the_log.role);
    add(line, "\",");
    if (fields)
        add_fields(line, fields);
    add(line, "\"text\":\"");
    add_json(line, text, sizeof line->text - strlen(JSON_END));
    add(line, JSON_END);
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

static bool write_line(enum log_level level, const struct log_fields *fields, const char *text)
{
    struct line line = {.len = 0};
    add(&line, the_log.torn ? "\n" : "");
    clear_status(&line);
    if (the_log.json)
        add_json_line(&line, level, fields, text);
    else
        add_text_line(&line, level, text);
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
    if (!write_line(LOG_WARNING, NULL, text))
        return false;
    the_log.lost = 0;
    return true;
}

void log_set_tap(void (*tap)(void *arg, struct view line), void *arg)
{
    the_log.tap = tap;
    the_log.tap_arg = arg;
}

static void tell_tap(enum log_level level, const struct log_fields *fields, const char *text)
{
    struct line line = {.len = 0};
    if (!the_log.tap || !fields || !fields->event)
        return;
    add_json_line(&line, level, fields, text);
    the_log.tap(the_log.tap_arg, view_of(line.text, line.len));
}

void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
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
    if (!report_lost() || !write_line(level, fields, text))
        the_log.lost++;
    pthread_mutex_unlock(&lock);
    tell_tap(level, fields, text);
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
