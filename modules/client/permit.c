/* The permit's file, read when it has changed. */
#include "client/permit.h"

#include "base/clock.h"
#include "base/log.h"
#include "permit/file.h"
#include "policy/date.h"

#define ID_DIGITS 8

static void tell(const struct client_permit *c, const struct permit *p)
{
    static const struct zone utc;
    char until[DATE_TEXT_BYTES], id[PERMIT_ID_TEXT_BYTES];
    int64_t until_s = (int64_t)p->outer.until_s;
    bool is_over = until_s <= clock_wall_s();
    struct log_fields f = {.event = "permit_read", .reason = until};
    date_text(until, &utc, until_s);
    permit_id_text(id, p);
    log_event(is_over ? LOG_WARNING : LOG_INFO, &f, "%s: permit %.*s %s good until %s", c->path,
              ID_DIGITS, id, is_over ? "was" : "is", until);
}

static bool read_file(struct client_permit *c, struct error *e)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct permit p;
    size_t len;
    file_stamp_renew(&c->stamp, c->path);
    if (!permit_file_read(&p, bytes, &len, c->path, e))
        return false;
    if (memcmp(p.outer.user_key, c->own, KEY_BYTES) != 0)
        return error_set(e, FAILURE_CONFIG,
                         "%s: the permit is for another key than the one of KeyFile", c->path);
    if (len == c->len && memcmp(c->bytes, bytes, len) == 0)
        return true;
    memcpy(c->bytes, bytes, len);
    c->len = len;
    tell(c, &p);
    return true;
}

bool client_permit_start(struct client_permit *p, const char *path, const uint8_t own[KEY_BYTES],
                         struct error *e)
{
    *p = (struct client_permit){.path = path, .own = own};
    return !path || read_file(p, e);
}

struct view client_permit_outer(struct client_permit *p)
{
    struct error e = {0};
    struct file_stamp stamp = p->stamp;
    if (p->path && file_stamp_renew(&stamp, p->path) && !read_file(p, &e))
        log_warning("%s: the permit that was read before is used", e.text);
    return permit_for_relay(client_permit_whole(p));
}

struct view client_permit_whole(const struct client_permit *p)
{
    return view_of(p->bytes, p->len);
}
