/* A permit's file: a mail may be around it. */
#include "permit/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/files.h"
#include "permit/armour.h"

#define FILE_MAX 65536 /* a mail */

static bool read_text(char **text, size_t *len, const char *path, struct error *e)
{
    bool from_input = strcmp(path, "-") == 0, good;
    int fd = from_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, FAILURE_CONFIG, "cannot open %s: %s", path, system_text(errno));
    good = file_read_fd(fd, from_input ? "standard input" : path, FILE_MAX, text, len, e);
    if (!from_input)
        close(fd);
    return good;
}

bool permit_file_read(struct permit *p, uint8_t out[PERMIT_MAX_BYTES], size_t *len,
                      const char *path, struct error *e)
{
    struct error inner = {0};
    char *text = NULL;
    size_t text_len = 0;
    bool good;
    if (!read_text(&text, &text_len, path, e))
        return false;
    good =
        armour_read(out, PERMIT_MAX_BYTES, len, ARMOUR_PERMIT, view_of(text, text_len), &inner) &&
        permit_decode(p, view_of(out, *len), true, &inner);
    free(text);
    return good || error_set(e, inner.failure, "%s: %s",
                             strcmp(path, "-") == 0 ? "standard input" : path, inner.text);
}
