/* Several processes of one user may share an audit, and with it these files: the key is made by
 * whoever comes first, and of two lines for one signer the first counts. */
#include "audit/heads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"

#define KEY_WORD "spx-audit-key "
#define KEY_FILE_MAX 256
#define PEERS_FILE_MAX ((size_t)4 * 1024 * 1024) /* some 25,000 signers */
#define PRIVATE_TEXT_BYTES 45                    /* base64 of the private key */
#define PUBLIC_TEXT_BYTES 89                     /* of the public one */
#define LINE_BYTES 256
#define TEMPORARY_BYTES 9

/* "DIRECTORY/.NAME.key": what is given as NAME* are audits. Allocated; NULL without memory. */
static char *path_beside(const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) + 1 : 0;
    char *out;
    if (asprintf(&out, "%.*s.%s.%s", directory, path, path + directory, suffix) < 0)
        return NULL;
    return out;
}

bool audit_heads_init(struct audit_heads *h, enum audit_role role, const char *path)
{
    *h = (struct audit_heads){.role = role,
                              .key_path = path_beside(path, "key"),
                              .peers_path = path_beside(path, "peers")};
    return h->key_path && h->peers_path;
}

void audit_heads_free(struct audit_heads *h)
{
    wipe(&h->key, sizeof h->key);
    free(h->key_path);
    free(h->peers_path);
    free(h->peers);
    *h = (struct audit_heads){0};
}

/* ---- The own key. ---- */

static bool parse_key(struct sign_key *key, const char *text)
{
    const size_t word = strlen(KEY_WORD), digits = PRIVATE_TEXT_BYTES - 1;
    return strlen(text) == word + digits + 1 && strncmp(text, KEY_WORD, word) == 0 &&
           text[word + digits] == '\n' &&
           base64_decode(key->private_key, sizeof key->private_key, view_of(text + word, digits)) &&
           sign_key_derive(key);
}

static bool load_key(struct sign_key *key, const char *path, struct error *e)
{
    char *text;
    size_t len;
    bool good;
    if (!file_read(path, KEY_FILE_MAX, true, &text, &len, e))
        return false;
    good = parse_key(key, text);
    wipe(text, len);
    free(text);
    return good ||
           error_set(e, FAILURE_CONFIG,
                     "%s: is not an audit key: move it away, and another one is made", path);
}

/* Under a name of its own first, so that a crash leaves no half of it at the path. */
static bool save_key(const struct sign_key *key, const char *path, struct error *e)
{
    char text[sizeof KEY_WORD + PRIVATE_TEXT_BYTES + 1], private_key[PRIVATE_TEXT_BYTES];
    char digits[TEMPORARY_BYTES];
    char *temporary = NULL;
    uint8_t random[(TEMPORARY_BYTES - 1) / 2];
    bool good;
    random_bytes(random, sizeof random);
    text_hex(digits, random, sizeof random);
    base64_encode(private_key, key->private_key, sizeof key->private_key);
    snprintf(text, sizeof text, KEY_WORD "%s\n", private_key);
    if (asprintf(&temporary, "%s.%s", path, digits) < 0)
        return error_no_memory(e);
    good = file_create_secret(temporary, text, strlen(text), e);
    if (good && link(temporary, path) < 0 && errno != EEXIST)
        good = error_set(e, FAILURE_OTHER, "cannot create %s: %s", path, system_text(errno));
    unlink(temporary);
    file_sync_directory(path);
    wipe(text, sizeof text);
    wipe(private_key, sizeof private_key);
    free(temporary);
    return good;
}

static bool need_key(struct audit_heads *h, struct error *e)
{
    if (h->has_key)
        return true;
    if (access(h->key_path, F_OK) != 0 && errno == ENOENT) {
        sign_key_generate(&h->key);
        if (!save_key(&h->key, h->key_path, e))
            return false;
    }
    h->has_key = load_key(&h->key, h->key_path, e);
    return h->has_key;
}

bool audit_heads_sign(struct audit_heads *h, const struct audit_head *head, struct signed_head *out,
                      struct error *e)
{
    if (!need_key(h, e))
        return false;
    signed_head_make(out, &h->key, h->role, head, clock_wall_ms());
    return true;
}

/* ---- The keys of others. ---- */

/* "agent SHA256:… BASE64" */
struct peer_line {
    char role[8], signer[FINGERPRINT_TEXT_BYTES];
    uint8_t key[SIGN_PUBLIC_BYTES];
};

static bool parse_line(struct peer_line *p, const char *line, size_t len)
{
    char text[LINE_BYTES], key[PUBLIC_TEXT_BYTES];
    int used = 0;
    if (len >= sizeof text)
        return false;
    memcpy(text, line, len);
    text[len] = '\0';
    return sscanf(text, "%7s %50s %88s%n", p->role, p->signer, key, &used) == 3 &&
           (size_t)used == len && base64_decode(p->key, sizeof p->key, view_of(key, strlen(key)));
}

/* The next line that says something; false: there is none. */
static bool next_line(struct peer_line *p, const char **at)
{
    while (**at != '\0') {
        const char *line = *at, *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        *at = line + len + (end != NULL);
        if (parse_line(p, line, len))
            return true;
    }
    return false;
}

/* *text: "" without a file. */
static bool read_peers(char **text, const char *path, struct error *e)
{
    size_t len;
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        *text = strdup("");
        return *text || error_no_memory(e);
    }
    return file_read(path, PEERS_FILE_MAX, false, text, &len, e);
}

static bool renew_peers(struct audit_heads *h, struct error *e)
{
    char *text;
    if (!file_stamp_renew(&h->peers_stamp, h->peers_path) && h->peers)
        return true;
    if (!read_peers(&text, h->peers_path, e))
        return false;
    free(h->peers);
    h->peers = text;
    return true;
}

/* A user may have several computers, and so several audits, with one key. */
static unsigned most_keys(const char *role)
{
    return audit_role_of(role) == AUDIT_CLIENT ? AUDITS_PER_USER : 1;
}

/* How many keys count for a signer, and if this is one of them; first: the fingerprint of the first
 * that was seen. */
struct known {
    unsigned count;
    bool is_one;
    char first[FINGERPRINT_TEXT_BYTES];
};

static void find_peer(struct known *known, const struct audit_heads *h, const char *role,
                      const char *signer, const uint8_t key[SIGN_PUBLIC_BYTES])
{
    const char *at = h->peers;
    struct peer_line p;
    *known = (struct known){0};
    while (next_line(&p, &at)) {
        if (strcmp(p.role, role) != 0 || strcmp(p.signer, signer) != 0)
            continue;
        if (known->count++ == 0)
            sign_fingerprint(known->first, p.key);
        if (known->count <= most_keys(role))
            known->is_one = known->is_one || memcmp(p.key, key, sizeof p.key) == 0;
    }
}

static bool pin(struct audit_heads *h, const struct signed_head *head, const char *signer,
                struct error *e)
{
    char line[LINE_BYTES], key[PUBLIC_TEXT_BYTES];
    base64_encode(key, head->key, sizeof head->key);
    snprintf(line, sizeof line, "%s %s %s", audit_role_name(head->role), signer, key);
    return file_append_line(h->peers_path, line, e) && renew_peers(h, e);
}

bool audit_heads_judge(struct audit_heads *h, const struct signed_head *head, const char *signer,
                       enum head_worth *worth, char pinned[FINGERPRINT_TEXT_BYTES], struct error *e)
{
    struct known known;
    const char *role = audit_role_name(head->role);
    *worth = HEAD_FORGED;
    if (!renew_peers(h, e))
        return false;
    if (!signed_head_is_good(head))
        return true;
    find_peer(&known, h, role, signer, head->key);
    *worth = known.is_one ? HEAD_GOOD : known.count < most_keys(role) ? HEAD_PINNED : HEAD_FOREIGN;
    if (*worth == HEAD_PINNED && !pin(h, head, signer, e))
        return false;
    memcpy(pinned, known.first, sizeof known.first);
    if (*worth != HEAD_FOREIGN)
        sign_fingerprint(pinned, head->key);
    return true;
}

/* ---- For show. ---- */

bool audit_heads_each(const char *path,
                      void (*f)(const char *role, const char *signer,
                                const char key[FINGERPRINT_TEXT_BYTES]),
                      struct error *e)
{
    struct audit_heads h;
    struct peer_line p;
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    bool good =
        (audit_heads_init(&h, AUDIT_AGENT, path) || error_no_memory(e)) && renew_peers(&h, e);
    for (const char *at = h.peers; good && next_line(&p, &at);) {
        sign_fingerprint(fingerprint, p.key);
        f(p.role, p.signer, fingerprint);
    }
    audit_heads_free(&h);
    return good;
}

/* Without the file there is none, and out is "". */
static bool show_own(struct audit_heads *h, char out[FINGERPRINT_TEXT_BYTES], struct error *e)
{
    if (access(h->key_path, F_OK) != 0)
        return errno == ENOENT ||
               error_set(e, FAILURE_CONFIG, "cannot open %s: %s", h->key_path, system_text(errno));
    if (!load_key(&h->key, h->key_path, e))
        return false;
    sign_fingerprint(out, h->key.public_key);
    return true;
}

bool audit_heads_own(const char *path, char out[FINGERPRINT_TEXT_BYTES], struct error *e)
{
    struct audit_heads h;
    bool good = false;
    out[0] = '\0';
    if (audit_heads_init(&h, AUDIT_AGENT, path))
        good = show_own(&h, out, e);
    else
        error_no_memory(e);
    audit_heads_free(&h);
    return good;
}
