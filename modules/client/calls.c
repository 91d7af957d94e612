/* Lines and objects about calls for help. */
#include "client/calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/json.h"

/* A number 0 and no age: a relay of the release before tells neither. */
static void print_call(const struct told_call *call)
{
    char text[TEXT_MAX_BYTES + 1], age[24];
    text_clean(text, sizeof text, call->text);
    text_duration(age, call->age_s * CLOCK_US_PER_S);
    if (call->number)
        printf("    CALL %u, severity %u, %s ago", (unsigned)call->number, call->severity, age);
    else
        printf("    CALL, severity %u", call->severity);
    if (call->taken_by.len > 0)
        printf(", taken by %.*s", (int)call->taken_by.len, (const char *)call->taken_by.data);
    printf(": %s\n", text);
}

void calls_print(const struct told_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        print_call(&calls->all[i]);
}

static void print_json_view(const char *name, struct view value)
{
    char text[TEXT_MAX_BYTES + 1];
    size_t len = text_clean(text, sizeof text, value);
    printf("\"%s\":", name);
    json_text(text, len);
}

static void print_json_call(const struct told_call *call)
{
    printf("{\"number\":%u,\"severity\":%u,\"for_s\":%u,", (unsigned)call->number, call->severity,
           (unsigned)call->age_s);
    print_json_view("taken_by", call->taken_by);
    putchar(',');
    print_json_view("call", call->text);
    putchar('}');
}

void calls_print_json(const struct told_calls *calls)
{
    const struct told_call *gravest = told_calls_gravest(calls);
    printf("\"severity\":%u,", gravest ? gravest->severity : 0U);
    print_json_view("call", gravest ? gravest->text : view_of(NULL, 0));
    printf(",\"calls\":[");
    for (size_t i = 0; i < calls->count; i++) {
        if (i > 0)
            putchar(',');
        print_json_call(&calls->all[i]);
    }
    putchar(']');
}

static uint64_t add_bytes(uint64_t sum, struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum = (sum ^ bytes.data[i]) * 1099511628211U;
    return (sum ^ bytes.len) * 1099511628211U;
}

uint64_t calls_signature(const struct told_calls *calls, uint64_t sum)
{
    for (size_t i = 0; i < calls->count; i++) {
        const struct told_call *call = &calls->all[i];
        sum = (sum ^ call->number ^ (uint64_t)call->severity << 32) * 1099511628211U;
        sum = add_bytes(add_bytes(sum, call->taken_by), call->text);
    }
    return sum;
}

/* ---- Taken. ---- */

/* "taken 3 5 a fan has failed": number, severity, text. */
static bool print_taken(struct view line)
{
    static const char begins[] = "taken ";
    char clean[TEXT_MAX_BYTES + 64];
    const char *rest = clean + strlen(begins);
    uint64_t number, severity;
    text_clean(clean, sizeof clean, line);
    if (strncmp(clean, begins, strlen(begins)) != 0 ||
        !text_take_number(&rest, ' ', &number, 1, UINT32_MAX) ||
        !text_take_number(&rest, ' ', &severity, 1, UINT8_MAX))
        return false;
    printf("call %" PRIu64 " is yours, severity %" PRIu64 ": %s\n", number, severity, rest);
    return true;
}

const char *calls_print_taken(const struct client_task *t, struct view answer)
{
    size_t taken = 0;
    while (answer.len > 0) {
        const uint8_t *end = memchr(answer.data, '\n', answer.len);
        size_t len = end ? (size_t)(end - answer.data) : answer.len;
        taken += print_taken(view_of(answer.data, len));
        len += end != NULL;
        answer = view_of(answer.data + len, answer.len - len);
    }
    fflush(stdout);
    if (taken)
        return NULL;
    return t->options->call ? "no call of this number stands"
                            : "no call stands that nobody has taken";
}
