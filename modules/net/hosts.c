/* /etc/hosts as a hash table: blocklists make it long, and a look-up is to cost the same. It is
 * read in portions, a round of the loop each, and anew whenever the file has changed. */
#include "net/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/random.h"
#include "base/siphash.h"
#include "base/stamp.h"

#define BLANKS " \t\r\n"
#define BYTES_A_NAME 32 /* or so; for the number of slots, which stays as it is */
#define SLOTS_MIN 64U
#define SLOTS_MAX (1U << 20)
#define NAME_BYTES 256 /* longer ones nobody looks up */
#define FIRST_TEXT 4096U
#define FIRST_NAMES 64U

/* Where its words stand in the text; next: in the slot, 0: none. */
struct host_name {
    uint32_t name, address, next;
};

/* First and last of names, in the order of the file; 0: none. */
struct slot {
    uint32_t first, last;
};

struct hosts {
    const char *path;
    struct file_stamp stamp; /* of what is read, or was last */
    uint8_t hash_key[16];
    uint64_t compared;

    FILE *file;          /* being read, or NULL */
    uint64_t portion_us; /* when of it something was read last */
    size_t bytes_read;
    char input[HOSTS_LINE_BYTES + 1];
    size_t input_len; /* the beginning of a line */
    bool skipping;    /* the rest of a line that is too long */
    bool long_lines;  /* there were such */
    const char *left_out;

    char *text; /* addresses and names, the names in small letters, each with its '\0' */
    size_t text_len, text_room;
    struct host_name *names; /* the first is none */
    size_t name_count, name_room;
    struct slot *slots;
    size_t slot_count; /* a power of two */
};

struct hosts *hosts_new(const char *path)
{
    struct hosts *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->path = path;
    random_bytes(h->hash_key, sizeof h->hash_key);
    return h;
}

/* ---- The table. ---- */

static void clear(struct hosts *h)
{
    free(h->text);
    free(h->names);
    free(h->slots);
    h->text = NULL;
    h->names = NULL;
    h->slots = NULL;
    h->text_len = h->text_room = h->name_count = h->name_room = h->slot_count = 0;
}

/* In the text; 0: no memory. Its first byte belongs to no word. */
static uint32_t keep_word(struct hosts *h, const char *word, size_t len)
{
    size_t at = h->text_len ? h->text_len : 1;
    if (at + len + 1 > h->text_room) {
        size_t room = 2 * (h->text_room + len) + FIRST_TEXT;
        char *larger = realloc(h->text, room);
        if (!larger)
            return 0;
        h->text = larger;
        h->text_room = room;
    }
    memcpy(h->text + at, word, len);
    h->text[at + len] = '\0';
    h->text_len = at + len + 1;
    return (uint32_t)at;
}

/* Room for one more. */
static bool widen(struct hosts *h)
{
    if (h->name_count < h->name_room)
        return true;
    size_t room = h->name_room ? 2 * h->name_room : FIRST_NAMES;
    struct host_name *larger = realloc(h->names, room * sizeof *larger);
    if (!larger)
        return false;
    h->names = larger;
    h->name_room = room;
    if (h->name_count == 0)
        h->name_count = 1;
    return true;
}

/* The length without a final dot. */
static size_t name_len(const char *name)
{
    size_t len = strlen(name);
    return len > 1 && name[len - 1] == '.' ? len - 1 : len;
}

static struct slot *slot_of(const struct hosts *h, const char *name, size_t len)
{
    return &h->slots[siphash24(h->hash_key, name, len) & (h->slot_count - 1)];
}

/* Last in its slot. False without memory. */
static bool add_name(struct hosts *h, char *word, uint32_t address)
{
    size_t len = name_len(word);
    struct slot *slot;
    uint32_t name;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)tolower((unsigned char)word[i]);
    name = keep_word(h, word, len);
    if (!name || !widen(h))
        return false;
    slot = slot_of(h, word, len);
    h->names[h->name_count] = (struct host_name){.name = name, .address = address};
    *(slot->last ? &h->names[slot->last].next : &slot->first) = (uint32_t)h->name_count;
    slot->last = (uint32_t)h->name_count++;
    return true;
}

/* ---- Reading. ---- */

/* A line, which is cut up. */
static void take_line(struct hosts *h, char *line)
{
    struct address address;
    char *rest = line, *word;
    uint32_t at;
    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, BLANKS, &rest);
    if (!word || !address_from_literal(&address, word, 0))
        return;
    at = keep_word(h, word, strlen(word));
    while ((word = strtok_r(NULL, BLANKS, &rest)) != NULL) {
        if (h->name_count > HOSTS_NAMES_MAX)
            h->left_out = "more than 1,000,000 names";
        else if (!at || !add_name(h, word, at))
            h->left_out = NO_MEMORY_TEXT;
        else
            continue;
        return;
    }
}

/* Takes the whole lines of the input; what is left is the beginning of one. */
static void take_lines(struct hosts *h)
{
    char *line = h->input, *end = h->input + h->input_len, *newline;
    while ((newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        *newline = '\0';
        if (!h->skipping)
            take_line(h, line);
        h->skipping = false;
        line = newline + 1;
    }
    h->input_len = (size_t)(end - line);
    memmove(h->input, line, h->input_len);
    if (h->input_len < HOSTS_LINE_BYTES)
        return;
    h->long_lines = h->skipping = true;
    h->input_len = 0;
}

static void end_reading(struct hosts *h)
{
    h->input[h->input_len] = '\0';
    if (!h->skipping)
        take_line(h, h->input);
    fclose(h->file);
    h->file = NULL;
    if (h->long_lines)
        log_warning("%s: lines of more than 16 KiB are left out", h->path);
    if (h->left_out)
        log_warning("%s: %s: the rest is left out", h->path, h->left_out);
}

static void read_portion(struct hosts *h)
{
    size_t n = fread(h->input + h->input_len, 1, HOSTS_LINE_BYTES - h->input_len, h->file);
    h->input_len += n;
    h->bytes_read += n;
    take_lines(h);
    if (h->bytes_read >= HOSTS_BYTES_MAX)
        h->left_out = "more than 32 MiB";
    else if (ferror(h->file))
        h->left_out = system_text(errno);
    if (n == 0 || h->left_out)
        end_reading(h);
}

bool hosts_read(struct hosts *h, uint64_t now_us)
{
    if (h->file && h->portion_us != now_us) {
        h->portion_us = now_us;
        read_portion(h);
    }
    return h->file == NULL;
}

static size_t slots_for(off_t bytes)
{
    size_t count = SLOTS_MIN;
    while (count < SLOTS_MAX && (off_t)count * BYTES_A_NAME < bytes)
        count *= 2;
    return count;
}

/* Without the file, or descriptors, there are no names; without descriptors the next look-up tries
 * again. */
static void begin_reading(struct hosts *h)
{
    clear(h);
    h->file = h->stamp.there ? fopen(h->path, "re") : NULL;
    if (!h->file) {
        h->stamp.fresh = h->stamp.there;
        return;
    }
    setvbuf(h->file, NULL, _IONBF, 0);
    h->slot_count = slots_for(h->stamp.size);
    h->slots = calloc(h->slot_count, sizeof *h->slots);
    h->left_out = h->slots ? NULL : NO_MEMORY_TEXT;
    h->portion_us = h->bytes_read = h->input_len = 0;
    h->skipping = !h->slots;
    h->long_lines = false;
    if (!h->slots)
        end_reading(h);
}

void hosts_check(struct hosts *h)
{
    if (!h->file && file_stamp_renew(&h->stamp, h->path))
        begin_reading(h);
}

void hosts_free(struct hosts *h)
{
    if (!h)
        return;
    if (h->file)
        fclose(h->file);
    clear(h);
    free(h);
}

/* ---- Looking up. ---- */

static bool is_localhost(const char *name)
{
    static const char tail[] = ".localhost";
    size_t len = name_len(name), tail_len = sizeof tail - 1;
    return (len == tail_len - 1 && strncasecmp(name, tail + 1, len) == 0) ||
           (len > tail_len && strncasecmp(name + len - tail_len, tail, tail_len) == 0);
}

/* One that is twice on a line counts once. */
static unsigned find_in_table(struct hosts *h, struct address *out, unsigned max, const char *name)
{
    char small[NAME_BYTES];
    size_t len = name_len(name);
    unsigned count = 0;
    uint32_t address = 0;
    if (!h->slots || len >= sizeof small)
        return 0;
    for (size_t i = 0; i < len; i++)
        small[i] = (char)tolower((unsigned char)name[i]);
    small[len] = '\0';
    for (uint32_t i = slot_of(h, small, len)->first; i && count < max; i = h->names[i].next) {
        h->compared++;
        if (strcmp(h->text + h->names[i].name, small) != 0 || h->names[i].address == address)
            continue;
        address = h->names[i].address;
        count += address_from_literal(&out[count], h->text + address, 0);
    }
    return count;
}

unsigned hosts_find(struct hosts *h, struct address *out, unsigned max, const char *name)
{
    unsigned count = find_in_table(h, out, max, name);
    if (count == 0 && is_localhost(name)) {
        count += count < max && address_from_literal(&out[count], "::1", 0);
        count += count < max && address_from_literal(&out[count], "127.0.0.1", 0);
    }
    return count;
}

uint64_t hosts_compared(const struct hosts *h)
{
    return h->compared;
}
