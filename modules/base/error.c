#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

bool error_set(struct error *e, int code, const char *format, ...)
{
    char raw[1024] = "";
    va_list args;

    if (e->code != 0)
        return false;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);

    e->code = code;
    /* Values quoted from files and peers may hold anything; the text stays one line that is safe to
     * show. */
    text_clean(e->text, sizeof e->text, view_of_string(raw));
    return false;
}

void error_clear(struct error *e)
{
    e->code = 0;
    e->text[0] = '\0';
}
