/* Lists only grow: what was taken back stays so. */
#include "permit/revoked.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"

struct revoked_list {
    uint8_t authority[SIGN_PUBLIC_BYTES];
    struct file_stamp stamp;
    bool was_read;
    struct revocations list;
};

static struct revoked_list *find(const struct revoked *r,
                                 const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    for (size_t i = 0; i < r->count; i++)
        if (memcmp(r->lists[i].authority, authority, SIGN_PUBLIC_BYTES) == 0)
            return &r->lists[i];
    return NULL;
}

static struct revoked_list *find_or_add(struct revoked *r,
                                        const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    struct revoked_list *found = find(r, authority), *grown;
    if (found)
        return found;
    grown = array_append(r->lists, &r->count, sizeof *grown);
    if (!grown)
        return NULL;
    r->lists = grown;
    memcpy(grown[r->count - 1].authority, authority, SIGN_PUBLIC_BYTES);
    return &grown[r->count - 1];
}

void revoked_free(struct revoked *r)
{
    for (size_t i = 0; i < r->count; i++)
        revocations_free(&r->lists[i].list);
    free(r->lists);
    *r = (struct revoked){0};
}

static void tell(const char *path, const struct revocations *list)
{
    log_info("%s: revocations %llu: %zu permit%s, %zu key%s", path,
             (unsigned long long)list->number, list->permit_count,
             list->permit_count == 1 ? "" : "s", list->key_count, list->key_count == 1 ? "" : "s");
}

static bool is_newer(const struct revocations *list, const struct revocations *old,
                     const char *path, struct error *e)
{
    return list->number >= old->number ||
           error_set(e, FAILURE_CONFIG,
                     "%s: revocations %llu are older than %llu, which were read before", path,
                     (unsigned long long)list->number, (unsigned long long)old->number);
}

bool revoked_read(struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES], const char *path,
                  struct error *e)
{
    struct revoked_list *of = find_or_add(r, authority);
    struct revocations list;
    if (!of)
        return error_no_memory(e);
    file_stamp_renew(&of->stamp, path);
    if (!revocations_read(&list, path, authority, e))
        return false;
    if (!is_newer(&list, &of->list, path, e)) {
        revocations_free(&list);
        return false;
    }
    if (list.number > of->list.number)
        tell(path, &list);
    revocations_free(&of->list);
    of->list = list;
    of->was_read = true;
    return true;
}

bool revoked_has(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES])
{
    const struct revoked_list *of = find(r, authority);
    return of && of->was_read;
}

bool revoked_may_have_changed(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES],
                              const char *path)
{
    const struct revoked_list *of = find(r, authority);
    struct file_stamp stamp = of ? of->stamp : (struct file_stamp){0};
    return file_stamp_renew(&stamp, path);
}

const char *revoked_say(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES],
                        const struct permit *p)
{
    const struct revoked_list *of = find(r, authority);
    return of ? revocations_say(&of->list, p) : NULL;
}
