/* The asking end of a call for help: one request, and the answer to it. */
#include "agent/call_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "control/ask.h"
#include "wire/limits.h"

#define REPLY_S 10 /* so long a command waits for the agent */

static void write_request(struct json_line *l, char *out, size_t size, unsigned severity,
                          const char *text)
{
    json_begin(l, out, size);
    json_put_text(l, "verb", "call");
    json_put_number(l, "severity", severity);
    if (severity)
        json_put_text(l, "text", text);
    else if (text[0])
        json_put_number(l, "number", strtoull(text, NULL, 10));
}

static bool send_call(const char *path, unsigned severity, const char *text, bool json,
                      struct error *e)
{
    char request[CONTROL_REQUEST_BYTES], words[CONTROL_TEXT_BYTES];
    struct control_question q = {.path = path, .patience_s = REPLY_S};
    struct json_line l;
    size_t len;
    write_request(&l, request, sizeof request, severity, text);
    len = json_end(&l);
    if (len == 0 || strlen(text) > TEXT_MAX_BYTES)
        return error_set(e, FAILURE_USAGE, "a text of %zu bytes: expected at most %d", strlen(text),
                         TEXT_MAX_BYTES);
    q.request = view_of(request, len);
    if (!control_ask(&q, words, e))
        return false;
    json_begin(&l, request, sizeof request);
    json_put_text(&l, "text", words);
    if (json)
        printf("%.*s", (int)json_end(&l), request);
    else
        puts(words);
    return output_flush(e);
}

enum failure call_send(const char *path, unsigned severity, const char *text, bool json)
{
    struct error e = {0};
    if (!send_call(path, severity, text, json, &e))
        fprintf(stderr, "spx agent call: %s\n", e.text);
    return e.failure;
}
