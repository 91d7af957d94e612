/* The asking end of the agent's control socket: requests, and their answers as tables. */
#include "agent/control_command.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/text.h"
#include "control/ask.h"
#include "control/rows.h"
#include "wire/limits.h"

#define PATIENCE_S 10 /* for each line of an answer */

/* Answers come as lines of several kinds; a table begins anew where the kind changes. */
struct printer {
    bool json;
    const char *none;
    void (*print)(struct printer *p, const char *kind, const struct json_object *o);
    char kind[16]; /* of the line before */
    struct rows table;
};

static const struct row_column relay_columns[] = {
    {"RELAY", "relay", 32, ROW_TEXT},
    {"STATE", "state", 14, ROW_TEXT},
    {"FOR", "for_s", 12, ROW_SECONDS},
    {"ROUND TRIP", "round_trip_us", 0, ROW_ROUND_TRIP_US},
    {0},
};

static const struct row_column user_columns[] = {
    {"USER", "user", 24, ROW_TEXT},
    {"SESSIONS", "sessions", 9, ROW_NUMBER},
    {"CONNECT NOW", "now", 0, ROW_TEXT},
    {0},
};

static const struct row_column session_columns[] = {
    {"SESSION", "session", 8, ROW_NUMBER},
    {"CIRCUIT", "circuit", 9, ROW_TEXT},
    {"USER", "user", 16, ROW_TEXT},
    {"FOR", "for_s", 12, ROW_SECONDS},
    {"IDLE", "idle_s", 12, ROW_SECONDS},
    {"UP", "bytes_up", 9, ROW_BYTES},
    {"DOWN", "bytes_down", 9, ROW_BYTES},
    {"RELAY", "relay", 28, ROW_TEXT},
    {"FROM", "from", 24, ROW_TEXT},
    {"STATE", "state", 0, ROW_TEXT},
    {0},
};

static const struct row_column code_columns[] = {
    {"CODE", "number", 5, ROW_NUMBER},
    {"STATE", "state", 6, ROW_TEXT},
    {"USED", "used", 32, ROW_TEXT},
    {"USER", "user", 0, ROW_TEXT},
    {0},
};

static const struct row_column entry_columns[] = {
    {"TIME", "time", 24, ROW_TEXT},
    {"EVENT", "event", 18, ROW_TEXT},
    {"USER", "user", 16, ROW_TEXT},
    {"TARGET", "target", 28, ROW_TEXT},
    {"UP", "bytes_up", 9, ROW_BYTES},
    {"DOWN", "bytes_down", 9, ROW_BYTES},
    {"BY", "by", 20, ROW_TEXT},
    {"REASON", "reason", 0, ROW_TEXT},
    {0},
};

static const struct row_column request_columns[] = {
    {"REQUEST", "request", 8, ROW_NUMBER},
    {"CIRCUIT", "circuit", 9, ROW_TEXT},
    {"USER", "user", 16, ROW_TEXT},
    {"FOR", "for_s", 12, ROW_SECONDS},
    {"LEFT", "left_s", 12, ROW_SECONDS},
    {"RELAY", "relay", 28, ROW_TEXT},
    {"FROM", "from", 24, ROW_TEXT},
    {"STATE", "state", 0, ROW_TEXT},
    {0},
};

static const struct row_column approval_columns[] = {
    {"APPROVAL", "approval", 9, ROW_NUMBER},
    {"USER", "user", 16, ROW_TEXT},
    {"FOR", "for_s", 12, ROW_SECONDS},
    {"LEFT", "left_s", 12, ROW_SECONDS},
    {"USES", "uses", 5, ROW_NUMBER},
    {"BY", "by", 0, ROW_TEXT},
    {0},
};

/* ---- Lines for people. ---- */

static void print_approving(const struct json_object *o)
{
    uint64_t requests = 0, codes = 0;
    json_get_number(o, "requests", &requests);
    json_get_number(o, "codes_left", &codes);
    if (requests)
        printf("%u request%s for approval wait%s\n", (unsigned)requests, requests == 1 ? "" : "s",
               requests == 1 ? "s" : "");
    if (codes)
        printf("%u emergency code%s left\n", (unsigned)codes, codes == 1 ? "" : "s");
}

/* An agent of an earlier release says nothing of it. */
static void print_guard(const struct json_object *o)
{
    char on[ROW_VALUE_BYTES], off[ROW_VALUE_BYTES];
    bool some_off = json_find(o, "not_guarded");
    row_value(on, o, "guarded", ROW_TEXT);
    row_value(off, o, "not_guarded", ROW_TEXT);
    if (json_find(o, "guarded"))
        printf("guarded: %s%s%s\n", on, some_off ? "; not to be had here: " : "",
               some_off ? off : "");
}

static void print_agent(const struct json_object *o)
{
    char name[ROW_VALUE_BYTES], up[ROW_VALUE_BYTES], sessions[ROW_VALUE_BYTES];
    char why[ROW_VALUE_BYTES], left[ROW_VALUE_BYTES];
    bool ending = false, locked = false;
    row_value(name, o, "agent", ROW_TEXT);
    row_value(up, o, "up_s", ROW_SECONDS);
    row_value(sessions, o, "sessions", ROW_NUMBER);
    row_value(why, o, "reason", ROW_TEXT);
    row_value(left, o, "open_for_s", ROW_SECONDS);
    json_get_truth(o, "ending", &ending);
    json_get_truth(o, "locked", &locked);
    printf("agent %s: up for %s, %s session%s%s\n", name, up, sessions,
           strcmp(sessions, "1") == 0 ? "" : "s", ending ? ", ending" : "");
    print_approving(o);
    if (locked)
        printf("locked%s%s\n", json_find(o, "reason") ? ": " : "",
               json_find(o, "reason") ? why : "");
    else if (json_find(o, "open_for_s"))
        printf("open for %s\n", left);
    print_guard(o);
}

/* A user's, or of all by an authority's permits. */
static void show_name(char out[ROW_VALUE_BYTES], const struct json_object *o)
{
    char authority[ROW_VALUE_BYTES];
    row_value(out, o, "user", ROW_TEXT);
    if (!json_find(o, "authority"))
        return;
    row_value(authority, o, "authority", ROW_TEXT);
    snprintf(out, ROW_VALUE_BYTES, "permits of %.*s", NAME_MAX_BYTES, authority);
}

/* Its last column is made of two members. */
static void print_user(struct printer *p, const struct json_object *o)
{
    char name[ROW_VALUE_BYTES], sessions[ROW_VALUE_BYTES], why[ROW_VALUE_BYTES];
    char left[ROW_VALUE_BYTES], now[2 * ROW_VALUE_BYTES];
    const char *const values[] = {name, sessions, now};
    bool may = false, asks = false;
    show_name(name, o);
    row_value(sessions, o, "sessions", ROW_NUMBER);
    row_value(why, o, "reason", ROW_TEXT);
    row_value(left, o, "left_s", ROW_SECONDS);
    json_get_truth(o, "may_connect", &may);
    json_get_truth(o, "asks", &asks);
    snprintf(now, sizeof now, "%s%s",
             asks                     ? json_find(o, "reason") ? why : "after approval"
             : !may                   ? why
             : json_find(o, "left_s") ? "yes, approved for "
                                      : "yes",
             may && json_find(o, "left_s") ? left : "");
    rows_add(&p->table, user_columns, values);
}

static void print_status(struct printer *p, const char *kind, const struct json_object *o)
{
    if (strcmp(kind, "agent") == 0)
        print_agent(o);
    else if (strcmp(kind, "relay") == 0)
        rows_add_object(&p->table, relay_columns, o);
    else if (strcmp(kind, "user") == 0 || strcmp(kind, "authority") == 0)
        print_user(p, o);
}

static void print_stream(struct printer *p, const char *words, const struct json_object *o)
{
    char target[ROW_VALUE_BYTES], address[ROW_VALUE_BYTES], up[ROW_VALUE_BYTES];
    char down[ROW_VALUE_BYTES], age[ROW_VALUE_BYTES];
    row_value(target, o, "target", ROW_TEXT);
    row_value(address, o, "address", ROW_TEXT);
    row_value(up, o, "bytes_up", ROW_BYTES);
    row_value(down, o, "bytes_down", ROW_BYTES);
    row_value(age, o, "for_s", ROW_SECONDS);
    rows_note(&p->table, "    %s %s %s, %s up, %s down, %s", target, words, address, up, down, age);
}

/* The user's words, as such. */
static void print_reason(struct printer *p, const struct json_object *o)
{
    char reason[ROW_VALUE_BYTES], said[ROW_VALUE_BYTES];
    if (!json_find(o, "reason"))
        return;
    row_value(reason, o, "reason", ROW_TEXT);
    text_quote(said, sizeof said, reason);
    rows_note(&p->table, "    says %s", said);
}

static void print_sessions(struct printer *p, const char *kind, const struct json_object *o)
{
    if (strcmp(kind, "session") != 0) {
        print_stream(p, strcmp(kind, "stream") == 0 ? "at" : "from", o);
        return;
    }
    rows_add_object(&p->table, session_columns, o);
    print_reason(p, o);
}

static void print_requests(struct printer *p, const char *kind, const struct json_object *o)
{
    (void)kind;
    rows_add_object(&p->table, request_columns, o);
    print_reason(p, o);
}

static void print_approvals(struct printer *p, const char *kind, const struct json_object *o)
{
    (void)kind;
    rows_add_object(&p->table, approval_columns, o);
}

static void print_event(struct printer *p, const char *kind, const struct json_object *o)
{
    char time[ROW_VALUE_BYTES], text[ROW_VALUE_BYTES];
    (void)p;
    (void)kind;
    row_value(time, o, "time", ROW_TEXT);
    row_value(text, o, "text", ROW_TEXT);
    printf("%s %s\n", time, text);
}

static void print_list(const struct json_object *o)
{
    char codes[ROW_VALUE_BYTES], left[ROW_VALUE_BYTES], made[ROW_VALUE_BYTES], by[ROW_VALUE_BYTES];
    row_value(codes, o, "codes", ROW_NUMBER);
    row_value(left, o, "left", ROW_NUMBER);
    row_value(made, o, "made", ROW_TEXT);
    row_value(by, o, "by", ROW_TEXT);
    printf("%s of %s emergency codes left, made %s by %s\n", left, codes, made, by);
}

static void print_codes(struct printer *p, const char *kind, const struct json_object *o)
{
    char number[ROW_VALUE_BYTES], code[ROW_VALUE_BYTES];
    row_value(number, o, "number", ROW_NUMBER);
    row_value(code, o, "code", ROW_TEXT);
    if (strcmp(kind, "list") == 0)
        print_list(o);
    else if (strcmp(kind, "new") == 0)
        printf("%2s  %s\n", number, code);
    else
        rows_add_object(&p->table, code_columns, o);
}

static void print_entry(struct printer *p, const char *kind, const struct json_object *o)
{
    (void)kind;
    rows_add_object(&p->table, entry_columns, o);
}

/* ---- Asking. ---- */

static bool take(void *arg, const struct json_object *o, struct view line, struct error *e)
{
    struct printer *p = arg;
    char kind[sizeof p->kind] = "";
    json_get_text(o, "kind", kind, sizeof kind);
    if (p->json)
        printf("%.*s\n", (int)line.len, (const char *)line.data);
    else
        p->print(p, kind, o);
    snprintf(p->kind, sizeof p->kind, "%s", kind[0] ? kind : "-");
    return output_flush(e);
}

static size_t write_request(const struct control_order *order, char *out, size_t size)
{
    struct json_line l;
    json_begin(&l, out, size);
    json_put_text(&l, "verb", order->verb);
    if (order->what)
        json_put_text(&l, strcmp(order->verb, "approve") == 0 ? "code" : "what", order->what);
    if (order->number)
        json_put_number(&l, "number", order->number);
    if (order->why)
        json_put_text(&l, "why", order->why);
    if (order->for_s)
        json_put_number(&l, "for_s", order->for_s);
    if (order->makes_codes)
        json_put_number(&l, "new", order->codes);
    if (order->last)
        json_put_number(&l, "last", order->last);
    return json_end(&l);
}

static bool ask(struct printer *p, const struct control_order *order, unsigned patience_s,
                struct error *e)
{
    char request[CONTROL_REQUEST_BYTES], text[CONTROL_TEXT_BYTES] = "";
    size_t len = write_request(order, request, sizeof request);
    struct control_question q = {
        .path = order->path,
        .request = view_of(request, len),
        .patience_s = patience_s,
        .take = take,
        .arg = p,
    };
    if (len == 0)
        return error_set(e, FAILURE_USAGE, "the request is too long");
    if (!control_ask(&q, text, e)) {
        rows_end(&p->table);
        return false;
    }
    if (!rows_end(&p->table))
        return error_no_memory(e);
    if (text[0] && !p->json)
        puts(text);
    else if (p->none && !p->json && p->kind[0] == '\0')
        puts(p->none);
    return output_flush(e);
}

/* How an answer is shown; none: of no line. */
static const struct {
    const char *verb;
    void (*print)(struct printer *p, const char *kind, const struct json_object *o);
    const char *none;
    unsigned patience_s;
} shown[] = {
    {"status", print_status, NULL, PATIENCE_S},
    {"sessions", print_sessions, "no session", PATIENCE_S},
    {"watch", print_event, NULL, 0},
    {"audit", print_entry, "no entry", PATIENCE_S},
    {"requests", print_requests, "no request", PATIENCE_S},
    {"approvals", print_approvals, "no approval", PATIENCE_S},
    {"approve", print_event, NULL, PATIENCE_S},
    {"deny", print_event, NULL, PATIENCE_S},
    {"withdraw", print_event, NULL, PATIENCE_S},
    {"codes", print_codes, "no emergency code was made", PATIENCE_S},
    {"end", print_event, NULL, PATIENCE_S},
    {"lock", print_event, NULL, PATIENCE_S},
    {"unlock", print_event, NULL, PATIENCE_S},
};

enum failure control_command(const struct control_order *order)
{
    struct error e = {0};
    size_t i = 0;
    while (strcmp(shown[i].verb, order->verb) != 0)
        i++;
    struct printer p = {.json = order->json, .print = shown[i].print, .none = shown[i].none};
    if (!ask(&p, order, shown[i].patience_s, &e))
        fprintf(stderr, "spx agent %s: %s\n", order->verb, e.text);
    return e.failure;
}
