/* Plain bytes through a TCP connection, or through a circuit that a relay has joined: the same
 * sender and receiver, so that what is between them can be compared.
 *
 *   pump sink PORT                            takes connections on 127.0.0.1, one after another
 *   pump push PORT SECONDS                    sends to it: "BYTES SECONDS", until all has arrived
 *   pump agent PORT RELAY_KEY KEY_FILE        a sink as an agent that has called the relay at
 * 127.0.0.1 pump client PORT RELAY_KEY KEY_FILE AGENT SECONDS      pushes to that agent */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/keys.h"
#include "hop/outgoing.h"

#define BUFFER_BYTES ((size_t)256 * 1024)

static uint8_t buffer[BUFFER_BYTES];

static void __attribute__((noreturn)) give_up(const char *what)
{
    fprintf(stderr, "pump: %s\n", what);
    exit(1);
}

/* ---- The bytes. ---- */

static void set_blocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
        give_up(strerror(errno));
    socket_set_carrier(fd);
}

/* Until the end of what comes; the sender then sees the end of what it gets. */
static void sink(int fd)
{
    set_blocking(fd);
    while (read(fd, buffer, sizeof buffer) > 0)
        ;
    close(fd);
}

static void push(int fd, double seconds)
{
    uint64_t began = clock_now_us(), end = began + (uint64_t)(seconds * 1e6), bytes = 0;
    set_blocking(fd);
    while (clock_now_us() < end) {
        ssize_t n = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
        if (n < 0)
            give_up(strerror(errno));
        bytes += (uint64_t)n;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, buffer, 1) < 0)
        give_up(strerror(errno));
    printf("%llu %.4f\n", (unsigned long long)bytes, (double)(clock_now_us() - began) / 1e6);
    close(fd);
}

/* ---- Directly. ---- */

static struct address loopback(const char *port)
{
    struct address a;
    address_from_literal(&a, "127.0.0.1", (uint16_t)strtoul(port, NULL, 10));
    return a;
}

static int run_sink(char **argv)
{
    struct address a = loopback(argv[0]), peer;
    struct error e = {0};
    int listener = socket_listen(&a, 16, &e), fd;
    if (listener < 0)
        give_up(e.text);
    fcntl(listener, F_SETFL, 0);
    while ((fd = socket_accept(listener, &peer)) >= 0)
        sink(fd);
    give_up(strerror(errno));
}

static int run_push(char **argv)
{
    struct address a = loopback(argv[0]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a.storage, a.len) < 0)
        give_up(strerror(errno));
    push(fd, strtod(argv[1], NULL));
    return 0;
}

/* ---- Through a relay. ---- */

static struct {
    struct loop *loop;
    struct keypair own;
    struct hop_party party;
    uint8_t relay_key[KEY_BYTES];
    uint16_t port;
    const char *agent;
    double seconds;
    struct outgoing control, circuit;
} party;

static void on_ended(struct outgoing *o)
{
    give_up(hop_error(&o->driver.hop)->text);
}

static void open_hop(struct outgoing *o, const struct hop_handler *handler, enum role role,
                     void (*on_detached)(struct outgoing *o))
{
    struct outgoing_request request = {.host = "127.0.0.1",
                                       .port = party.port,
                                       .party = &party.party,
                                       .handler = handler,
                                       .role = role,
                                       .peer_key = party.relay_key,
                                       .on_ended = on_ended,
                                       .on_detached = on_detached};
    if (!outgoing_start(o, party.loop, &request))
        give_up("out of memory");
}

/* A descriptor for plain calls, at the circuit's first byte. */
static int take_descriptor(struct outgoing *o)
{
    struct carrier *carrier = hop_driver_take(&o->driver);
    int fd = dup(carrier->raw_in);
    if (fd < 0)
        give_up(strerror(errno));
    set_blocking(fd);
    if (!carrier_flush(carrier))
        give_up(strerror(errno));
    carrier_close(carrier);
    outgoing_close(o);
    return fd;
}

/* Session message 2, which only a client would read. */
static bool agent_on_message(struct hop *h, unsigned type, struct view body)
{
    (void)body;
    if (type == MESSAGE_OFFER) {
        hop_send(h, MESSAGE_ACCEPT, view_of("2", 1));
        hop_detach(h);
    }
    return true;
}

static void circuit_on_open(struct hop *h, const struct info *info)
{
    (void)info;
    outgoing_opened(outgoing_of(h));
    printf("parked\n");
    fflush(stdout);
}

static const struct hop_handler circuit_handler = {.on_open = circuit_on_open,
                                                   .on_message = agent_on_message};

static void agent_on_detached(struct outgoing *o)
{
    sink(take_descriptor(o));
    open_hop(&party.circuit, &circuit_handler, ROLE_AGENT_CIRCUIT, agent_on_detached);
}

static void control_on_open(struct hop *h, const struct info *info)
{
    (void)info;
    outgoing_opened(outgoing_of(h));
    open_hop(&party.circuit, &circuit_handler, ROLE_AGENT_CIRCUIT, agent_on_detached);
}

static bool control_on_message(struct hop *h, unsigned type, struct view body)
{
    (void)h, (void)type, (void)body;
    return true;
}

static const struct hop_handler control_handler = {.on_open = control_on_open,
                                                   .on_message = control_on_message};

static void client_on_open(struct hop *h, const struct info *info)
{
    uint8_t body[NAME_MAX_BYTES + 8];
    struct connect connect = {.agent = view_of_string(party.agent), .message1 = view_of("1", 1)};
    (void)info;
    outgoing_opened(outgoing_of(h));
    hop_send(h, MESSAGE_CONNECT, view_of(body, connect_encode(&connect, body, sizeof body)));
    hop_quiet_begin(h);
}

static bool client_on_message(struct hop *h, unsigned type, struct view body)
{
    (void)body;
    if (type == MESSAGE_CONNECTED)
        hop_detach(h);
    return type == MESSAGE_CONNECTED || type == MESSAGE_INFO ||
           hop_fail(h, CODE_PROTOCOL, "the relay did not connect: %s", message_name(type));
}

static const struct hop_handler client_handler = {.on_open = client_on_open,
                                                  .on_message = client_on_message};

static void client_on_detached(struct outgoing *o)
{
    push(take_descriptor(o), party.seconds);
    loop_stop(party.loop);
}

static void prepare(char **argv)
{
    struct error e = {0};
    if (!crypto_start(false) || !public_key_from_text(party.relay_key, view_of_string(argv[1])) ||
        !keypair_load(&party.own, argv[2], &e))
        give_up(e.failure ? e.text : "no usable key");
    party.port = (uint16_t)strtoul(argv[0], NULL, 10);
    party.party = (struct hop_party){.own = &party.own, .version = "pump", .labels = ""};
    party.loop = loop_new();
    if (!party.loop)
        give_up(strerror(errno));
}

static int run_agent(char **argv)
{
    prepare(argv);
    open_hop(&party.control, &control_handler, ROLE_AGENT, NULL);
    loop_run(party.loop);
    return 0;
}

static int run_client(char **argv)
{
    prepare(argv);
    party.agent = argv[3];
    party.seconds = strtod(argv[4], NULL);
    open_hop(&party.control, &client_handler, ROLE_CLIENT, client_on_detached);
    loop_run(party.loop);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arguments;
        int (*run)(char **argv);
    } commands[] = {
        {"sink", 1, run_sink},
        {"push", 2, run_push},
        {"agent", 3, run_agent},
        {"client", 5, run_client},
    };
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 == commands[i].arguments)
            return commands[i].run(argv + 2);
    fprintf(stderr, "usage: pump sink|push|agent|client PORT ...\n");
    return 2;
}
