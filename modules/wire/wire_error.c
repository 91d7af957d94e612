/* Errors with a code of the wire. */
#include "wire/wire_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

bool wire_error_set(struct wire_error *e, enum code code, const char *format, ...)
{
    char raw[1024] = "";
    va_list args;

    if (e->code != CODE_OK)
        return false;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);

    e->code = code;
    text_clean(e->text, sizeof e->text, view_of_string(raw));
    return false;
}
