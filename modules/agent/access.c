/* Permissions with what enforces them. */
#include "agent/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/own_calls.h"
#include "base/text.h"
#include "forward/statement.h"

#define PREFIX_BYTES (USER_TEXT_BYTES + 32)

static void write_prefix(char out[PREFIX_BYTES], const struct access *x, const char *label)
{
    snprintf(out, PREFIX_BYTES, "circuit %s: %s", label, x->user);
}

/* Targets and listeners that no permission gives. */
static bool is_forbidden(void *agent, const struct address *address)
{
    const struct agent *a = agent;
    return a->is_own && a->is_own(a, address);
}

bool access_init(struct access *x, struct agent *a, struct turns *turns,
                 const struct agent_user *user, const char *label)
{
    const struct permissions *p = &x->permissions;
    struct log_party by = {.all = &a->log, .fields = &x->fields};
    char prefix[PREFIX_BYTES];
    *x = (struct access){.owner = a};
    memcpy(by.key, user->public_key, sizeof by.key);
    snprintf(x->user, sizeof x->user, "%s", user->name);
    snprintf(x->agent, sizeof x->agent, "%s", a->config.name);
    snprintf(x->circuit, sizeof x->circuit, "%s", label);
    x->fields = (struct log_fields){.circuit = x->circuit, .user = x->user, .agent = x->agent};
    write_prefix(prefix, x, label);
    if (permissions_copy(&x->permissions, user)) {
        x->targets = targets_new(a->loop, turns, prefix, &by, p->allow, p->allow_count);
        x->listeners =
            remote_listeners_new(a->loop, prefix, &by, p->listen, p->listen_count, p->listeners);
    }
    if (x->targets && x->listeners) {
        targets_forbid(x->targets, is_forbidden, a);
        remote_listeners_forbid(x->listeners, is_forbidden, a);
        return true;
    }
    access_free(x);
    return false;
}

bool access_update(struct access *x, const struct agent_user *user)
{
    struct permissions old = x->permissions, fresh;
    const struct permissions *p = &x->permissions;
    snprintf(x->user, sizeof x->user, "%s", user->name);
    if (permissions_same(&old, user))
        return true;
    if (!permissions_copy(&fresh, user)) {
        permissions_free(&fresh);
        return false;
    }
    x->permissions = fresh;
    targets_set_policy(x->targets, p->allow, p->allow_count);
    remote_listeners_set_policy(x->listeners, p->listen, p->listen_count, p->listeners);
    permissions_free(&old);
    return true;
}

void access_free(struct access *x)
{
    remote_listeners_free(x->listeners);
    targets_free(x->targets);
    permissions_free(&x->permissions);
}

void access_set_label(struct access *x, const char *label)
{
    char prefix[PREFIX_BYTES];
    snprintf(x->circuit, sizeof x->circuit, "%s", label);
    write_prefix(prefix, x, label);
    targets_set_label(x->targets, prefix);
    remote_listeners_set_label(x->listeners, prefix);
}

/* ---- What may I reach? ---- */

static void add_patterns(FILE *out, const char *word, const struct target_pattern *patterns,
                         size_t count, bool listening)
{
    char text[TARGET_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        target_pattern_to_text(text, &patterns[i], listening);
        fprintf(out, "%s %s\n", word, text);
    }
}

/* Allocated; NULL without memory. */
static char *permissions_text(const struct permissions *p)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    add_patterns(out, "allow", p->allow, p->allow_count, false);
    add_patterns(out, "listen", p->listen, p->listen_count, true);
    if (p->listen_count)
        fprintf(out, "listeners %u\n", p->listeners);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- Calls for help are mine. ---- */

/* "spx:take", or "spx:take 7": *number is 0 or 7. */
static bool is_take(struct view target, uint32_t *number)
{
    static const struct number_range numbers = {1, UINT32_MAX, PLAIN_NUMBER};
    size_t len = strlen(QUESTION_TAKE);
    char digits[16];
    struct error e = {0};
    *number = 0;
    if (target.len < len || memcmp(target.data, QUESTION_TAKE, len) != 0)
        return false;
    if (target.len == len)
        return true;
    text_clean(digits, sizeof digits, view_of(target.data + len + 1, target.len - len - 1));
    return target.data[len] == ' ' && value_number(number, digits, &numbers, &e);
}

/* Who hears that a call is taken can rely on it: it is on disk. */
static void answer_take(struct access *x, struct stream *stream, uint32_t number)
{
    char name[NAME_TEXT_BYTES], *text;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(x->user, " "), x->user);
    text = own_calls_take(x->owner->calls, number, name);
    statement_start(stream, text, own_calls_is_storing(x->owner->calls), &x->statement);
}

void access_open(struct access *x, struct stream *stream, struct view target)
{
    uint32_t number;
    bool targets = view_equal(target, view_of_string(QUESTION_TARGETS));
    if (!targets && !is_take(target, &number))
        targets_open(x->targets, stream, target);
    else if (x->statement)
        stream_reset(stream, RESET_LIMIT, "the question before is not answered yet");
    else if (targets)
        statement_start(stream, permissions_text(&x->permissions), false, &x->statement);
    else
        answer_take(x, stream, number);
}

void access_calls_stored(struct access *x)
{
    if (x->statement)
        statement_release(x->statement);
}
