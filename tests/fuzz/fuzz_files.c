/* libFuzzer: files other than configurations: a key file, an agent's calls for help and emergency
 * codes, and the client's known agents, to which another one is added. The first byte chooses, the
 * rest is the file, in which KEY_BYTE stands for a key and NAME_BYTE for the name that is looked
 * up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/emergency.h"
#include "agent/standing.h"
#include "base/bytes.h"
#include "config/known_agents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY_BYTE 1
#define NAME_BYTE 2

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static char directory[] = "/tmp/spx-fuzz-files-XXXXXX", path[64];

static void remove_directory(void)
{
    unlink(path);
    rmdir(directory);
}

/* The file that the program is given, which only its owner may read. */
static void write_file(struct view text)
{
    if (path[0] == '\0') {
        require(crypto_start(true) && mkdtemp(directory));
        snprintf(path, sizeof path, "%s/file", directory);
        require(atexit(remove_directory) == 0);
    }
    FILE *f = fopen(path, "w");
    require(f && fchmod(fileno(f), 0600) == 0);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == KEY_BYTE)
            fputs("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", f);
        else if (text.data[i] == NAME_BYTE)
            fputs("lab-1", f);
        else
            fputc(text.data[i], f);
    require(fclose(f) == 0);
}

/* An error has a text that names the file. */
static void check(bool good, const struct error *e)
{
    require(good == (e->failure == FAILURE_NONE));
    require(good || strstr(e->text, path));
}

static void load_key(void)
{
    struct keypair pair, again;
    struct error e = {0};
    bool good = keypair_load(&pair, path, &e);
    check(good, &e);
    if (good) {
        again = pair;
        keypair_derive(&again);
        require(memcmp(again.public_key, pair.public_key, KEY_BYTES) == 0);
    }
}

/* Whoever is added is found with the right key, and all others as before. */
static void find_and_add(void)
{
    uint8_t key[KEY_BYTES], more[KEY_BYTES] = {9}, before[KEY_BYTES] = {0};
    unsigned found = false, had = false;
    struct error e = {0};
    bool good = known_agents_find(path, "lab-1", before, &had, &e);
    check(good, &e);
    if (!good || !known_agents_find(path, "added", key, &found, &e) || found)
        return;
    require(known_agents_add(path, "added", more, &e));
    require(known_agents_find(path, "added", key, &found, &e) && found);
    require(memcmp(key, more, KEY_BYTES) == 0);
    require(known_agents_find(path, "lab-1", key, &found, &e) && found == had);
    require(!had || memcmp(key, before, KEY_BYTES) == 0);
}

/* An agent's calls for help, once read, are written as they stood, but for the order. */
static void read_calls(struct view file)
{
    static struct standing read, again;
    struct error e = {0};
    char *text = strndup((const char *)file.data, file.len);
    bool good = text && standing_from_text(&read, text, &e);
    require(good == (e.failure == FAILURE_NONE) && (good || read.count == 0));
    free(text);
    text = standing_to_text(&read);
    require(text && strlen(text) <= STANDING_FILE_MAX_BYTES);
    require(standing_from_text(&again, text, &e) && again.count == read.count);
    free(text);
    text = standing_to_text(&again);
    require(text);
    for (size_t i = 0; i < read.count; i++)
        require(read.all[i].number == again.all[i].number &&
                strcmp(read.all[i].text, again.all[i].text) == 0);
    free(text);
}

/* A list of emergency codes, once read, is written as it was. */
static void read_codes(struct view file)
{
    static struct emergency_list read, again;
    struct error e = {0};
    char *text = strndup((const char *)file.data, file.len);
    bool good = text && emergency_from_text(&read, text, &e);
    require(good == (e.failure == FAILURE_NONE) && (good || read.count == 0));
    free(text);
    if (!good)
        return;
    text = emergency_to_text(&read);
    require(text && strlen(text) <= EMERGENCY_FILE_MAX_BYTES);
    require(emergency_from_text(&again, text, &e) && again.count == read.count);
    require(emergency_left(&again) == emergency_left(&read) && again.made_s == read.made_s);
    for (size_t i = 0; i < read.count; i++)
        require(memcmp(again.all[i].hash, read.all[i].hash, sizeof read.all[i].hash) == 0 &&
                again.all[i].used_s == read.all[i].used_s &&
                strcmp(again.all[i].user, read.all[i].user) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'c') {
        read_calls(view_of(data + 1, size - 1));
        return 0;
    }
    if (data[0] == 'e') {
        read_codes(view_of(data + 1, size - 1));
        return 0;
    }
    write_file(view_of(data + 1, size - 1));
    if (data[0] & 1)
        load_key();
    else
        find_and_add();
    return 0;
}
