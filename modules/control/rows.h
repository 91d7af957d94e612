/* Lines of an answer as rows of a table, for people. */
#ifndef SPX_CONTROL_ROWS_H
#define SPX_CONTROL_ROWS_H

#include <stdio.h>

#include "base/json.h"

enum row_form { ROW_TEXT, ROW_NUMBER, ROW_BYTES, ROW_SECONDS, ROW_ROUND_TRIP_US };

/* A column shows a member of each line, or "-" where there is none. */
struct row_column {
    const char *heading, *member;
    int width; /* at least; 0: the last one's, as long as it is */
    enum row_form form;
};

/* A table that is printed, to standard output, when all of it is known: a column is as wide as its
 * longest value needs. Zeroed: there is none. */
struct rows {
    const struct row_column *columns; /* ended by one without a heading */
    char *text;                       /* a line for the heading and each row or note */
    size_t len;
    FILE *lines; /* into text */
};

#define ROWS_COLUMNS_MAX 12

/* A row with these values, or of an object's members. Where the columns are other ones than those
 * of the row before, that table ends and another begins. Without memory nothing is kept. */
void rows_add(struct rows *t, const struct row_column *columns, const char *const *values);
void rows_add_object(struct rows *t, const struct row_column *columns, const struct json_object *o);

/* A line below the row before, as it is. */
__attribute__((format(printf, 2, 3))) void rows_note(struct rows *t, const char *format, ...);

/* Prints it, if there is one. False: there was no memory for it. */
bool rows_end(struct rows *t);

/* The value of one member for people, made safe to show. */
#define ROW_VALUE_BYTES 1100
void row_value(char out[ROW_VALUE_BYTES], const struct json_object *o, const char *member,
               enum row_form form);

#endif
