/* The default places of configuration files. Their contents are read by the file of each role. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"

char *config_default_path(const char *role)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    char *path = NULL;
    int len;
    if (strcmp(role, "client") != 0)
        len = asprintf(&path, "/etc/spx/%s.conf", role);
    else if (base && *base == '/') /* a relative one is to be ignored (XDG Base Directory) */
        len = asprintf(&path, "%s/spx/client.conf", base);
    else
        return file_expand_home("~/.config/spx/client.conf");
    return len < 0 ? NULL : path;
}
