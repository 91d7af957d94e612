/* c-ares reads /etc/resolv.conf for each channel to which something is left open. Here one channel,
 * which asks nothing, has what the file said; the others are given all that it has. */
#include "net/resolv_conf.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/container.h"
#include "base/stamp.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define SERVERS_MAX 32 /* c-ares makes a state of each for each channel */

/* ---- Memory. ---- */

/* A channel has 74 KiB. The system takes a millisecond to give them, page by page, and to take them
 * back, so the large blocks are kept for the next look-up. */
#define LARGE_BYTES (64U << 10)
#define SPARE_BLOCKS 4

struct block {
    size_t size;
    max_align_t bytes[];
};

static struct block *spare[SPARE_BLOCKS]; /* c-ares's allocator has no place for a state */

static void *block_new(size_t size)
{
    struct block *b = NULL;
    for (int i = 0; i < SPARE_BLOCKS && !b && size >= LARGE_BYTES; i++)
        if (spare[i] && spare[i]->size == size) {
            b = spare[i];
            spare[i] = NULL;
        }
    if (!b)
        b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    return b->bytes;
}

static void block_free(void *bytes)
{
    struct block *b = bytes ? container_of(bytes, struct block, bytes) : NULL;
    for (int i = 0; i < SPARE_BLOCKS && b && b->size >= LARGE_BYTES; i++)
        if (!spare[i]) {
            spare[i] = b;
            return;
        }
    free(b);
}

static void *block_resize(void *bytes, size_t size)
{
    struct block *b = bytes ? container_of(bytes, struct block, bytes) : NULL;
    struct block *resized = realloc(b, sizeof *b + size);
    if (!resized)
        return NULL;
    resized->size = size;
    return resized->bytes;
}

/* ---- The file. ---- */

/* A channel that asks nothing has what the file said. */
struct resolv_conf {
    struct file_stamp stamp;
    ares_channel channel; /* NULL: not read yet, or it could not be */
};

static char no_files[] = "b"; /* files are read by others */

/* Gives a channel the servers of another, which can be itself. */
static bool take_servers(ares_channel to, ares_channel from)
{
    struct ares_addr_port_node *servers = NULL, *last, *rest;
    int status = ares_get_servers_ports(from, &servers);
    if (status != ARES_SUCCESS)
        return false;
    last = servers;
    for (int i = 1; i < SERVERS_MAX && last; i++)
        last = last->next;
    rest = last ? last->next : NULL;
    if (last)
        last->next = NULL;
    status = ares_set_servers_ports(to, servers);
    if (last)
        last->next = rest;
    ares_free_data(servers);
    return status == ARES_SUCCESS;
}

static void read_resolv_conf(struct resolv_conf *conf)
{
    struct ares_options options = {.lookups = no_files};
    ares_destroy(conf->channel);
    conf->channel = NULL;
    if (ares_init_options(&conf->channel, &options, ARES_OPT_LOOKUPS) != ARES_SUCCESS) {
        conf->channel = NULL;
        conf->stamp = (struct file_stamp){0};
    } else {
        take_servers(conf->channel, conf->channel);
    }
}

/* As the file is now. NULL: it cannot be read, or no memory. */
static const struct resolv_conf *resolv_conf_now(struct resolv_conf **kept)
{
    struct resolv_conf *conf = *kept;
    if (!conf) {
        *kept = conf = calloc(1, sizeof *conf);
        if (!conf)
            return NULL;
        ares_library_init_mem(ARES_LIB_INIT_NONE, block_new, block_free, block_resize);
    }
    if (file_stamp_renew(&conf->stamp, RESOLV_CONF))
        read_resolv_conf(conf);
    return conf->channel ? conf : NULL;
}

/* ---- Channels. ---- */

bool resolv_conf_channel(ares_channel *out, struct resolv_conf **kept,
                         const struct ares_options *own, int own_mask)
{
    const struct resolv_conf *conf = resolv_conf_now(kept);
    struct ares_options options, all;
    int mask, status;
    if (!conf)
        return false;
    status = ares_save_options(conf->channel, &options, &mask);
    if (status == ARES_SUCCESS) {
        all = options;
        all.flags = own->flags;
        all.timeout = own->timeout;
        all.tries = own->tries;
        all.sock_state_cb = own->sock_state_cb;
        all.sock_state_cb_data = own->sock_state_cb_data;
        status = ares_init_options(out, &all, mask | own_mask);
    }
    ares_destroy_options(&options);
    if (status == ARES_SUCCESS && take_servers(*out, conf->channel))
        return true;
    if (status == ARES_SUCCESS)
        ares_destroy(*out);
    *out = NULL;
    return false;
}

void resolv_conf_free(struct resolv_conf *conf)
{
    if (!conf)
        return;
    ares_destroy(conf->channel);
    ares_library_cleanup();
    free(conf);
}
