/* libFuzzer: what anybody on the machine can send to a role's page; where the bytes are cut must
 * not change what is read, nor whether it is refused; only of several faults which one is told. */
#include <stdlib.h>
#include <string.h>

#include "http/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 8

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

struct outcome {
    struct http_message messages[REQUESTS];
    size_t count, used;
    enum http_progress progress;
};

/* Gives a copy, so that reading beyond its end is seen. */
static enum http_progress take(struct http_reader *r, const uint8_t *data, size_t len, size_t *used)
{
    uint8_t *copy = malloc(len ? len : 1);
    require(copy != NULL);
    memcpy(copy, data, len);
    enum http_progress progress = http_reader_take(r, view_of(copy, len), used);
    free(copy);
    require(*used <= len && (progress != HTTP_MORE || *used == len));
    return progress;
}

static void check_message(const struct http_message *m)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
    require(m->method && m->target[0] == '/' && memchr(m->target, '\0', sizeof m->target));
    for (int i = 0; i < FIELD_COUNT; i++)
        require(memchr(m->fields[i], '\0', HTTP_VALUE_BYTES) != NULL);
    require(!m->fields[FIELD_TRANSFER_ENCODING][0] && m->content_len <= HTTP_CONTENT_BYTES);
    bool host = origin_is_host(m, hosts), own = origin_is_own(m);
    require(!host || m->fields[FIELD_HOST][0] == 'l' || m->fields[FIELD_HOST][0] == 'L' ||
            m->fields[FIELD_HOST][0] == '1');
    require(!own || m->fields[FIELD_ORIGIN][0] || strcmp(m->method, "GET") == 0);
}

static void check_same(const struct http_message *a, const struct http_message *b)
{
    require(strcmp(a->method, b->method) == 0 && strcmp(a->target, b->target) == 0);
    for (int i = 0; i < FIELD_COUNT; i++)
        require(strcmp(a->fields[i], b->fields[i]) == 0);
    require(a->keeps == b->keeps &&
            view_equal(view_of(a->content, a->content_len), view_of(b->content, b->content_len)));
}

static void run(struct outcome *o, const uint8_t *data, size_t size, size_t piece)
{
    struct http_reader *r = http_reader_new();
    require(r != NULL);
    o->progress = HTTP_MORE;
    for (size_t end = 0; end < size && o->progress != HTTP_MALFORMED && o->count < REQUESTS;) {
        size_t used;
        end = size - o->used < piece ? size : o->used + piece;
        o->progress = take(r, data + o->used, end - o->used, &used);
        o->used += used;
        end = o->used;
        if (o->progress == HTTP_READ) {
            o->messages[o->count++] = *http_reader_message(r);
            check_message(http_reader_message(r));
            http_reader_next(r);
        } else if (o->progress == HTTP_MALFORMED) {
            const char *why = NULL;
            require(http_reader_status(r, &why) >= 400 && why != NULL);
        }
    }
    http_reader_free(r);
}

/* Beginnings of requests, which the bytes go on with: http_parser is not built for fuzzing, and
 * finding these would take long. */
static const char *const beginnings[] = {
    "",
    "GET / HTTP/1.1\r\nHost: localhost\r\n",
    "POST /order HTTP/1.1\r\nOrigin: http://localhost\r\nContent-Length: ",
    "POST /order HTTP/1.1\r\nTransfer-Encoding: ",
    "GET / HTTP/1.1\r\nConnection: keep-alive\r\nSec-Fetch-Site: ",
    "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\nGET /",
    "GET /",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, cut;
    static uint8_t bytes[64 << 10];
    size_t begun, len;
    if (size < 2)
        return 0;
    begun = strlen(beginnings[data[1] % 8]);
    len = size - 2 < sizeof bytes - begun ? begun + size - 2 : sizeof bytes;
    memcpy(bytes, beginnings[data[1] % 8], begun);
    memcpy(bytes + begun, data + 2, len - begun);
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    run(&whole, bytes, len, len);
    run(&cut, bytes, len, 1 + data[0] % 64);
    require(whole.count == cut.count && whole.progress == cut.progress);
    for (size_t i = 0; i < whole.count; i++)
        check_same(&whole.messages[i], &cut.messages[i]);
    return 0;
}
