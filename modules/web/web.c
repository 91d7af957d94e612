/* Start and end: the opener while there are privileges, then none. */
#include "web/web.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "guard/fence.h"
#include "guard/guard.h"
#include "guard/user.h"
#include "http/server.h"
#include "web/site.h"

#define NOBODY "65534" /* which systems call nobody */

/* ---- The address. ---- */

/* HOST:PORT of a loopback address, or a path. */
static bool read_address(struct address *a, const char *text, struct error *e)
{
    char host[64] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    uint64_t port = 0;
    if (text[0] == '/')
        return address_from_path(a, text) ||
               error_set(e, FAILURE_USAGE, "--listen: the path is too long for a socket");
    if (len > 0 && len < sizeof host)
        snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len), text + bracketed);
    if (len > 0 && len < sizeof host && text_number(&port, view_of_string(colon + 1), 0, 65535) &&
        address_from_literal(a, host, (uint16_t)port) && address_is_loopback(a))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "--listen: expected a loopback address and a port, such as 127.0.0.1:8042, or "
                     "the path of a socket: '%s'",
                     text);
}

static const char *listen_text(const struct web_settings *settings)
{
    return settings->listen ? settings->listen : "127.0.0.1:0";
}

bool web_check(const struct web_settings *settings, struct error *e)
{
    struct address a;
    return read_address(&a, listen_text(settings), e);
}

/* ---- The page's address. ---- */

/* Behind a '#' a browser sends it to nobody, and the page takes it away. */
static void print_url(struct web *w)
{
    char token[PASS_BYTES], at[ADDRESS_TEXT_BYTES];
    const struct address *a = http_server_address(w->server);
    struct error e = {0};
    passes_issue(&w->passes, loop_now(w->loop), token);
    if (address_is_unix(a))
        snprintf(at, sizeof at, "localhost");
    else
        address_to_text(at, a);
    printf(w->json ? "{\"url\":\"http://%s/#%s\",\"good_s\":%d}\n" : "http://%s/#%s\n", at, token,
           TOKEN_S);
    wipe(token, sizeof token);
    if (!output_flush(&e))
        log_error("%s", e.text);
}

static void on_status(void *arg, int signo)
{
    (void)signo;
    print_url(arg);
}

/* A line on a terminal. The terminal is others' too and stays as it is: it is read only when there
 * is something to read. */
static void on_key(struct io *io)
{
    char line[256];
    ssize_t n = read(io->fd, line, sizeof line);
    io_read_drained(io);
    if (n <= 0)
        return;
    print_url(container_of(io, struct web, keys));
    io_want_read(io);
}

/* ---- The process. ---- */

/* All that it may do after this is to serve its sockets. */
static bool give_up_privileges(const struct address *listen, struct error *e)
{
    struct fence fence;
    static const struct guard_user nobody = {.section = "Agent", .user = NOBODY, .group = NOBODY};
    if (geteuid() == 0 && !guard_user_become(&nobody, e))
        return false;
    if (chdir("/") != 0)
        return error_set(e, FAILURE_OTHER, "cannot go to /: %s", system_text(errno));
    fence_begin(&fence, false, false);
    if (address_is_unix(listen))
        fence_allow_beside(&fence, ((const struct sockaddr_un *)&listen->storage)->sun_path,
                           FENCE_LISTEN);
    guard_enter(&(struct guard_settings){.role = GUARD_WEB, .fence = &fence});
    return true;
}

static void end(struct web *w, enum failure failure, const char *why)
{
    w->failure = failure;
    log_ended(failure, why);
    loop_stop(w->loop);
}

static void on_stop(void *arg, int signo)
{
    end(arg, FAILURE_NONE, loop_signal_text(signo));
}

static void on_opener_failed(void *owner)
{
    end(owner, FAILURE_OTHER, "the process that opens connections to the agent has ended");
}

static void on_ordered(void *owner)
{
    struct web *w = owner;
    feed_refresh(w->feed);
}

/* The first try: whoever may not use the socket is told so at once. */
static void on_first(struct connecting *first, int fd, int error)
{
    struct web *w = container_of(first, struct web, first);
    if (fd >= 0)
        close(fd);
    if (fd < 0 && (error == EACCES || error == EPERM)) {
        end(w, FAILURE_DENIED, "the control socket is closed to this user");
        return;
    }
    if (fd < 0)
        log_warning("the agent is not there: %s; the page waits for it", system_text(error));
    print_url(w);
}

static bool start(struct web *w, const struct http_site *site, const struct address *listen,
                  struct error *e)
{
    w->loop = loop_new_with_signals(on_stop, NULL, on_status, w, e);
    if (!w->loop)
        return false;
    if (!opener_enter(w->opener, w->loop, on_opener_failed, w) ||
        !(w->feed = feed_new(w->loop, w->opener, &w->passes)) ||
        !(w->orders = orders_new(w->loop, w->opener, on_ordered, w)))
        return error_no_memory(e);
    w->server = http_server_new(w->loop, listen, site, e);
    return w->server && give_up_privileges(listen, e);
}

static void serve(struct web *w)
{
    log_started();
    w->first.done = on_first;
    opener_ask(w->opener, &w->first);
    w->keys.on_read = on_key;
    if (isatty(STDIN_FILENO) && io_add(w->loop, &w->keys, STDIN_FILENO))
        io_want_read(&w->keys);
    loop_run(w->loop);
}

static void stop(struct web *w)
{
    if (w->loop)
        io_remove(&w->keys);
    http_server_free(w->server);
    orders_free(w->orders);
    feed_free(w->feed);
    opener_free(w->opener);
    loop_free(w->loop);
    guard_tell_refused();
    wipe(&w->passes, sizeof w->passes);
}

enum failure web_run(const struct web_settings *settings)
{
    struct web w = {.json = settings->json};
    struct http_site site = site_of(&w);
    struct address listen;
    struct error e = {0};
    log_setup("web", settings->verbose ? LOG_DEBUG : LOG_INFO, settings->json);
    if (read_address(&listen, listen_text(settings), &e) &&
        (w.opener = opener_start(settings->socket, &e)) && start(&w, &site, &listen, &e))
        serve(&w);
    else
        log_error("%s", e.text);
    stop(&w);
    return e.failure ? e.failure : w.failure;
}
