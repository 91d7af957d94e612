/* The configurations of a world, and its keys: files in memory alone, opened by /proc/self/fd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/keys.h"
#include "site.h"
#include "wire/limits.h"

#define DIAL_PORT 7000
#define RELAY_PORT 443

#define PATH_BYTES 32

struct party_key {
    char path[PATH_BYTES]; /* of the private key */
    char text[KEY_TEXT_BYTES];
};

static FILE *create(char path[PATH_BYTES])
{
    int fd = memfd_create("spx", 0);
    FILE *f = fd < 0 || fchmod(fd, 0600) != 0 ? NULL : fdopen(dup(fd), "w");
    if (!f)
        abort();
    snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return f;
}

static void make_key(struct party_key *key)
{
    struct keypair pair;
    char secret[KEY_TEXT_BYTES];
    FILE *f = create(key->path);
    keypair_generate(&pair);
    key_to_text(secret, pair.private_key);
    key_to_text(key->text, pair.public_key);
    fprintf(f, "%s\n", secret);
    fclose(f);
}

/* The program reads it: -c FILE. */
static FILE *create_for(struct program *p)
{
    static char paths[8][PATH_BYTES];
    static unsigned count;
    char *path = paths[count++];
    FILE *f = create(path);
    p->argv[1] = strdup("-c");
    p->argv[2] = path;
    return f;
}

static const char *address_text(const struct host *h, unsigned port)
{
    static char text[32];
    snprintf(text, sizeof text, "%u.%u.%u.%u:%u", h->address >> 24, h->address >> 16 & 255,
             h->address >> 8 & 255, h->address & 255, port);
    return text;
}

static void write_relay(struct site *s, unsigned i, const struct party_key *own,
                        const struct party_key users[], const struct party_key *agent)
{
    FILE *f = create_for(&s->relay[i]);
    fprintf(f, "[Relay]\nListen = %s\nKeyFile = %s\nWorkers = %u\nKeepalive = %u\n",
            address_text(s->relay[i].host, RELAY_PORT), own->path,
            (unsigned)chance_between(&timeline, 1, 3),
            (unsigned)chance_between(&timeline, KEEPALIVE_MIN_S, 15));
    for (unsigned u = 0; u < s->user_count; u++)
        fprintf(f, "[User]\nName = user-%u\nPublicKey = %s\nAgents = *\n", u, users[u].text);
    fprintf(f, "[Agent]\nName = storage\nPublicKey = %s\n", agent->text);
    if (s->dialled)
        fprintf(f, "Dial = tcp:%s\n", address_text(s->agent.host, DIAL_PORT));
    fclose(f);
}

static void write_relays_of(const struct site *s, FILE *f, const struct party_key relays[],
                            bool addresses)
{
    for (unsigned i = 0; i < s->relay_count; i++) {
        fprintf(f, "[Relay]\nPublicKey = %s\n", relays[i].text);
        if (addresses)
            fprintf(f, "Address = %s\n", address_text(s->relay[i].host, RELAY_PORT));
    }
}

static void write_agent(struct site *s, const struct party_key *own,
                        const struct party_key relays[], const struct party_key users[])
{
    FILE *f = create_for(&s->agent);
    fprintf(f, "[Agent]\nName = storage\nKeyFile = %s\n", own->path);
    if (s->dialled)
        fprintf(f, "Listen = %s\n", address_text(s->agent.host, DIAL_PORT));
    write_relays_of(s, f, relays, !s->dialled);
    for (unsigned u = 0; u < s->user_count; u++)
        fprintf(f, "[User]\nName = user-%u\nPublicKey = %s\nAllow = tcp:127.0.0.1:*\n", u,
                users[u].text);
    fclose(f);
}

static void write_client(struct site *s, struct user *u, const struct party_key *own,
                         const struct party_key relays[], const struct party_key *agent)
{
    FILE *f = create_for(&u->program);
    fprintf(f, "[Client]\nKeyFile = %s\n", own->path);
    write_relays_of(s, f, relays, true);
    fprintf(f, "[Agent]\nName = storage\nPublicKey = %s\n", agent->text);
    fclose(f);
}

void site_configure(struct site *s)
{
    struct party_key relays[RELAYS], users[CLIENTS], agent;
    for (unsigned i = 0; i < s->relay_count; i++)
        make_key(&relays[i]);
    for (unsigned u = 0; u < s->user_count; u++)
        make_key(&users[u]);
    make_key(&agent);
    for (unsigned i = 0; i < s->relay_count; i++)
        write_relay(s, i, &relays[i], users, &agent);
    write_agent(s, &agent, relays, users);
    for (unsigned u = 0; u < s->user_count; u++)
        write_client(s, &s->user[u], &users[u], relays, &agent);
}
