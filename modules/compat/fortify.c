/* Debian's libraries are built for glibc with fortify: the functions of glibc's that they call for
 * it and that musl does not have. Only the static build takes this file. A call that would overflow
 * ends the program, as glibc's do. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

void *__memcpy_chk(void *to, const void *from, size_t len, size_t room);
void *__memmove_chk(void *to, const void *from, size_t len, size_t room);
void *__memset_chk(void *to, int byte, size_t len, size_t room);
int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...);
long __fdelt_chk(long fd);

void *__memcpy_chk(void *to, const void *from, size_t len, size_t room)
{
    if (len > room)
        __builtin_trap();
    return memcpy(to, from, len);
}

void *__memmove_chk(void *to, const void *from, size_t len, size_t room)
{
    if (len > room)
        __builtin_trap();
    return memmove(to, from, len);
}

void *__memset_chk(void *to, int byte, size_t len, size_t room)
{
    if (len > room)
        __builtin_trap();
    return memset(to, byte, len);
}

int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...)
{
    va_list args;
    (void)flag;
    va_start(args, format);
    int len = vsnprintf(to, room, format, args); /* NOLINT(clang-diagnostic-format-nonliteral) */
    va_end(args);
    if (len >= 0 && (size_t)len >= room)
        __builtin_trap();
    return len;
}

/* The word of an fd_set that a descriptor is in. */
long __fdelt_chk(long fd)
{
    if (fd < 0 || fd >= FD_SETSIZE)
        __builtin_trap();
    return fd / (8 * (long)sizeof(long));
}
