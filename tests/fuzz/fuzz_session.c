/* libFuzzer: a session, of the client or of the agent, whose peer sends arbitrary frames under the
 * right key, while its own applications, the clock and its circuits do as the input says. After
 * each step the invariants of the session headers hold. */
#include <stdlib.h>

#include "base/clock.h"
#include "session/listen.h"
#include "session/session.h"
#include "session_short.h"
#include "session_walk.c" // NOLINT(bugprone-suspicious-include): a fuzz target is one source

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define APPS_MAX 64
#define EARLY_CREDIT 512
#define STEPS_MAX 400

struct app {
    struct stream *stream; /* NULL: gone */
    bool answered;
    size_t available, appetite;
    bool closing;
};

/* The applications' actions inside their events. */
enum mood { MOOD_CALM, MOOD_RESET, MOOD_RESET_ALL, MOOD_CLOSE, MOOD_OPEN, MOODS };

struct fuzz {
    const uint8_t *data;
    size_t size;
    struct session *s;
    struct circuit circuit[2]; /* the one in use, and one beside it */
    struct cipher send[2];     /* the peer's */
    unsigned in_use;
    uint32_t number;
    uint64_t now;
    enum mood mood;
    struct app app[APPS_MAX];
    unsigned apps;
};

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static unsigned take_byte(struct fuzz *f)
{
    if (!f->size)
        return 0;
    f->size--;
    return *f->data++;
}

static unsigned take_16(struct fuzz *f)
{
    unsigned high = take_byte(f);
    return high << 8 | take_byte(f);
}

/* --- Applications --- */

static void reset_app(struct app *a)
{
    if (a->stream)
        stream_reset(a->stream, RESET_INTERNAL, "inside\x01 an event \xff");
    a->stream = NULL;
}

static void open_app(struct fuzz *f);

/* false: the stream of the application is gone. */
static bool act(struct app *a, struct fuzz *f)
{
    enum mood mood = f->mood;
    f->mood = MOOD_CALM;
    if (mood == MOOD_RESET)
        reset_app(a);
    for (unsigned i = 0; mood == MOOD_RESET_ALL && i < f->apps; i++)
        reset_app(&f->app[i]);
    if (mood == MOOD_CLOSE)
        session_close(f->s, CODE_DONE, "inside an event");
    if (mood == MOOD_OPEN)
        open_app(f);
    return a->stream != NULL;
}

static struct fuzz *the_fuzz; /* owners are applications; there is one session at a time */

static ssize_t on_pull(void *owner, struct iovec *piece, int pieces)
{
    struct app *a = owner;
    size_t n = 0;
    require(a->stream != NULL);
    if (!act(a, the_fuzz))
        return STREAM_PULL_GONE;
    for (int i = 0; i < pieces; i++) {
        size_t part = piece[i].iov_len < a->available ? piece[i].iov_len : a->available;
        if (part)
            memset(piece[i].iov_base, 'x', part);
        a->available -= part;
        n += part;
    }
    return n ? (ssize_t)n : a->closing ? STREAM_PULL_EOF : STREAM_PULL_NONE;
}

static size_t on_push(void *owner, const uint8_t *data, size_t len)
{
    struct app *a = owner;
    size_t n;
    require(a->stream != NULL && len > 0);
    (void)*(const volatile uint8_t *)(data + len - 1);
    if (!act(a, the_fuzz))
        return 0;
    n = a->appetite < len ? a->appetite : len;
    a->appetite -= n;
    return n;
}

static void on_datagram(void *owner, struct view datagram)
{
    struct app *a = owner;
    require(a->stream != NULL);
    if (datagram.len)
        (void)*(const volatile uint8_t *)(datagram.data + datagram.len - 1);
    act(a, the_fuzz);
}

static void on_eof(void *owner)
{
    struct app *a = owner;
    require(a->stream != NULL);
    act(a, the_fuzz);
}

static void on_opened(void *owner, struct view address)
{
    struct app *a = owner;
    require(a->stream != NULL && address.len <= ADDRESS_MAX_BYTES);
    a->answered = true;
    act(a, the_fuzz);
}

static void on_done(void *owner)
{
    struct app *a = owner;
    require(a->stream != NULL);
    a->stream = NULL;
    act(a, the_fuzz);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    (void)code;
    require(strlen(text) <= TEXT_MAX_BYTES);
    on_done(owner);
}

static const struct stream_events app_events = {
    .pull = on_pull,
    .push = on_push,
    .on_datagram = on_datagram,
    .on_eof = on_eof,
    .on_opened = on_opened,
    .on_reset = on_reset,
    .on_done = on_done,
};

static struct app *new_app(struct fuzz *f)
{
    struct app *a = f->apps < APPS_MAX ? &f->app[f->apps++] : NULL;
    if (a)
        *a = (struct app){.appetite = 1000};
    return a;
}

/* An agent opens nothing while its session waits. */
static bool may_ask(const struct fuzz *f)
{
    return f->s->settings.client || !session_waits(f->s);
}

static void open_app(struct fuzz *f)
{
    static const char *const targets[] = {"tcp:host:1", "udp:host:1", "tcp:\xff", ""};
    struct app *a = may_ask(f) ? new_app(f) : NULL;
    if (a)
        a->stream = stream_open(f->s, targets[f->apps % 4], &app_events, a);
}

static void answer(struct session *s, struct stream *stream)
{
    struct fuzz *f = s->owner;
    struct app *a = new_app(f);
    if (!a) {
        stream_reset(stream, RESET_LIMIT, "enough");
        return;
    }
    a->stream = stream;
    stream_set_owner(stream, &app_events, a);
    act(a, f);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    require(target.len <= TARGET_MAX_BYTES && !session_waits(s));
    answer(s, stream);
}

static void on_listen(struct session *s, struct stream *listener, struct view address)
{
    require(address.len <= ADDRESS_MAX_BYTES && !session_waits(s));
    answer(s, listener);
}

static void on_connection(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    require(listener->listener && peer.len <= ADDRESS_MAX_BYTES);
    answer(s, stream);
}

static void on_wake(struct session *s)
{
    (void)s;
}

static void on_room(struct session *s)
{
    struct fuzz *f = s->owner;
    if (f->mood == MOOD_OPEN)
        open_app(f);
}

static void on_access(struct session *s, const struct access_frame *access)
{
    require(access->text.len <= TEXT_MAX_BYTES);
    require(access->state != ACCESS_WAITING || session_waits(s));
    require(access->state != ACCESS_GRANTED || !session_waits(s));
}

static const struct session_events events = {
    .on_open = on_open,
    .on_listen = on_listen,
    .on_connection = on_connection,
    .on_wake = on_wake,
    .on_room = on_room,
    .on_access = on_access,
};

/* --- The peer --- */

static void feed(struct fuzz *f, unsigned which, const uint8_t *bytes, size_t len)
{
    struct circuit *c = &f->circuit[which];
    while (len) {
        size_t room;
        uint8_t *space = circuit_input_space(c, &room);
        size_t n = len < room ? len : room;
        require(room >= 64 << 10);
        memcpy(space, bytes, n);
        circuit_input(c, n, f->now);
        bytes += n;
        len -= n;
    }
}

static void feed_plaintext(struct fuzz *f, unsigned which, const uint8_t *plain, size_t len)
{
    static uint8_t record[2 + RECORD_MAX];
    if (!f->circuit[which].rx || len > RECORD_PLAINTEXT_MAX)
        return;
    store_be16(record, (uint16_t)(len + TAG_BYTES));
    memcpy(record + 2, plain, len);
    cipher_seal(&f->send[which], view_of(NULL, 0), record + 2, len, record + 2 + len);
    feed(f, which, record, 2 + len + TAG_BYTES);
}

static void send_frame(struct fuzz *f, unsigned which, unsigned type, uint32_t id,
                       const uint8_t *payload, size_t len)
{
    static uint8_t plain[RECORD_PLAINTEXT_MAX];
    frame_header(plain, type, id, len);
    memcpy(plain + FRAME_HEADER_BYTES, payload, len);
    feed_plaintext(f, which, plain, FRAME_HEADER_BYTES + len);
}

static void send_position(struct fuzz *f, unsigned which, unsigned type, uint64_t position)
{
    uint8_t payload[8];
    store_be64(payload, position);
    send_frame(f, which, type, 0, payload, sizeof payload);
}

/* The next circuit; the one before goes on beside it until the one after. */
static void next_circuit(struct fuzz *f, uint64_t told)
{
    unsigned which = f->in_use ^= 1;
    uint8_t key[KEY_BYTES] = {0};
    struct cipher send, receive;
    circuit_free(&f->circuit[which]);
    cipher_init(&send, SUITE_CHACHAPOLY, key);
    cipher_init(&receive, SUITE_CHACHAPOLY, key);
    cipher_init(&f->send[which], SUITE_CHACHAPOLY, key);
    require(circuit_init(&f->circuit[which], f->s, &send, &receive, ++f->number, told, f->now));
}

/* --- Steps --- */

/* Some frame: type, stream and payload as the input says. */
static void step_frame(struct fuzz *f)
{
    static const uint8_t types[] = {
        FRAME_OPEN,   FRAME_OPENED,    FRAME_DATA,     FRAME_EOF,    FRAME_RESET, FRAME_WINDOW,
        FRAME_LISTEN, FRAME_LISTENING, FRAME_CLOSE,    FRAME_ACCESS, FRAME_START, FRAME_ACK,
        FRAME_PING,   FRAME_PONG,      FRAME_DATAGRAM, FRAME_PAD,    FRAME_HEAD};
    unsigned choice = take_byte(f), id = take_byte(f), len = take_byte(f);
    unsigned type = choice < 240 ? types[choice % sizeof types] : take_byte(f);
    if (len > f->size)
        len = (unsigned)f->size;
    send_frame(f, f->in_use, type, id < 250 ? id : 0xffffff00U + id, f->data, len);
    f->data += len;
    f->size -= len;
}

/* One of the streams there are, or NULL. */
static struct stream *some_stream(struct fuzz *f)
{
    unsigned at = take_byte(f);
    for (unsigned i = 0; i < f->apps; i++) {
        struct app *a = &f->app[(at + i) % f->apps];
        if (a->stream && a->stream->id)
            return a->stream;
    }
    return NULL;
}

static void send_open(struct fuzz *f, unsigned amount)
{
    uint8_t payload[64];
    struct open_frame open = {.window = amount,
                              .listener = amount % 64,
                              .target = view_of_string(amount & 1 ? "tcp:h:1" : "udp:h:1"),
                              .address = view_of_string("5.6.7.8:9")};
    send_frame(f, f->in_use, FRAME_OPEN, f->s->peer_next_id, payload,
               open_encode(&open, f->s->settings.client, payload, sizeof payload));
}

static void send_opened(struct fuzz *f, const struct stream *st, unsigned amount)
{
    uint8_t payload[64];
    struct opened_frame opened = {.window = EARLY_CREDIT + amount,
                                  .address = view_of_string("1.2.3.4:5")};
    if (st->listener)
        send_frame(f, f->in_use, FRAME_LISTENING, st->id, payload,
                   address_encode(opened.address, payload, sizeof payload));
    else
        send_frame(f, f->in_use, FRAME_OPENED, st->id, payload,
                   opened_encode(&opened, payload, sizeof payload));
}

/* A frame that a peer which keeps the rules might send now; one in 64 times it need not fit. */
static void step_stream(struct fuzz *f)
{
    static const uint8_t zeros[FRAME_PAYLOAD_MAX];
    unsigned what = take_byte(f), amount = take_16(f);
    bool wild = what / 4 == 63;
    struct stream *st = what % 8 < 2 ? NULL : some_stream(f);
    uint8_t payload[64];
    if (what % 8 == 0) {
        send_open(f, amount);
    } else if (what % 8 == 1) {
        send_frame(f, f->in_use, FRAME_LISTEN, f->s->peer_next_id, payload,
                   address_encode(view_of_string("[::1]:0"), payload, sizeof payload));
    } else if (!st) {
        return;
    } else if (st->own && !st->answered && !wild) {
        send_opened(f, st, amount);
    } else if (what % 8 == 2) {
        store_be32(payload, amount);
        send_frame(f, f->in_use, FRAME_WINDOW, st->id, payload, 4);
    } else if (what % 8 == 3 && (wild || !st->eof_received)) {
        send_frame(f, f->in_use, FRAME_EOF, st->id, payload, 0);
    } else if (what % 8 == 4) {
        send_frame(f, f->in_use, FRAME_DATAGRAM, st->id, zeros, amount % 2000);
    } else if (what % 8 == 5) {
        struct reset_frame reset = {.code = (enum reset_code)amount,
                                    .text = view_of_string("gone")};
        send_frame(f, f->in_use, FRAME_RESET, st->id, payload,
                   reset_encode(&reset, payload, sizeof payload));
    } else if (wild || (st->credit_out && !st->eof_received)) {
        size_t most =
            wild || st->credit_out > FRAME_PAYLOAD_MAX ? FRAME_PAYLOAD_MAX : st->credit_out;
        send_frame(f, f->in_use, FRAME_DATA, st->id, zeros, 1 + amount % most);
    }
}

static void step_bytes(struct fuzz *f)
{
    unsigned sealed = take_byte(f) & 1, len = take_byte(f);
    if (len > f->size)
        len = (unsigned)f->size;
    if (sealed)
        feed_plaintext(f, f->in_use, f->data, len);
    else if (f->circuit[f->in_use].rx)
        feed(f, f->in_use, f->data, len);
    f->data += len;
    f->size -= len;
}

static void step_positions(struct fuzz *f)
{
    unsigned what = take_byte(f), back = take_byte(f);
    uint64_t sent = f->s->sent_max, received = f->s->receive_position;
    unsigned which = what & 64 ? !f->in_use : f->in_use;
    if (what % 4 == 0)
        next_circuit(f, back < 128 ? f->s->ring.tail : back < 250 ? sent : sent - back);
    else if (what % 4 == 3 && back > 200)
        circuit_free(&f->circuit[which]);
    else if (!f->circuit[which].started)
        send_position(f, which, FRAME_START, received - (back % 4 ? 0 : back));
    else
        send_position(f, which, FRAME_ACK, back < 250 ? sent : sent - back);
}

static void step_app(struct fuzz *f)
{
    unsigned what = take_byte(f), amount = take_16(f);
    struct app *a = &f->app[what / 16 % APPS_MAX];
    if (what % 16 == 0) {
        open_app(f);
    } else if (what % 16 == 1) {
        struct app *listener = may_ask(f) ? new_app(f) : NULL;
        if (listener)
            listener->stream = listen_request(f->s, "127.0.0.1:0", &app_events, listener);
    } else if (what % 16 == 2) {
        f->mood = (enum mood)(amount % MOODS);
    } else if (!a->stream) {
        return;
    } else if (what % 16 == 3) {
        reset_app(a);
    } else if (what % 16 == 4 && a->stream->listener) {
        struct app *connection = new_app(f);
        if (connection && a->answered && !f->s->settings.client)
            connection->stream = stream_open_for(a->stream, "9.9.9.9:9", &app_events, connection);
    } else if (what % 16 == 4) {
        uint8_t bytes[2000] = {0};
        stream_send_datagram(a->stream, view_of(bytes, amount % sizeof bytes));
    } else if (what % 16 < 7 && !a->stream->own) {
        a->answered = true;
        stream_accept(a->stream, amount & 1 ? "10.0.0.1:1" : NULL);
    } else if (what % 16 < 11) {
        a->available += amount;
        a->closing = amount % 8 == 0;
        stream_readable(a->stream);
    } else {
        a->appetite += amount;
        stream_writable(a->stream);
    }
}

static void step_output(struct fuzz *f)
{
    unsigned part = take_byte(f), which = part & 1 ? !f->in_use : f->in_use;
    struct view out = circuit_output(&f->circuit[which], f->now);
    circuit_written(&f->circuit[which], part < 200 ? out.len : out.len * part / 256);
}

static void step_time(struct fuzz *f)
{
    unsigned amount = take_byte(f);
    f->now += amount < 200 ? amount * 1000 : amount * 100000;
    for (unsigned i = 0; i < 2; i++) {
        circuit_tick(&f->circuit[i], f->now);
        circuit_deadline(&f->circuit[i]);
    }
}

/* The session need not wait any more, or, as a client, hears something of it. */
static void step_access(struct fuzz *f)
{
    struct access_frame access = {.state = (uint8_t)(take_byte(f) % 5),
                                  .text = view_of_string("7F3K")};
    uint8_t payload[64];
    if (f->s->settings.client) {
        send_frame(f, f->in_use, FRAME_ACCESS, 0, payload,
                   access_encode(&access, payload, sizeof payload));
        return;
    }
    if (access.state == ACCESS_GRANTED)
        session_set_waiting(f->s, false);
    session_tell_access(f->s, &access);
}

static void step_rarely(struct fuzz *f, unsigned what)
{
    if (what < 170)
        step_bytes(f);
    else if (what < 230)
        step_access(f);
    else
        session_close(f->s, CODE_DONE, "the end");
}

static void step(struct fuzz *f)
{
    unsigned what = take_byte(f) % 32;
    if (what < 10)
        step_stream(f);
    else if (what < 18)
        step_app(f);
    else if (what < 24)
        step_output(f);
    else if (what < 28)
        step_positions(f);
    else if (what < 29)
        step_time(f);
    else if (what < 30)
        step_frame(f);
    else
        step_rarely(f, take_byte(f));
}

static void start(struct fuzz *f, bool client, bool waits)
{
    struct session_settings t = session_default_settings(client);
    t.receive_limit = 256 << 10;
    t.ring_bytes = 128 << 10;
    t.streams = 20;
    t.own_streams = 20;
    t.early_credit = EARLY_CREDIT;
    f->s = session_new(&t, &events, f);
    require(f->s != NULL);
    if (client) {
        struct session_welcome welcome = {.ring = 128 << 10,
                                          .receive_limit = 1 << 20,
                                          .streams = 20,
                                          .early_credit = EARLY_CREDIT,
                                          .waits = waits};
        welcome.session_id[0] = 1;
        require(session_take_welcome(f->s, &welcome));
    } else {
        struct session_hello hello = {.ring = 128 << 10,
                                      .receive_limit = 1 << 20,
                                      .streams = 20,
                                      .takes = HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING};
        session_take_hello(f->s, &hello);
        session_set_waiting(f->s, waits);
    }
    next_circuit(f, 0);
    send_position(f, f->in_use, FRAME_START, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *f = calloc(1, sizeof *f);
    bool order, waits;
    unsigned first;
    require(f != NULL);
    the_fuzz = f;
    f->data = data;
    f->size = size;
    f->now = 1000000;
    first = take_byte(f);
    order = first & 2;
    waits = first & 4;
    start(f, order ^ (take_byte(f) & 1), waits);
    for (int i = 0; i < STEPS_MAX && f->size; i++) {
        step(f);
        require(session_broken(f->s) == NULL);
    }
    f->mood = MOOD_OPEN;
    for (unsigned i = 0; i < 2 && order; i++)
        circuit_free(&f->circuit[i]);
    session_free(f->s);
    for (unsigned i = 0; i < 2; i++)
        circuit_free(&f->circuit[i]);
    for (unsigned i = 0; i < f->apps; i++)
        require(f->app[i].stream == NULL); /* everybody was told */
    free(f);
    return 0;
}
