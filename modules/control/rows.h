/* Lines of an answer as rows of a table, for people. */
#ifndef SPX_CONTROL_ROWS_H
#define SPX_CONTROL_ROWS_H

#include "base/json.h"

enum row_form { ROW_TEXT, ROW_NUMBER, ROW_BYTES, ROW_SECONDS, ROW_ROUND_TRIP_US };

/* A column shows a member of each line, or "-" where there is none. */
struct row_column {
    const char *heading, *member;
    int width; /* 0: the last one's, as long as it is */
    enum row_form form;
};

/* columns: ended by one without a heading. */
void rows_print_heading(const struct row_column *columns);
void rows_print(const struct row_column *columns, const struct json_object *o);

/* The value of one member for people, made safe to show. */
#define ROW_VALUE_BYTES 1100
void row_value(char out[ROW_VALUE_BYTES], const struct json_object *o, const char *member,
               enum row_form form);

#endif
