/* JSON strings of texts that hold no control characters. */
#include "client/json.h"

#include <stdio.h>

void json_text(const char *text, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            putchar('\\');
        putchar(text[i]);
    }
    putchar('"');
}
