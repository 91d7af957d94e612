/* `spx key`: makes keys and shows public keys. */
#include "key/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/cli.h"
#include "crypto/authority_key.h"
#include "crypto/keys.h"

#define FILE_MAX 1024 /* one key and white space */

static enum failure fail(const struct error *e)
{
    fprintf(stderr, "spx key: %s\n", e->text);
    return e->failure;
}

static enum failure print_public(const struct keypair *pair)
{
    char text[KEY_TEXT_BYTES];
    key_to_text(text, pair->public_key);
    puts(text);
    return FAILURE_NONE;
}

static enum failure print_authority(const struct sign_key *key)
{
    char text[AUTHORITY_TEXT_BYTES];
    authority_to_text(text, key->public_key);
    puts(text);
    return FAILURE_NONE;
}

/* ---- new ---- */

static bool take_authority(struct cli *c, const char *value, struct error *e)
{
    bool *is_authority = c->state;
    (void)value, (void)e;
    *is_authority = true;
    return true;
}

static const struct cli_option new_options[] = {
    {0, "authority", NULL, take_authority, "the key of an authority, which signs permits"},
    {0},
};

static bool settle_new(struct cli *c, struct error *e)
{
    if (strcmp(c->words[0], "-") != 0)
        return true;
    return error_set(e, FAILURE_USAGE, "a new key goes to a file, never to standard output");
}

static enum failure make_authority(const char *path)
{
    struct error e = {0};
    struct sign_key key;
    char line[AUTHORITY_FILE_BYTES];
    bool good;
    sign_key_generate(&key);
    authority_file_text(line, &key);
    good = file_create_secret(path, line, strlen(line), &e);
    wipe(line, sizeof line);
    wipe(key.private_key, sizeof key.private_key);
    return good ? print_authority(&key) : fail(&e);
}

static enum failure make_key(const char *path)
{
    struct error e = {0};
    struct keypair pair;
    char line[KEY_TEXT_BYTES];
    bool good;
    keypair_generate(&pair);
    key_to_text(line, pair.private_key);
    line[KEY_TEXT_BYTES - 1] = '\n'; /* in the terminator's place */
    good = file_create_secret(path, line, sizeof line, &e);
    wipe(line, sizeof line);
    wipe(pair.private_key, sizeof pair.private_key);
    return good ? print_public(&pair) : fail(&e);
}

static enum failure run_new(struct cli *c)
{
    const bool *is_authority = c->state;
    return *is_authority ? make_authority(c->words[0]) : make_key(c->words[0]);
}

/* ---- public ---- */

/* A file that others may read is refused, and its mode is not what is wrong if it holds a public
 * key. */
static bool is_public(const char *path)
{
    struct error e = {0};
    struct keypair pair;
    char *text;
    size_t len;
    bool public;
    if (!file_read(path, FILE_MAX, false, &text, &len, &e))
        return false;
    public = keypair_from_text(&pair, view_of(text, len), path, &e) && !keypair_is_clamped(&pair);
    wipe(&pair, sizeof pair);
    wipe(text, len);
    free(text);
    return public;
}

static bool load(const char *path, char **text, size_t *len, struct error *e)
{
    if (file_read(path, FILE_MAX, true, text, len, e))
        return true;
    if (is_public(path)) {
        *e = (struct error){0};
        error_set(e, FAILURE_CONFIG, "%s: seems to hold a public key; expected a private key",
                  path);
    }
    return false;
}

static enum failure show_authority(struct view text, const char *name)
{
    struct error e = {0};
    struct sign_key key;
    if (!authority_key_from_text(&key, text, name, &e))
        return fail(&e);
    wipe(key.private_key, sizeof key.private_key);
    return print_authority(&key);
}

static enum failure show_public(struct view text, const char *name)
{
    struct error e = {0};
    struct keypair pair;
    if (authority_file_is_one(text))
        return show_authority(text, name);
    if (!keypair_from_text(&pair, text, name, &e))
        return fail(&e);
    if (!keypair_is_clamped(&pair))
        fputs("spx key: this is not as 'spx key new' makes private keys: is it a public key?\n",
              stderr);
    wipe(pair.private_key, sizeof pair.private_key);
    return print_public(&pair);
}

static enum failure run_public(struct cli *c)
{
    bool from_input = c->word_count == 0 || strcmp(c->words[0], "-") == 0;
    const char *name = from_input ? "standard input" : c->words[0];
    struct error e = {0};
    enum failure failure;
    char *text;
    size_t len;
    if (!(from_input ? file_read_fd(STDIN_FILENO, name, FILE_MAX, &text, &len, &e)
                     : load(name, &text, &len, &e)))
        return fail(&e);
    failure = show_public(view_of(text, len), name);
    wipe(text, len);
    free(text);
    return failure;
}

static const struct cli_verb verbs[] = {
    {
        .name = "new",
        .words = "[--authority] FILE",
        .help = "make a private key in FILE, with the mode 0600, and print\n"
                "its public key; an existing file is never overwritten",
        .options = new_options,
        .words_min = 1,
        .words_max = 1,
        .settle = settle_new,
        .run = run_new,
    },
    {
        .name = "public",
        .words = "[FILE]",
        .help = "print the public key of the private key in FILE, or of the\n"
                "one on standard input ('-' or no FILE)",
        .words_max = 1,
        .run = run_public,
    },
    {0},
};

static const struct cli_applet applet = {
    .name = "key",
    .about = "Makes keys and shows public keys.",
    .verbs = verbs,
    .notes = "Keys have the form that `wg genkey` and `wg pubkey` use. Use a key for spx only.",
};

enum failure key_main(int argc, char **argv)
{
    bool is_authority = false;
    return cli_run(&applet, &is_authority, argc, argv);
}
