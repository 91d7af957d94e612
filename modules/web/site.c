/* Routes. */
#include "web/site.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "web/page.h"

#define JSON_TYPE "application/json"
#define TELL_US (10 * CLOCK_US_PER_S)

/* The page is for a browser on this machine, or at the end of a tunnel that begins here. */
static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", NULL};

/* ---- The page. ---- */

static void run_file(struct http_exchange *x)
{
    const struct page_file *f = page_files;
    while (strcmp(f->path, exchange_message(x)->target) != 0)
        f++;
    exchange_answer(x, 200, f->type, f->content());
}

/* ---- Signing in. ---- */

/* A form of another page cannot send this type. */
static bool is_json(struct http_exchange *x)
{
    if (strncmp(exchange_message(x)->fields[FIELD_CONTENT_TYPE], JSON_TYPE, strlen(JSON_TYPE)) == 0)
        return true;
    exchange_refuse(x, 415, "expected JSON");
    return false;
}

static void tell_wrong(struct web *w)
{
    uint64_t now = loop_now(w->loop);
    if (now - w->wrong_us < TELL_US)
        return;
    w->wrong_us = now;
    log_event(LOG_WARNING, &(struct log_fields){.event = "page_refused"},
              "a page shows a token that is wrong, was used, or is too old");
}

static void answer_bearer(struct http_exchange *x, const char *bearer)
{
    char line[128];
    struct json_line l;
    json_begin(&l, line, sizeof line);
    json_put_text(&l, "bearer", bearer);
    exchange_answer(x, 200, JSON_TYPE, view_of(line, json_end(&l)));
    wipe(line, sizeof line);
}

static void run_enter(struct http_exchange *x)
{
    struct web *w = exchange_owner(x);
    const struct http_message *m = exchange_message(x);
    struct json_object o;
    struct error e = {0};
    char token[PASS_BYTES] = "", bearer[PASS_BYTES];
    if (!is_json(x))
        return;
    if (!json_read(&o, view_of(m->content, m->content_len), &e) ||
        !json_get_text(&o, "token", token, sizeof token) ||
        !passes_redeem(&w->passes, loop_now(w->loop), token, bearer)) {
        tell_wrong(w);
        exchange_refuse(x, 403, "this address was used, or is too old");
        return;
    }
    log_event(LOG_INFO, &(struct log_fields){.event = "page_entered"}, "a page has signed in");
    exchange_trust(x);
    answer_bearer(x, bearer);
}

/* NULL: it shows no bearer, which is answered. */
static const char *admitted(struct http_exchange *x)
{
    struct web *w = exchange_owner(x);
    const char *shown = exchange_message(x)->fields[FIELD_AUTHORIZATION];
    bool is_bearer = strncmp(shown, "Bearer ", 7) == 0;
    if (is_bearer && passes_admit(&w->passes, loop_now(w->loop), shown + 7)) {
        exchange_trust(x);
        return shown + 7;
    }
    exchange_refuse(x, 401, "sign in");
    return NULL;
}

static void run_leave(struct http_exchange *x)
{
    struct web *w = exchange_owner(x);
    const char *bearer = admitted(x);
    if (!bearer)
        return;
    passes_end(&w->passes, bearer);
    log_event(LOG_INFO, &(struct log_fields){.event = "page_left"}, "a page has signed out");
    exchange_refuse(x, 200, "signed out");
    feed_refresh(w->feed);
}

/* ---- The agent. ---- */

static void run_live(struct http_exchange *x)
{
    struct web *w = exchange_owner(x);
    const char *bearer = admitted(x);
    if (bearer)
        feed_join(w->feed, x, bearer);
}

static void run_order(struct http_exchange *x)
{
    struct web *w = exchange_owner(x);
    if (admitted(x) && is_json(x))
        orders_take(w->orders, x);
}

struct http_site site_of(struct web *w)
{
    static const struct http_route routes[] = {
        {"GET", "/", true, run_file},
        {"GET", "/page.css", true, run_file},
        {"GET", "/page.js", true, run_file},
        {"GET", "/icon.svg", true, run_file},
        {"POST", "/enter", false, run_enter},
        {"POST", "/leave", false, run_leave},
        {"GET", "/live", false, run_live},
        {"POST", "/order", false, run_order},
        {0},
    };
    return (struct http_site){.hosts = hosts, .routes = routes, .owner = w};
}
