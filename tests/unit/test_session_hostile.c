/* A session against a peer that breaks the protocol (docs/PROTOCOL.md section 5): the session ends
 * with a code and a text, or the frame does no harm. */
#include "session_pair.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session/internal.h"

/* An agent with stream 1 open with its whole window, stream 3 reset by the peer, 5 at its EOF, and
 * 7 not answered. */
#define AGENT_NEXT_ID 9
static struct raw *agent(void)
{
    struct raw *r = raw_new(false, NULL);
    raw_start(r);
    raw_send_open(r, 1, 1000);
    raw_send_open(r, 3, 1000);
    raw_send_code(r, FRAME_RESET, 3, RESET_TIMEOUT, "enough");
    raw_send_open(r, 5, 1000);
    raw_send(r, FRAME_EOF, 5, NULL, 0);
    r->side.answer = OPEN_HOLD;
    raw_send_open(r, 7, 0);
    raw_output(r);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->s->peer_open, 3);
    return r;
}

/* A client with stream 1 answered, 3 not answered with 1,000 bytes sent, and 5 reset by the peer.
 */
#define CLIENT_NEXT_ID 7
static struct raw *client(void)
{
    struct raw *r = raw_new(true, NULL);
    struct app *app;
    raw_start(r);
    for (unsigned number = 1; number <= 5; number += 2)
        assert_non_null(app_open(&r->side, number));
    app = app_find(&r->side, 3);
    app_write(app, 1000);
    raw_output(r);
    assert_int_equal(app->sent, 1000);
    raw_send_opened(r, 1, 10000);
    app_write(app_find(&r->side, 1), 9000);
    raw_send_code(r, FRAME_RESET, 5, RESET_REFUSED, "no");
    raw_output(r);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    return r;
}

struct hostile {
    const char *name;
    unsigned type;
    uint32_t stream;
    size_t len;
    const char *payload; /* NULL: zeros */
};

/* Leaves bytes on the stack that no later call may take for its own. */
static __attribute__((noinline)) void poison_stack(void)
{
    volatile char bytes[16384];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i % 100 == 99 ? '\0' : '#';
}

/* The payload of CLOSE holds the session's error text, cut to 127 bytes, and nothing else. */
static void check_close_text(const struct session *s, const struct sent *sent, const char *name)
{
    const uint8_t *payload = sent->frame[sent->count - 1].payload;
    size_t len = strlen(s->error.text), kept = sizeof sent->frame[0].payload - 4;
    if (len > sizeof s->close_text - 1)
        len = sizeof s->close_text - 1;
    if (sent->frame[sent->count - 1].len != 4 + len || load_be16(payload + 2) != len ||
        memcmp(payload + 4, s->error.text, len < kept ? len : kept) != 0)
        fail_msg("%s: CLOSE has %u bytes of text, not: %s", name, load_be16(payload + 2),
                 s->error.text);
}

/* One record tells the peer why, behind START where that was still owed; nothing follows. */
static void check_farewell(struct raw *r, const char *name)
{
    poison_stack();
    const struct sent *sent = raw_output(r);
    unsigned last = sent->count - 1;
    if (r->s->circuit != &r->c) { /* it has not moved to it, or on */
        assert_int_equal(sent->records, 0);
        return;
    }
    if (sent->records != 1 || sent->count > 2 || sent->frame[last].type != FRAME_CLOSE ||
        load_be16(sent->frame[last].payload) != CODE_PROTOCOL ||
        (last == 1 && sent->frame[0].type != FRAME_START))
        fail_msg("%s: %u frames, the last of type %u", name, sent->count, sent->frame[last].type);
    check_close_text(r->s, sent, name);
    assert_int_equal(raw_output(r)->records, 0);
}

/* The session has ended, says why, to the peer too, and everybody is told. */
static void check_ended(struct raw *r, const char *name)
{
    if (r->s->state != SESSION_ENDED || r->s->error.code != CODE_PROTOCOL || !r->s->error.text[0])
        fail_msg("%s: state %d, code %d: %s", name, r->s->state, r->s->error.code,
                 r->s->error.text);
    check_farewell(r, name);
    raw_free(r); /* checks that every application was told */
}

/* Frames that were not sent yet give their place to CLOSE. */
static void test_farewell_before_what_waits(void **state)
{
    struct raw *r = client();
    (void)state;
    app_write(app_find(&r->side, 1), 500);
    assert_true(r->side.woken);
    raw_send(r, FRAME_DATA, 99, "x", 1);
    check_ended(r, "data waits");
}

/* Without a place there is none: while the circuit brings again what an earlier one carried, and
 * behind a CLOSE. */
static void test_no_farewell(void **state)
{
    struct circuit second;
    struct cipher send, receive;
    struct raw *r = client();
    (void)state;
    raw_circuit(r, &second, &send, &receive, 2, 0);
    session_fail(r->s, CODE_PROTOCOL, "a fault");
    assert_int_equal(raw_output_on(r, &second, &receive)->records, 0);
    circuit_free(&second);
    raw_free(r);
    r = client();
    session_close(r->s, CODE_DONE, "finished");
    raw_output(r);
    raw_send(r, FRAME_DATA, 99, "x", 1);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    assert_int_equal(raw_output(r)->records, 0);
    raw_free(r);
}

static void check_each_ends(struct raw *start(void), const struct hostile *cases, size_t count)
{
    static const uint8_t zeros[2000];
    for (size_t i = 0; i < count; i++) {
        struct raw *r = start();
        raw_send(r, cases[i].type, cases[i].stream,
                 cases[i].payload ? (const void *)cases[i].payload : zeros, cases[i].len);
        check_ended(r, cases[i].name);
    }
}

static void check_each_is_harmless(struct raw *start(void), const struct hostile *cases,
                                   size_t count)
{
    static const uint8_t zeros[2000];
    for (size_t i = 0; i < count; i++) {
        struct raw *r = start();
        unsigned opens = r->side.opens;
        raw_send(r, cases[i].type, cases[i].stream,
                 cases[i].payload ? (const void *)cases[i].payload : zeros, cases[i].len);
        if (r->s->state != SESSION_ACTIVE || r->c.failed.code)
            fail_msg("%s: %s%s", cases[i].name, r->s->error.text, r->c.failed.text);
        assert_int_equal(r->side.opens, opens);
        raw_free(r);
    }
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct hostile for_both[] = {
    {"unknown type 0", 0x00, 1, 4, NULL},
    {"unknown type 11", 0x0b, 0, 0, NULL},
    {"short ACCESS", FRAME_ACCESS, 0, 10, NULL},
    {"ACCESS with more", FRAME_ACCESS, 0, 12, NULL},
    {"ACCESS for a stream", FRAME_ACCESS, 1, 11, NULL},
    {"unknown type 127", 0x7f, 1, 4, NULL},
    {"unknown type 133", 0x85, 0, 4, NULL},
    {"unknown type 191", 0xbf, 0, 0, NULL},
    {"DATA for no stream", FRAME_DATA, 0, 1, NULL},
    {"EOF for no stream", FRAME_EOF, 0, 0, NULL},
    {"WINDOW for no stream", FRAME_WINDOW, 0, 4, "\0\0\0\1"},
    {"RESET for no stream", FRAME_RESET, 0, 4, "\0\1\0\0"},
    {"OPENED for no stream", FRAME_OPENED, 0, 6, "\0\0\1\0\0\0"},
    {"DATA for a stream to come", FRAME_DATA, 11, 1, NULL},
    {"EOF for a stream to come", FRAME_EOF, 11, 0, NULL},
    {"WINDOW for a stream to come", FRAME_WINDOW, 11, 4, "\0\0\0\1"},
    {"RESET for a stream to come", FRAME_RESET, 11, 4, "\0\1\0\0"},
    {"OPENED for a stream to come", FRAME_OPENED, 11, 6, "\0\0\1\0\0\0"},
    {"DATA for the other side's", FRAME_DATA, 2, 1, NULL},
    {"EOF for the other side's", FRAME_EOF, 4, 0, NULL},
    {"DATAGRAM for no stream", FRAME_DATAGRAM, 0, 1, NULL},
    {"DATAGRAM for one to come", FRAME_DATAGRAM, 11, 1, NULL},
    {"DATAGRAM on a stream of DATA", FRAME_DATAGRAM, 1, 1, NULL},
    {"empty DATA", FRAME_DATA, 1, 0, NULL},
    {"EOF with a payload", FRAME_EOF, 1, 1, NULL},
    {"WINDOW of 0", FRAME_WINDOW, 1, 4, NULL},
    {"WINDOW of 2^31", FRAME_WINDOW, 1, 4, "\x80\0\0\0"},
    {"WINDOW that overflows", FRAME_WINDOW, 1, 4, "\x7f\xff\xff\xff"},
    {"short WINDOW", FRAME_WINDOW, 1, 3, "\0\0\1"},
    {"long WINDOW", FRAME_WINDOW, 1, 5, "\0\0\0\1\0"},
    {"short RESET", FRAME_RESET, 1, 3, NULL},
    {"RESET with more", FRAME_RESET, 1, 5, "\0\1\0\0\0"},
    {"RESET with a text cut", FRAME_RESET, 1, 5, "\0\1\0\2a"},
    {"RESET with a text not UTF-8", FRAME_RESET, 1, 5, "\0\1\0\1\xff"},
    {"LISTENING", FRAME_LISTENING, 1, 3, "\0\1x"},
    {"LISTENING for another", FRAME_LISTENING, 2, 3, "\0\1x"},
    {"CLOSE for a stream", FRAME_CLOSE, 1, 4, "\0\1\0\0"},
    {"short CLOSE", FRAME_CLOSE, 0, 3, NULL},
    {"second START", FRAME_START, 0, 8, NULL},
    {"START for a stream", FRAME_START, 1, 8, NULL},
    {"short ACK", FRAME_ACK, 0, 7, NULL},
    {"long ACK", FRAME_ACK, 0, 9, NULL},
    {"ACK for a stream", FRAME_ACK, 1, 8, NULL},
    {"ACK above what was sent", FRAME_ACK, 0, 8, "\0\0\0\0\1\0\0\0"},
    {"ACK far above what was sent", FRAME_ACK, 0, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"},
    {"short PING", FRAME_PING, 0, 7, NULL},
    {"long PING", FRAME_PING, 0, 9, NULL},
    {"PING for a stream", FRAME_PING, 1, 8, NULL},
    {"short PONG", FRAME_PONG, 0, 0, NULL},
};

static const struct hostile for_agent[] = {
    {"ACCESS", FRAME_ACCESS, 0, 11, NULL},
    {"OPEN that leaves out an id", FRAME_OPEN, AGENT_NEXT_ID + 2, 9, "\0\0\0\1\0\3tcp"},
    {"OPEN of an open id", FRAME_OPEN, 1, 9, "\0\0\0\1\0\3tcp"},
    {"OPEN of a closed id", FRAME_OPEN, 3, 9, "\0\0\0\1\0\3tcp"},
    {"OPEN of the agent's id", FRAME_OPEN, 2, 9, "\0\0\0\1\0\3tcp"},
    {"OPEN of no id", FRAME_OPEN, 0, 9, "\0\0\0\1\0\3tcp"},
    {"OPEN with a window of 2^31", FRAME_OPEN, AGENT_NEXT_ID, 9, "\x80\0\0\0\0\3tcp"},
    {"OPEN cut", FRAME_OPEN, AGENT_NEXT_ID, 8, "\0\0\0\1\0\3tc"},
    {"OPEN without a target", FRAME_OPEN, AGENT_NEXT_ID, 4, "\0\0\0\1"},
    {"OPEN with a target not UTF-8", FRAME_OPEN, AGENT_NEXT_ID, 7, "\0\0\0\1\0\1\x80"},
    {"OPEN with half an extension", FRAME_OPEN, AGENT_NEXT_ID, 11, "\0\0\0\1\0\3tcp\0\1"},
    {"LISTEN that leaves out an id", FRAME_LISTEN, AGENT_NEXT_ID + 2, 3, "\0\1x"},
    {"LISTEN of an open id", FRAME_LISTEN, 1, 3, "\0\1x"},
    {"LISTEN cut", FRAME_LISTEN, AGENT_NEXT_ID, 2, "\0\1"},
    {"OPENED for the client's stream", FRAME_OPENED, 7, 6, "\0\0\1\0\0\0"},
    {"OPENED for one that is open", FRAME_OPENED, 1, 6, "\0\0\1\0\0\0"},
    {"DATA after EOF", FRAME_DATA, 5, 1, NULL},
    {"second EOF", FRAME_EOF, 5, 0, NULL},
    {"empty DATA for a closed stream", FRAME_DATA, 3, 0, NULL},
    {"EOF with a payload, closed", FRAME_EOF, 3, 1, NULL},
    {"WINDOW of 0, closed", FRAME_WINDOW, 3, 4, NULL},
};

static const struct hostile for_client[] = {
    {"OPEN", FRAME_OPEN, 2, 10, NULL},
    {"OPEN of the client's id", FRAME_OPEN, CLIENT_NEXT_ID, 9, "\0\0\0\1\0\3tcp"},
    {"LISTEN", FRAME_LISTEN, 2, 3, "\0\1x"},
    {"second OPENED", FRAME_OPENED, 1, 6, "\0\x10\0\0\0\0"},
    {"OPENED below what was sent", FRAME_OPENED, 3, 6, "\0\0\3\xe7\0\0"},
    {"OPENED with a window of 2^31", FRAME_OPENED, 3, 6, "\x80\0\0\0\0\0"},
    {"OPENED cut", FRAME_OPENED, 3, 5, "\0\0\x10\0\0"},
    {"OPENED with more", FRAME_OPENED, 3, 7, "\0\0\x10\0\0\0"},
    {"DATA before OPENED", FRAME_DATA, 3, 1, NULL},
    {"EOF before OPENED", FRAME_EOF, 3, 0, NULL},
    {"WINDOW before OPENED", FRAME_WINDOW, 3, 4, "\0\0\0\1"},
};

static void test_frames_that_end_the_session(void **state)
{
    (void)state;
    check_each_ends(agent, for_both, COUNT(for_both));
    check_each_ends(client, for_both, COUNT(for_both));
    check_each_ends(agent, for_agent, COUNT(for_agent));
    check_each_ends(client, for_client, COUNT(for_client));
}

static const struct hostile harmless[] = {
    {"PAD", FRAME_PAD, 0, 100, NULL},
    {"unknown type 193", 0xc1, 77, 3, NULL},
    {"unknown type 255", 0xff, 0, 0, NULL},
    {"PONG never asked for", FRAME_PONG, 0, 8, NULL},
    {"ACK of nothing", FRAME_ACK, 0, 8, NULL},
    {"largest WINDOW", FRAME_WINDOW, 1, 4, "\x7f\xff\xc0\x00"},
};

static const struct hostile harmless_for_agent[] = {
    {"DATA for a closed stream", FRAME_DATA, 3, 1500, NULL},
    {"DATAGRAM for a closed one", FRAME_DATAGRAM, 3, 1500, NULL},
    {"EOF for a closed stream", FRAME_EOF, 3, 0, NULL},
    {"RESET for a closed stream", FRAME_RESET, 3, 4, "\0\1\0\0"},
    {"WINDOW for a closed stream", FRAME_WINDOW, 3, 4, "\x7f\xff\xff\xff"},
    {"OPENED for a closed stream", FRAME_OPENED, 3, 6, "\0\0\1\0\0\0"},
};

static const struct hostile harmless_for_client[] = {
    {"ACCESS of a later version", FRAME_ACCESS, 0, 11, "\x63\0\0\0\0\0\0\0\0\0\0"},
    {"DATA for a closed stream", FRAME_DATA, 5, 1500, NULL},
    {"DATAGRAM for a closed stream", FRAME_DATAGRAM, 5, 1500, NULL},
    {"EOF for a closed stream", FRAME_EOF, 5, 0, NULL},
    {"OPENED for a closed stream", FRAME_OPENED, 5, 6, "\0\0\1\0\0\0"},
    {"OPENED with just what was sent", FRAME_OPENED, 3, 6, "\0\0\3\xe8\0\0"},
};

static void test_frames_that_do_no_harm(void **state)
{
    (void)state;
    check_each_is_harmless(agent, harmless, COUNT(harmless));
    check_each_is_harmless(client, harmless, COUNT(harmless));
    check_each_is_harmless(agent, harmless_for_agent, COUNT(harmless_for_agent));
    check_each_is_harmless(client, harmless_for_client, COUNT(harmless_for_client));
}

static void test_longest_target(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct raw *r = agent();
        uint8_t payload[4 + 2 + TARGET_MAX_BYTES + 1] = "\0\0\1";
        size_t len = TARGET_MAX_BYTES + more;
        store_be16(payload + 4, (uint16_t)len);
        memset(payload + 6, 'x', len);
        memcpy(payload + 6, "tcp:app:9 ", 10);
        raw_send(r, FRAME_OPEN, AGENT_NEXT_ID, payload, 6 + len);
        if (more) {
            check_ended(r, "a target too long");
        } else {
            assert_non_null(app_find(&r->side, 9));
            raw_free(r);
        }
    }
}

static void test_first_frame_must_be_start(void **state)
{
    static const unsigned types[] = {FRAME_OPEN, FRAME_DATA, FRAME_ACK,
                                     FRAME_PING, FRAME_PAD,  0xff};
    (void)state;
    for (int is_client = 0; is_client < 2; is_client++) {
        for (size_t i = 0; i < COUNT(types); i++) {
            struct raw *r = raw_new(is_client, NULL);
            raw_output(r);
            raw_send(r, types[i], 0, "12345678", 8);
            check_ended(r, frame_name(types[i]));
        }
    }
}

/* A record whose plaintext is these bytes. */
static void feed_plaintext(struct raw *r, const uint8_t *bytes, size_t len)
{
    struct record record = {.len = len};
    memcpy(record.bytes + 2, bytes, len);
    raw_feed(r, &r->c, record.bytes, record_seal(&record, &r->send));
}

static void test_records_of_broken_frames(void **state)
{
    uint8_t bytes[32] = {0};
    (void)state;
    for (size_t len = 1; len < sizeof bytes; len++) {
        struct raw *r = agent();
        frame_header(bytes, FRAME_DATA, 1, sizeof bytes - FRAME_HEADER_BYTES);
        feed_plaintext(r, bytes, len); /* the frame is cut */
        check_ended(r, "a frame cut");
    }
    for (size_t more = 1; more < FRAME_HEADER_BYTES; more++) {
        struct raw *r = agent();
        frame_header(bytes, FRAME_DATA, 1, 4);
        for (unsigned i = 0; i < 4; i++)
            bytes[FRAME_HEADER_BYTES + i] = app_byte(1, CLIENT, i);
        feed_plaintext(r, bytes, FRAME_HEADER_BYTES + 4 + more);
        assert_int_equal(app_find(&r->side, 1)->received, 4); /* the whole frame before counts */
        check_ended(r, "bytes after a frame");
    }
    for (unsigned reserved = 1; reserved < 256; reserved *= 2) {
        struct raw *r = agent();
        frame_header(bytes, FRAME_PAD, 0, 0);
        bytes[1] = (uint8_t)reserved;
        feed_plaintext(r, bytes, FRAME_HEADER_BYTES);
        check_ended(r, "reserved is not zero");
    }
}

static void test_beyond_the_credit(void **state)
{
    struct raw *r = agent();
    uint32_t window = stream_find(r->s, 1)->window;
    (void)state;
    app_find(&r->side, 1)->appetite = 0;
    for (uint32_t at = 0; at < window; at += 32768)
        raw_send_data(r, 1, at, window - at < 32768 ? window - at : 32768);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(stream_find(r->s, 1)->held.bytes, window);
    raw_send_data(r, 1, window, 1);
    check_ended(r, "DATA beyond the window");

    r = agent();
    raw_send_data(r, 7, 0, 8000);
    raw_send_data(r, 7, 8000, 192);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_send_data(r, 7, 8192, 1);
    check_ended(r, "DATA beyond the early credit");

    /* OPENED in the ring gives the rest of the window, not before. */
    r = agent();
    raw_send_data(r, 7, 0, 8192);
    app_find(&r->side, 7)->appetite = 0;
    app_accept(app_find(&r->side, 7), "x");
    assert_int_equal(sent_count(raw_output(r), FRAME_OPENED), 1);
    window = stream_find(r->s, 7)->window;
    for (uint32_t at = 8192; at < window; at += 32768)
        raw_send_data(r, 7, at, window - at < 32768 ? window - at : 32768);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(stream_find(r->s, 7)->held.bytes, window);
    raw_send_data(r, 7, window, 1);
    check_ended(r, "DATA beyond the window after early data");
}

/* A position lies between two frames: in an ACK, and when it is told for a new circuit. */
static void test_position_inside_a_frame(void **state)
{
    struct circuit c;
    struct cipher send, receive;
    struct record record = {.len = 0};
    uint8_t position[8];
    struct raw *r = agent();
    (void)state;
    app_write(app_find(&r->side, 1), 100);
    raw_output(r);
    raw_send_position(r, FRAME_ACK, r->s->sent_max - 100);
    check_ended(r, "ACK of part of a frame");

    r = agent();
    app_write(app_find(&r->side, 1), 100);
    raw_output(r);
    raw_circuit(r, &c, &send, &receive, 2, r->s->sent_max - 100);
    store_be64(position, r->sequenced);
    record_frame(&record, FRAME_START, 0, position, sizeof position);
    raw_feed(r, &c, record.bytes, record_seal(&record, &send));
    assert_int_equal(circuit_output(&c, r->now).len, 0);
    check_ended(r, "told part of a frame");
    circuit_free(&c);
}

/* A peer that takes nothing on a new circuit and acknowledges frame by frame what came on the one
 * before costs as much work as it sends, not as much as there is in the ring for each ACK. */
static void test_acknowledged_one_by_one(void **state)
{
    enum { FRAMES = 25000, FRAME_BYTES = FRAME_HEADER_BYTES + 1 };
    struct raw *r = agent();
    struct circuit c;
    struct cipher send, receive;
    struct record record = {.len = 0};
    uint8_t position[8];
    (void)state;
    struct app *app = app_find(&r->side, 1);
    raw_send_window(r, 1, FRAMES);
    app->slice = 1;
    uint64_t from = r->s->sent_max, told = r->s->peer_position;
    for (int i = 0; i < FRAMES / 1000; i++) {
        app_write(app, 1000);
        raw_output(r);
    }
    assert_int_equal(r->s->sent_max, from + (uint64_t)FRAMES * FRAME_BYTES);
    raw_circuit(r, &c, &send, &receive, 2, told);
    store_be64(position, r->sequenced);
    record_frame(&record, FRAME_START, 0, position, sizeof position);
    raw_feed(r, &c, record.bytes, record_seal(&record, &send));
    record.len = 0;
    clock_t before = clock();
    for (uint64_t n = 1; n <= FRAMES; n++) {
        store_be64(position, from + n * FRAME_BYTES);
        record_frame(&record, FRAME_ACK, 0, position, sizeof position);
        if (n % 4000 == 0 || n == FRAMES) {
            raw_feed(r, &c, record.bytes, record_seal(&record, &send));
            record.len = 0;
        }
    }
    assert_true(clock() - before < CLOCKS_PER_SEC / 2);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->s->peer_position, r->s->sent_max);
    circuit_free(&c);
    raw_free(r);
}

static void test_frame_after_close(void **state)
{
    struct raw *r = agent();
    (void)state;
    raw_send_code(r, FRAME_CLOSE, 0, CODE_DONE, "bye\x1b[2J");
    assert_int_equal(r->s->state, SESSION_CLOSED);
    assert_string_equal(r->s->error.text, "bye?[2J");
    assert_int_equal(app_find(&r->side, 1)->resets, 1);
    raw_send(r, FRAME_PING, 0, "12345678", 8);
    assert_int_equal(r->s->state, SESSION_CLOSED);
    assert_int_equal(sent_count(raw_output(r), FRAME_ACK), 1);
    raw_send(r, FRAME_DATA, 1, "x", 1);
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_DONE); /* the first reason stays */
    raw_free(r);
}

static void test_close_without_a_code(void **state)
{
    struct raw *r = client();
    (void)state;
    raw_send_code(r, FRAME_CLOSE, 0, 0, "");
    assert_int_equal(r->s->state, SESSION_CLOSED);
    assert_string_equal(session_error(r->s)->text, code_text(CODE_DONE));
    assert_int_equal(r->s->error.code, CODE_DONE);
    raw_free(r);
}

/* RESET's code and text come as the peer says, the text made safe. */
static void test_texts_of_the_peer(void **state)
{
    struct raw *r = client();
    struct app *app = app_find(&r->side, 1);
    (void)state;
    raw_send_code(r, FRAME_RESET, 1, 60000,
                  "a\nb\xe2\x80\xae"
                  "c");
    assert_int_equal(app->reset_code, 60000);
    assert_string_equal(app->reset_text, "a?b?c");
    raw_free(r);
}

/* An OPEN with an extension: one that must be understood is refused, others are skipped. */
static void test_extensions_of_open(void **state)
{
    struct raw *r = agent();
    const struct sent *sent;
    (void)state;
    raw_send(r, FRAME_OPEN, AGENT_NEXT_ID, "\0\0\1\0\0\3tcp\x80\1\0\0", 13);
    assert_int_equal(r->side.opens, 4);
    sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_RESET), 1);
    assert_int_equal(sent->frame[sent->count - 1].payload[1], RESET_UNSUPPORTED);
    raw_send(r, FRAME_OPEN, AGENT_NEXT_ID + 2, "\0\0\1\0\0\11tcp:app:1\0\1\0\2xy", 21);
    assert_int_equal(r->side.opens, 5);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

static void test_listen_is_refused(void **state)
{
    struct raw *r = agent();
    const struct sent *sent;
    (void)state;
    raw_send(r, FRAME_LISTEN, AGENT_NEXT_ID, "\0\5:8080", 7);
    assert_int_equal(r->s->listeners, 1);
    sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_RESET), 1);
    assert_int_equal(sent->frame[sent->count - 1].stream, AGENT_NEXT_ID);
    assert_int_equal(sent->frame[sent->count - 1].payload[1], RESET_UNSUPPORTED);
    raw_send(r, FRAME_EOF, AGENT_NEXT_ID, NULL, 0); /* in time, the client gives it up */
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_int_equal(r->s->listeners, 0);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

/* The last ids there are. */
static void test_ids_end(void **state)
{
    struct raw *r = agent();
    struct app *app;
    (void)state;
    r->s->peer_next_id = UINT32_MAX - 2;
    raw_send_open(r, UINT32_MAX - 2, 100);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_send_open(r, UINT32_MAX, 100);
    check_ended(r, "OPEN of the last id");

    r = client();
    r->s->next_id = UINT32_MAX - 2;
    assert_non_null(app_open(&r->side, 100));
    app = app_open(&r->side, 101);
    raw_output(r);
    assert_int_equal(app->resets, 1);
    assert_int_equal(app_find(&r->side, 100)->stream->id, UINT32_MAX - 2);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

/* --- The limit of streams --- */

static struct raw *agent_with_limit(uint16_t streams)
{
    struct session_settings t = session_default_settings(false);
    struct raw *r;
    t.streams = streams;
    r = raw_new(false, &t);
    raw_start(r);
    return r;
}

static void test_open_over_the_limit(void **state)
{
    struct raw *r = agent_with_limit(2);
    const struct sent *sent;
    (void)state;
    raw_send_open(r, 1, 100);
    raw_send_open(r, 3, 100);
    raw_output(r);
    raw_send_open(r, 5, 100);
    raw_send_data(r, 5, 0, 5000); /* on its way already: dropped, whatever its size */
    raw_send_data(r, 5, 5000, 50000);
    raw_send(r, FRAME_EOF, 5, NULL, 0);
    assert_int_equal(r->side.opens, 2);
    assert_int_equal(r->s->peer_open, 2);
    assert_int_equal(r->s->refused, 1);
    sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_RESET), 1);
    assert_int_equal(sent->frame[sent->count - 1].stream, 5);
    assert_int_equal(sent->frame[sent->count - 1].payload[1], RESET_LIMIT);
    raw_send_position(r, FRAME_ACK,
                      r->s->sent_max - FRAME_HEADER_BYTES - sent->frame[sent->count - 1].len);
    assert_int_equal(r->s->refused, 1);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_int_equal(r->s->refused, 0);
    raw_send_code(r, FRAME_RESET, 1, RESET_TIMEOUT, "makes room");
    raw_send_open(r, 7, 100);
    assert_int_equal(r->side.opens, 3);
    assert_int_equal(r->s->peer_open, 2);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

/* A stream that this side reset counts until the peer has acknowledged it. */
static void test_reset_counts_until_acknowledged(void **state)
{
    struct raw *r = agent_with_limit(1);
    (void)state;
    raw_send_open(r, 1, 100);
    app_reset(app_find(&r->side, 1), RESET_BY_TARGET, "broken");
    raw_output(r);
    raw_send_open(r, 3, 100);
    assert_int_equal(r->side.opens, 1);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_int_equal(r->s->peer_open, 0);
    raw_send_open(r, 5, 100);
    assert_int_equal(r->side.opens, 2);
    raw_free(r);
}

/* And one that ended cleanly until its EOF is acknowledged. */
static void test_eof_counts_until_acknowledged(void **state)
{
    struct raw *r = agent_with_limit(1);
    struct app *app;
    (void)state;
    raw_send_open(r, 1, 100);
    app = app_find(&r->side, 1);
    app_close(app);
    raw_send(r, FRAME_EOF, 1, NULL, 0);
    assert_int_equal(sent_count(raw_output(r), FRAME_EOF), 1);
    assert_int_equal(app->eofs, 1);
    assert_int_equal(app->dones, 0);
    raw_send_position(r, FRAME_ACK, r->s->sent_max - FRAME_HEADER_BYTES);
    assert_int_equal(app->dones, 0);
    assert_int_equal(r->s->peer_open, 1);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_int_equal(app->dones, 1);
    assert_int_equal(r->s->peer_open, 0);
    raw_free(r);
}

static void test_opens_without_end(void **state)
{
    struct raw *r = agent_with_limit(1);
    uint32_t id = 1;
    (void)state;
    while (r->s->state == SESSION_ACTIVE && id < 10000) {
        raw_send_open(r, id, 100);
        id += 2;
    }
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_FULL);
    assert_int_equal((id - 1) / 2, 1 + REFUSED_MAX + 1);
    assert_int_equal(r->side.opens, 1);
    raw_free(r);
}

/* Opened and reset as fast as it goes: nothing is kept. */
static void test_rapid_reset(void **state)
{
    struct raw *r = agent_with_limit(4);
    (void)state;
    for (uint32_t id = 1; id < 20000; id += 2) {
        raw_send_open(r, id, 100);
        raw_send_code(r, FRAME_RESET, id, RESET_TIMEOUT, "");
        assert_int_equal(r->s->peer_open + r->s->refused, 0);
        if (id % 1000 == 1)
            raw_output(r);
    }
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(ring_used(&r->s->ring), 0);
    raw_free(r);
}

/* A peer that reads nothing and acknowledges nothing is read on, and holds bounded memory. */
static void test_peer_that_never_reads(void **state)
{
    struct raw *r = agent();
    (void)state;
    app_write(app_find(&r->side, 1), 100 << 20);
    for (int i = 0; i < 2000; i++) {
        raw_send(r, FRAME_PING, 0, "12345678", 8);
        raw_send_data(r, 1, (uint64_t)i * 100, 100);
        raw_send_window(r, 1, 1000);
        circuit_output(&r->c, r->now); /* never written */
    }
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(app_find(&r->side, 1)->received, 200000);
    assert_true(ring_used(&r->s->ring) <= TX_BYTES + RING_RESERVE);
    raw_free(r);
}

/* No credit is given to a half that has ended, and none beside OPENED. */
static void test_no_window_in_vain(void **state)
{
    struct raw *r = agent();
    struct app *app = app_find(&r->side, 1);
    uint32_t window = stream_find(r->s, 1)->window;
    (void)state;
    app->appetite = 0;
    for (uint32_t at = 0; at < window; at += 32768)
        raw_send_data(r, 1, at, window - at < 32768 ? window - at : 32768);
    raw_send(r, FRAME_EOF, 1, NULL, 0);
    app_take(app, EVERYTHING);
    assert_int_equal(app->received, window);
    assert_int_equal(app->eofs, 1);
    assert_int_equal(sent_count(raw_output(r), FRAME_WINDOW), 0);
    raw_free(r);

    r = agent();
    raw_send_data(r, 7, 0, RAW_EARLY_CREDIT);
    app_accept(app_find(&r->side, 7), "x");
    assert_int_equal(app_find(&r->side, 7)->received, RAW_EARLY_CREDIT);
    assert_int_equal(sent_count(raw_output(r), FRAME_WINDOW), 0);
    raw_free(r);
}

/* Bytes after the session's end are not looked at. */
static void test_nothing_after_the_end(void **state)
{
    static struct {
        struct record record;
        uint8_t more[1 << 20];
    } bytes;
    struct raw *r = agent();
    size_t room;
    (void)state;
    raw_send(r, 0x7f, 0, NULL, 0);
    assert_int_equal(r->s->state, SESSION_ENDED);
    for (int i = 0; i < 200; i++) {
        raw_send_open(r, AGENT_NEXT_ID, 100);
        circuit_input_space(&r->c, &room);
        assert_true(room >= 64 << 10);
    }
    assert_int_equal(r->side.opens, 4);
    raw_free(r);

    /* A buffer full of what is of no more use makes room. */
    r = agent();
    record_frame(&bytes.record, 0x7f, 0, NULL, 0);
    record_seal(&bytes.record, &r->send);
    raw_feed(r, &r->c, bytes.record.bytes, sizeof bytes);
    assert_int_equal(r->s->state, SESSION_ENDED);
    raw_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_that_end_the_session),
        cmocka_unit_test(test_farewell_before_what_waits),
        cmocka_unit_test(test_no_farewell),
        cmocka_unit_test(test_frames_that_do_no_harm),
        cmocka_unit_test(test_longest_target),
        cmocka_unit_test(test_first_frame_must_be_start),
        cmocka_unit_test(test_records_of_broken_frames),
        cmocka_unit_test(test_beyond_the_credit),
        cmocka_unit_test(test_position_inside_a_frame),
        cmocka_unit_test(test_acknowledged_one_by_one),
        cmocka_unit_test(test_frame_after_close),
        cmocka_unit_test(test_close_without_a_code),
        cmocka_unit_test(test_texts_of_the_peer),
        cmocka_unit_test(test_extensions_of_open),
        cmocka_unit_test(test_listen_is_refused),
        cmocka_unit_test(test_ids_end),
        cmocka_unit_test(test_open_over_the_limit),
        cmocka_unit_test(test_reset_counts_until_acknowledged),
        cmocka_unit_test(test_eof_counts_until_acknowledged),
        cmocka_unit_test(test_opens_without_end),
        cmocka_unit_test(test_rapid_reset),
        cmocka_unit_test(test_peer_that_never_reads),
        cmocka_unit_test(test_no_window_in_vain),
        cmocka_unit_test(test_nothing_after_the_end),
    };
    return crypto_start(false) ? cmocka_run_group_tests_name("session_hostile", tests, NULL, NULL)
                               : 1;
}
