/* The configuration's readers: the first byte chooses one of the three files or of the parsers of
 * single values, the rest is the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/files.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PRIVATE_KEY "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n"

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static char directory[] = "/tmp/spx-fuzz-config-XXXXXX", file[64], key[64];

static void remove_directory(void)
{
    unlink(file);
    unlink(key);
    rmdir(directory);
}

/* A file in a directory of its own, in which a key is too; made once. */
static const char *file_path(void)
{
    struct error e = {0};
    if (file[0] == '\0') {
        require(crypto_start(false) && mkdtemp(directory));
        snprintf(file, sizeof file, "%s/file", directory);
        snprintf(key, sizeof key, "%s/key", directory);
        require(file_create_secret(key, PRIVATE_KEY, strlen(PRIVATE_KEY), &e));
        require(atexit(remove_directory) == 0);
    }
    return file;
}

static void write_text(const char *path, struct view text)
{
    FILE *f = fopen(path, "w");
    require(f && fwrite(text.data, 1, text.len, f) == text.len && fclose(f) == 0);
}

/* An error has a text and leaves nothing behind. */
static void check(bool good, const struct error *e, const void *config, size_t size)
{
    require(good == (e->failure == FAILURE_NONE));
    require(good || (e->text[0] != '\0' && bytes_are_zero(config, size)));
}

static void load(unsigned which, struct view text)
{
    struct relay_config relay;
    struct agent_config agent;
    struct client_config client;
    const char *path = file_path();
    struct error e = {0};
    write_text(path, text);
    if (which == 0) {
        check(relay_config_load(&relay, path, &e), &e, &relay, sizeof relay);
        relay_config_free(&relay);
    } else if (which == 1) {
        check(agent_config_load(&agent, path, &e), &e, &agent, sizeof agent);
        agent_config_free(&agent);
    } else {
        check(client_config_load(&client, path, &e), &e, &client, sizeof client);
        client_config_free(&client);
    }
}

/* A target's text is read as the same target. */
static void read_target(const char *text)
{
    struct target t, again;
    struct target_pattern pattern;
    char written[TARGET_TEXT_BYTES];
    struct error e = {0};
    if (value_target(&t, text, &e)) {
        target_to_text(written, &t);
        require(value_target(&again, written, &e));
        require(again.kind == t.kind && host_port_same(&again.at, &t.at));
        (void)(value_target_pattern(&pattern, text, &e) && target_pattern_permits(&pattern, &t));
    }
}

static void read_values(const char *text)
{
    static const struct number_range range = {5, 86400, SECONDS};
    struct host_port host;
    struct address address;
    struct target_pattern pattern;
    struct forward forward;
    char name[NAME_TEXT_BYTES];
    uint32_t number;
    struct error e = {0};
    read_target(text);
    value_host_port(&host, text, 0, &e);
    value_listen(&address, text, "::", &e);
    value_target_pattern(&pattern, text, &e);
    value_listen_pattern(&pattern, text, &e);
    value_forward_option(&forward, text, &e);
    require(!value_name(name, text, &e) || strcmp(name, text) == 0);
    require(!value_name_pattern(name, text, &e) || strcmp(name, text) == 0);
    if (value_number(&number, text, &range, &e))
        require(number >= range.low && number <= range.high);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    if (size == 0)
        return 0;
    if (data[0] % 4 < 3) {
        load(data[0] % 4, view_of(data + 1, size - 1));
        return 0;
    }
    text = strndup((const char *)data + 1, size - 1);
    require(text);
    read_values(text);
    free(text);
    return 0;
}
