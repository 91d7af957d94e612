/* The one place that compares the configuration in use with the one just read, by the tables. */
#include "config/reload.h"

#include "base/log.h"

static void swap_bytes(char *a, char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void carry_over_key(const char *section, const struct config_key *k, char *running,
                           char *fresh)
{
    static const struct {
        enum log_level level;
        const char *text;
    } effects[] = {
        [NEXT_HOP] = {LOG_INFO, "takes effect with the next connection"},
        [NEXT_SESSION] = {LOG_INFO, "takes effect with the next session"},
        [NEXT_START] = {LOG_WARNING, "takes effect at the next start"},
    };

    if (k->effect == AT_ONCE || k->type->same(running + k->offset, fresh + k->offset))
        return;
    log_line(effects[k->effect].level, "%s in [%s]: %s", k->name, section, effects[k->effect].text);
    if (k->effect == NEXT_START)
        swap_bytes(running + k->offset, fresh + k->offset, k->type->bytes);
}

void config_carry_over(const struct config_file *file, void *running, void *fresh)
{
    for (size_t i = 0; i < file->section_count; i++) {
        const struct config_section *s = &file->sections[i];
        for (size_t j = 0; s->items.item_bytes == 0 && j < s->key_count; j++)
            carry_over_key(s->name, &s->keys[j], running, fresh);
    }
}
