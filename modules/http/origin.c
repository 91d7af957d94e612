/* Host, Origin and Sec-Fetch-Site. */
#include "http/origin.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

#define SCHEME "http://"

/* True if this is the name, with a port or without. */
static bool is_named(const char *host, const char *name)
{
    size_t len = strlen(name);
    uint64_t port;
    if (strncasecmp(host, name, len) != 0)
        return false;
    return host[len] == '\0' ||
           (host[len] == ':' && text_number(&port, view_of_string(host + len + 1), 1, 65535));
}

bool origin_is_host(const struct http_message *m, const char *const *hosts)
{
    for (; *hosts; hosts++)
        if (is_named(m->fields[FIELD_HOST], *hosts))
            return true;
    return false;
}

static bool is_of_host(const struct http_message *m)
{
    const char *origin = m->fields[FIELD_ORIGIN];
    return strncmp(origin, SCHEME, strlen(SCHEME)) == 0 &&
           strcasecmp(origin + strlen(SCHEME), m->fields[FIELD_HOST]) == 0;
}

bool origin_is_own(const struct http_message *m)
{
    const char *site = m->fields[FIELD_FETCH_SITE];
    if (site[0] && strcmp(site, "same-origin") != 0)
        return false;
    return m->fields[FIELD_ORIGIN][0] ? is_of_host(m) : strcmp(m->method, "GET") == 0;
}
