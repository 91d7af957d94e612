/* Members of JSON objects in columns. */
#include "control/rows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static void number_value(char out[ROW_VALUE_BYTES], uint64_t number, enum row_form form)
{
    switch (form) {
    case ROW_BYTES:
        text_bytes(out, number);
        break;
    case ROW_SECONDS:
        text_duration(out, number * CLOCK_US_PER_S);
        break;
    case ROW_ROUND_TRIP_US:
        text_round_trip(out, number);
        break;
    case ROW_TEXT:
    case ROW_NUMBER:
        snprintf(out, ROW_VALUE_BYTES, "%" PRIu64, number);
        break;
    }
}

void row_value(char out[ROW_VALUE_BYTES], const struct json_object *o, const char *member,
               enum row_form form)
{
    char text[ROW_VALUE_BYTES];
    uint64_t number;
    snprintf(out, ROW_VALUE_BYTES, "-");
    if (json_get_number(o, member, &number))
        number_value(out, number, form);
    else if (json_get_text(o, member, text, sizeof text) && text[0])
        text_clean(out, ROW_VALUE_BYTES, view_of_string(text));
}

/* ---- Tables. ---- */

/* Begins a line that is no row, and stands between two cells: no value has one. */
#define TAB '\t'

static void put_heading(struct rows *t)
{
    for (const struct row_column *c = t->columns; c->heading; c++)
        fprintf(t->lines, "%s%c", c->heading, c[1].heading ? TAB : '\n');
}

/* True if a row can be added. */
static bool begin(struct rows *t, const struct row_column *columns)
{
    if (t->columns == columns)
        return t->lines != NULL;
    rows_end(t);
    t->columns = columns;
    t->lines = open_memstream(&t->text, &t->len);
    if (t->lines)
        put_heading(t);
    return t->lines != NULL;
}

void rows_add(struct rows *t, const struct row_column *columns, const char *const *values)
{
    if (!begin(t, columns))
        return;
    for (const struct row_column *c = columns; c->heading; c++, values++)
        fprintf(t->lines, "%s%c", *values, c[1].heading ? TAB : '\n');
}

void rows_add_object(struct rows *t, const struct row_column *columns, const struct json_object *o)
{
    char value[ROW_VALUE_BYTES];
    if (!begin(t, columns))
        return;
    for (const struct row_column *c = columns; c->heading; c++) {
        row_value(value, o, c->member, c->form);
        fprintf(t->lines, "%s%c", value, c[1].heading ? TAB : '\n');
    }
}

void rows_note(struct rows *t, const char *format, ...)
{
    va_list args;
    if (!t->lines)
        return;
    fputc(TAB, t->lines);
    va_start(args, format);
    vfprintf(t->lines, format, args);
    va_end(args);
    fputc('\n', t->lines);
}

/* The cell at text, and its length; the next one is behind it. NULL: it was the line's last. */
static const char *next_cell(const char *text, size_t *len)
{
    *len = strcspn(text, "\t\n");
    return text[*len] == TAB ? text + *len + 1 : NULL;
}

/* Takes a line's cells into the widths. */
static void measure(int *widths, const char *line)
{
    for (size_t len; line; widths++) {
        const char *next = next_cell(line, &len);
        if (next && (int)len > *widths)
            *widths = (int)len;
        line = next;
    }
}

static void print_row(const int *widths, const char *line)
{
    for (size_t len; line; widths++) {
        const char *next = next_cell(line, &len);
        printf("%-*.*s%c", next ? *widths : 0, (int)len, line, next ? ' ' : '\n');
        line = next;
    }
}

static void print_lines(const struct row_column *columns, const char *text)
{
    int widths[ROWS_COLUMNS_MAX] = {0};
    for (size_t i = 0; columns[i].heading; i++)
        widths[i] = columns[i].width;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        if (*line != TAB)
            measure(widths, line);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        if (*line != TAB)
            print_row(widths, line);
        else
            printf("%.*s\n", (int)strcspn(line + 1, "\n"), line + 1);
}

bool rows_end(struct rows *t)
{
    bool good = !t->columns || (t->lines && fclose(t->lines) == 0);
    if (t->columns && good)
        print_lines(t->columns, t->text);
    free(t->text);
    *t = (struct rows){0};
    return good;
}
