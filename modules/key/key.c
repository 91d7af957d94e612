/* `spx key`: makes keys and shows public keys. */
#include "key/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/cli.h"
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

static bool settle_new(struct cli *c, struct error *e)
{
    if (strcmp(c->words[0], "-") != 0)
        return true;
    return error_set(e, FAILURE_USAGE, "a new key goes to a file, never to standard output");
}

static enum failure run_new(struct cli *c)
{
    struct error e = {0};
    struct keypair pair;
    char line[KEY_TEXT_BYTES];
    bool good;
    keypair_generate(&pair);
    key_to_text(line, pair.private_key);
    line[KEY_TEXT_BYTES - 1] = '\n'; /* in the terminator's place */
    good = file_create_secret(c->words[0], line, sizeof line, &e);
    wipe(line, sizeof line);
    wipe(pair.private_key, sizeof pair.private_key);
    return good ? print_public(&pair) : fail(&e);
}

static bool read_standard_input(struct keypair *pair, struct error *e)
{
    static const char name[] = "standard input";
    char *text;
    size_t len;
    bool good;
    if (!file_read_fd(STDIN_FILENO, name, FILE_MAX, &text, &len, e))
        return false;
    good = keypair_from_text(pair, view_of(text, len), name, e);
    wipe(text, len);
    free(text);
    return good;
}

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

static bool load(struct keypair *pair, const char *path, struct error *e)
{
    if (keypair_load(pair, path, e))
        return true;
    if (is_public(path)) {
        *e = (struct error){0};
        error_set(e, FAILURE_CONFIG, "%s: seems to hold a public key; expected a private key",
                  path);
    }
    return false;
}

static enum failure run_public(struct cli *c)
{
    struct error e = {0};
    struct keypair pair;
    bool from_input = c->word_count == 0 || strcmp(c->words[0], "-") == 0;
    if (!(from_input ? read_standard_input(&pair, &e) : load(&pair, c->words[0], &e)))
        return fail(&e);
    if (!keypair_is_clamped(&pair))
        fputs("spx key: this is not as 'spx key new' makes private keys: is it a public key?\n",
              stderr);
    wipe(pair.private_key, sizeof pair.private_key);
    return print_public(&pair);
}

static const struct cli_verb verbs[] = {
    {
        .name = "new",
        .words = "FILE",
        .help = "make a private key in FILE, with the mode 0600, and print\n"
                "its public key; an existing file is never overwritten",
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
    return cli_run(&applet, NULL, argc, argv);
}
