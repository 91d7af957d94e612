/* Members of JSON objects in columns. */
#include "control/rows.h"

#include <inttypes.h>
#include <stdio.h>

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

static void print_cell(const struct row_column *c, const char *value)
{
    bool last = !c[1].heading;
    printf("%-*s%s", last ? 0 : c->width, value, last ? "\n" : " ");
}

void rows_print_heading(const struct row_column *columns)
{
    for (const struct row_column *c = columns; c->heading; c++)
        print_cell(c, c->heading);
}

void rows_print(const struct row_column *columns, const struct json_object *o)
{
    char value[ROW_VALUE_BYTES];
    for (const struct row_column *c = columns; c->heading; c++) {
        row_value(value, o, c->member, c->form);
        print_cell(c, value);
    }
}
