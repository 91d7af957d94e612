/* A sticky error that ends a hop, a circuit or a session: its code is one of the wire's
 * (PROTOCOL.md section 3), whether this side found it or the peer said it. */
#ifndef SPX_WIRE_WIRE_ERROR_H
#define SPX_WIRE_WIRE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/error.h"
#include "wire/codes.h"

struct wire_error {
    enum code code;              /* CODE_OK: no error */
    char text[ERROR_TEXT_BYTES]; /* one line, safe to show */
};

/* Sets code (not CODE_OK) and text unless an error is set already. Always returns false. */
bool wire_error_set(struct wire_error *e, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool wire_error_vset(struct wire_error *e, enum code code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
