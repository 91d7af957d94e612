/* The listening side of a control socket. */
#include "control/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/door.h"

#define BACKLOG 64

struct control_server {
    struct door door;
    struct loop *loop;
    const struct control_verb *verbs;
    void *owner;
    struct list all; /* requests */
};

/* ---- Coming in. ---- */

static bool is_trusted(uint32_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* True if one more of this user is too many; those on the list have it among them already. */
static bool is_too_many(const struct control_server *s, uint32_t uid)
{
    unsigned all = 0, of_user = 0;
    list_each (link, &s->all) {
        all++;
        of_user += control_request_uid(control_request_at(link)) == uid;
    }
    return of_user > CONTROL_CONNECTIONS_PER_USER ||
           all > CONTROL_CONNECTIONS - (is_trusted(uid) ? 0 : CONTROL_CONNECTIONS_KEPT);
}

static void take(void *owner, int fd, const struct address *peer)
{
    struct control_server *s = owner;
    struct control_request *r = control_request_new(s->loop, fd, s->verbs, s->owner, &s->all);
    (void)peer;
    if (!r) {
        close(fd);
        return;
    }
    if (!is_too_many(s, control_request_uid(r)))
        return;
    control_refuse(r, "too many connections to the control socket");
}

static bool on_shortage(void *owner)
{
    (void)owner;
    return false;
}

static const struct door_events door_events = {.take = take, .on_shortage = on_shortage};

/* ---- The socket. ---- */

/* True if a process listens there: then a connect succeeds, or says anything but that none does. */
static bool is_in_use(const struct address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool used = fd >= 0 && (connect(fd, (const struct sockaddr *)&a->storage, a->len) == 0 ||
                            (errno != ECONNREFUSED && errno != ENOENT));
    if (fd >= 0)
        close(fd);
    return used;
}

static bool is_socket(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool open_door(struct control_server *s, const char *path, struct error *e)
{
    struct address a;
    struct error why = {0};
    if (!address_from_path(&a, path))
        return error_set(e, FAILURE_CONFIG, "the path is too long for a socket");
    if (is_socket(path) && is_in_use(&a))
        return error_set(e, FAILURE_NETWORK, "in use");
    if (door_open(&s->door, s->loop, &a, BACKLOG, &door_events, s, &why))
        return true;
    return error_set(e, FAILURE_CONFIG, "%s", why.text);
}

/* The socket is closed to all others until then. */
static bool let_group_in(const struct control_settings *settings, struct error *e)
{
    if (!settings->has_group || (lchown(settings->path, (uid_t)-1, settings->group) == 0 &&
                                 chmod(settings->path, 0660) == 0))
        return true;
    return error_set(e, FAILURE_CONFIG, "cannot give it to the group: %s", system_text(errno));
}

struct control_server *control_server_new(struct loop *loop,
                                          const struct control_settings *settings, struct error *e)
{
    struct control_server *s = calloc(1, sizeof *s);
    if (!s) {
        error_no_memory(e);
        return NULL;
    }
    s->loop = loop;
    s->verbs = settings->verbs;
    s->owner = settings->owner;
    list_init(&s->all);
    if (open_door(s, settings->path, e) && let_group_in(settings, e)) {
        door_go(&s->door);
        return s;
    }
    door_close(&s->door);
    free(s);
    return NULL;
}

void control_server_free(struct control_server *s)
{
    if (!s)
        return;
    door_close(&s->door);
    list_each (link, &s->all)
        control_request_end(control_request_at(link));
    free(s);
}

bool control_server_is(const struct control_server *s, const char *path)
{
    return s && door_is_file(&s->door, path);
}

/* ---- Watchers. ---- */

bool control_server_is_watched(const struct control_server *s)
{
    if (!s)
        return false;
    list_each (link, &s->all)
        if (control_request_watches(control_request_at(link)))
            return true;
    return false;
}

void control_server_tell(struct control_server *s, struct view line)
{
    if (!s)
        return;
    list_each (link, &s->all)
        if (control_request_watches(control_request_at(link)))
            control_request_send(control_request_at(link), line);
}
