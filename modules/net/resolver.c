/* Beginning and end of what look-ups share. */
#include "net/resolver.h"

#include "net/hosts.h"
#include "net/resolv_conf.h"

void resolver_init(struct resolver *r)
{
    *r = (struct resolver){0};
    list_init(&r->waiting);
    list_init(&r->running);
}

void resolver_free(struct resolver *r)
{
    hosts_free(r->hosts);
    resolv_conf_free(r->resolv_conf);
}
