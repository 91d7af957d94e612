/* The configurations of a world, and its keys: real files in a folder of the world's own, as the
 * program looks at the owner and mode of each folder on the way. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/keys.h"
#include "site.h"
#include "wire/limits.h"

#define DIAL_PORT 7000
#define RELAY_PORT 443

#define PATH_BYTES 48

struct party_key {
    char path[PATH_BYTES]; /* of the private key */
    char text[KEY_TEXT_BYTES];
};

static struct party_key relay_keys[RELAYS], user_keys[CLIENTS], agent_key;

static char folder[] = "/tmp/spx-programs.XXXXXX";
static unsigned files;

static void path_of(char path[PATH_BYTES], unsigned file)
{
    snprintf(path, PATH_BYTES, "%s/%u", folder, file);
}

static FILE *create(char path[PATH_BYTES])
{
    if (files == 0 && !mkdtemp(folder))
        abort();
    path_of(path, files++);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        abort();
    return f;
}

void site_remove_files(void)
{
    char path[PATH_BYTES];
    while (files > 0) {
        path_of(path, --files);
        unlink(path);
    }
    rmdir(folder);
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

/* Where others find it. */
static const char *place_text(const struct site *s, const struct host *h, unsigned port)
{
    static char text[32];
    if (!s->named)
        return address_text(h, port);
    snprintf(text, sizeof text, "%s:%u", h->name, port);
    return text;
}

void site_write_relay(struct site *s, unsigned relay)
{
    const struct relay_file *file = &s->file[relay];
    FILE *f = fopen(s->relay[relay].argv[2], "w");
    if (!f)
        abort();
    fprintf(f, "[Relay]\nListen = %s\nKeyFile = %s\nWorkers = %u\nKeepalive = %u\n",
            address_text(s->relay[relay].host, RELAY_PORT), relay_keys[relay].path, file->workers,
            file->keepalive_s);
    for (unsigned u = 0; u < s->user_count; u++)
        if (file->user[u])
            fprintf(f, "[User]\nName = user-%u\nPublicKey = %s\nAgents = *\n", u,
                    user_keys[u].text);
    if (file->agent) {
        fprintf(f, "[Agent]\nName = storage\nPublicKey = %s\n", agent_key.text);
        if (s->dialled)
            fprintf(f, "Dial = tcp:%s\n", place_text(s, s->agent.host, DIAL_PORT));
    }
    fclose(f);
}

static void make_relay(struct site *s, unsigned relay)
{
    struct relay_file *file = &s->file[relay];
    fclose(create_for(&s->relay[relay]));
    file->workers = (unsigned)chance_between(&timeline, 1, 3);
    file->keepalive_s = (unsigned)chance_between(&timeline, KEEPALIVE_MIN_S, 15);
    file->agent = true;
    for (unsigned u = 0; u < s->user_count; u++)
        file->user[u] = true;
    site_write_relay(s, relay);
}

/* relays: which ones; NULL: all. */
static void write_relays_of(const struct site *s, FILE *f, const bool *relays, bool addresses)
{
    for (unsigned i = 0; i < s->relay_count; i++) {
        if (relays && !relays[i])
            continue;
        fprintf(f, "[Relay]\nPublicKey = %s\n", relay_keys[i].text);
        if (addresses)
            fprintf(f, "Address = %s\n", place_text(s, s->relay[i].host, RELAY_PORT));
    }
}

void site_write_agent(struct site *s)
{
    const struct agent_file *file = &s->agent_file;
    FILE *f = fopen(s->agent.argv[2], "w");
    if (!f)
        abort();
    fprintf(f, "[Agent]\nName = storage\nKeyFile = %s\n", agent_key.path);
    if (s->asks)
        fprintf(f, "ControlSocket = %s/control\nAccess = ask\n", folder);
    if (s->dialled)
        fprintf(f, "Listen = %s\n", address_text(s->agent.host, DIAL_PORT));
    write_relays_of(s, f, file->relay, !s->dialled);
    for (unsigned u = 0; u < s->user_count; u++)
        if (file->user[u])
            fprintf(f,
                    "[User]\nName = user-%u\nPublicKey = %s\nAllow = tcp:127.0.0.1:%s\n"
                    "MaxSession = %s\n",
                    u, user_keys[u].text, file->narrow[u] ? "22" : "*",
                    u % 2 ? "0" : "300 d"); /* told, and never reached */
    fclose(f);
}

static void make_agent(struct site *s)
{
    struct agent_file *file = &s->agent_file;
    fclose(create_for(&s->agent));
    for (unsigned i = 0; i < s->relay_count; i++)
        file->relay[i] = true;
    for (unsigned u = 0; u < s->user_count; u++)
        file->user[u] = true;
    site_write_agent(s);
}

static void write_client(struct site *s, unsigned u)
{
    FILE *f = create_for(&s->user[u].program);
    fprintf(f, "[Client]\nKeyFile = %s\n", user_keys[u].path);
    write_relays_of(s, f, NULL, true);
    fprintf(f, "[Agent]\nName = storage\nPublicKey = %s\n", agent_key.text);
    fclose(f);
}

void site_configure(struct site *s)
{
    for (unsigned i = 0; i < s->relay_count; i++)
        make_key(&relay_keys[i]);
    for (unsigned u = 0; u < s->user_count; u++)
        make_key(&user_keys[u]);
    make_key(&agent_key);
    for (unsigned i = 0; i < s->relay_count; i++)
        make_relay(s, i);
    make_agent(s);
    for (unsigned u = 0; u < s->user_count; u++)
        write_client(s, u);
}
