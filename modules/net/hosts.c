/* /etc/hosts, read anew for each look-up: it is short, and never out of date. */
#include "net/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOSTS_FILE "/etc/hosts"
#define BLANKS " \t\r\n"

/* The length without a final dot. */
static size_t name_len(const char *name)
{
    size_t len = strlen(name);
    return len > 1 && name[len - 1] == '.' ? len - 1 : len;
}

static bool same_name(const char *a, const char *b)
{
    size_t len = name_len(a);
    return len == name_len(b) && strncasecmp(a, b, len) == 0;
}

bool hosts_line(struct address *out, char *line, const char *name)
{
    char *rest = line, *word;
    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, BLANKS, &rest);
    if (!word || !address_from_literal(out, word, 0))
        return false;
    while ((word = strtok_r(NULL, BLANKS, &rest)) != NULL)
        if (same_name(word, name))
            return true;
    return false;
}

static bool is_localhost(const char *name)
{
    static const char tail[] = ".localhost";
    size_t len = name_len(name), tail_len = sizeof tail - 1;
    return (len == tail_len - 1 && strncasecmp(name, tail + 1, len) == 0) ||
           (len > tail_len && strncasecmp(name + len - tail_len, tail, tail_len) == 0);
}

unsigned hosts_find(struct address *out, unsigned max, const char *name)
{
    FILE *file = fopen(HOSTS_FILE, "re");
    char *line = NULL;
    size_t room = 0;
    unsigned count = 0;
    while (file && count < max && getline(&line, &room, file) >= 0)
        count += hosts_line(&out[count], line, name);
    free(line);
    if (file)
        fclose(file);
    if (count == 0 && is_localhost(name)) {
        count += count < max && address_from_literal(&out[count], "::1", 0);
        count += count < max && address_from_literal(&out[count], "127.0.0.1", 0);
    }
    return count;
}
