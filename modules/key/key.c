#include "key/key.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "crypto/keys.h"

#define STANDARD_INPUT_MAX 1024

/* Takes the words after its name; files: how many it was given. */
struct command {
    const char *name;
    int files_min, files_max;
    enum failure (*run)(int files, char **file);
};

static void print_usage(FILE *to)
{
    fputs("usage: spx key new FILE        make a private key in FILE (mode 0600; a file that is\n"
          "                               there is never overwritten) and print its public key\n"
          "       spx key public [FILE]   print the public key of the private key in FILE, or\n"
          "                               of the one on standard input ('-' or no FILE)\n"
          "       spx key --help          print this\n"
          "\n"
          "Keys are what `wg genkey` and `wg pubkey` write. Use a key for spx only.\n",
          to);
}

static enum failure fail(const struct error *e)
{
    fprintf(stderr, "spx key: %s\n", e->text);
    return e->failure;
}

/* What goes to standard output has arrived, or the exit code says that it has not. */
static enum failure finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return FAILURE_NONE;
    fprintf(stderr, "spx key: standard output: %s\n", strerror(errno));
    return FAILURE_OTHER;
}

static enum failure print_public(const struct keypair *pair)
{
    char text[KEY_TEXT_BYTES];

    key_to_text(text, pair->public_key);
    puts(text);
    return finish_output();
}

static enum failure run_new(int files, char **file)
{
    struct error e = {0};
    struct keypair pair;
    char line[KEY_TEXT_BYTES];
    bool good;

    (void)files;
    if (strcmp(file[0], "-") == 0) {
        fputs("spx key: a new key goes to a file, never to standard output\n", stderr);
        return FAILURE_USAGE;
    }
    keypair_generate(&pair);
    key_to_text(line, pair.private_key);
    line[KEY_TEXT_BYTES - 1] = '\n'; /* in the terminator's place */
    good = file_create_secret(file[0], line, sizeof line, &e);
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

    if (!file_read_fd(STDIN_FILENO, name, STANDARD_INPUT_MAX, &text, &len, e))
        return false;
    good = keypair_from_text(pair, view_of(text, len), name, e);
    wipe(text, len);
    free(text);
    return good;
}

static enum failure run_public(int files, char **file)
{
    struct error e = {0};
    struct keypair pair;
    bool from_input = files == 0 || strcmp(file[0], "-") == 0;

    if (!(from_input ? read_standard_input(&pair, &e) : keypair_load(&pair, file[0], &e)))
        return fail(&e);
    wipe(pair.private_key, sizeof pair.private_key);
    return print_public(&pair);
}

static const struct command commands[] = {
    {"new", 1, 1, run_new},
    {"public", 0, 1, run_public},
};

static int usage_error(void)
{
    print_usage(stderr);
    return FAILURE_USAGE;
}

static int run_command(int count, char **word)
{
    if (count == 0)
        return usage_error();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];

        if (strcmp(word[0], c->name) != 0)
            continue;
        if (count - 1 < c->files_min || count - 1 > c->files_max)
            return usage_error();
        return c->run(count - 1, word + 1);
    }
    fprintf(stderr, "spx key: no such command: %s\n", word[0]);
    return usage_error();
}

enum failure key_main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option != 'h')
            return usage_error();
        print_usage(stdout);
        return finish_output();
    }
    return run_command(argc - optind, argv + optind);
}
