/* Debian's libbearssl.a is built for glibc with fortify: three functions of glibc's that musl does
 * not have. Only the static build takes this file. A call that would overflow ends the program, as
 * glibc's do. */
#include <stddef.h>
#include <string.h>

void *__memcpy_chk(void *to, const void *from, size_t len, size_t room);
void *__memmove_chk(void *to, const void *from, size_t len, size_t room);
void *__memset_chk(void *to, int byte, size_t len, size_t room);

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
