/* Errors with a kind and one clean line of text. */
#include "base/error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

bool error_set(struct error *e, enum failure failure, const char *format, ...)
{
    va_list args;
    if (e->failure != FAILURE_NONE)
        return false;
    va_start(args, format);
    text_format(e->text, sizeof e->text, format, args);
    va_end(args);
    e->failure = failure;
    return false;
}

bool error_no_memory(struct error *e)
{
    return error_set(e, FAILURE_OTHER, NO_MEMORY_TEXT);
}

const char *system_text(int error)
{
    static _Thread_local char text[96];
    snprintf(text, sizeof text, "%s", strerror(error));
    if (islower((unsigned char)text[0]) == 0 && islower((unsigned char)text[1]) != 0)
        text[0] = (char)tolower((unsigned char)text[0]); /* "I/O error" stays */
    return text;
}
