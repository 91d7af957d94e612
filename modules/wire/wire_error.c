/* Errors with a code of the wire. */
#include "wire/wire_error.h"

#include "base/text.h"

bool wire_error_vset(struct wire_error *e, enum code code, const char *format, va_list args)
{
    if (e->code == CODE_OK) {
        text_format(e->text, sizeof e->text, format, args);
        e->code = code;
    }
    return false;
}

bool wire_error_set(struct wire_error *e, enum code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wire_error_vset(e, code, format, args);
    va_end(args);
    return false;
}
