/* Thousands of agents in one process, with the engines that the real one has: each calls home with
 * a control hop, parks a circuit hop, and then is idle. Each comes from an address of its own in
 * 127.0.0.0/8, so that the relay's limits for one source are not what is measured.
 *
 *   agents conf COUNT             the agents' sections of a relay's configuration
 *   agents run PORT RELAY_KEY COUNT
 *
 * run reads commands, one a line, and answers each with one:
 *   prepare N    computes the first messages of the first N that are not online: "prepared"
 *   go           connects these: "online N SECONDS CPU_SECONDS FAILURES" once both hops of all are
 *                open
 *   lost         waits until no hop is left: "lost" */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/keys.h"
#include "hop/driver.h"
#include "net/socket.h"
#include "net/tcp_carrier.h"

#define AT_ONCE 256 /* agents that connect at a time */

enum { CONTROL, CIRCUIT, HOPS };

struct agent {
    struct keypair own;
    struct hop_party party;
    struct hop_driver hops[HOPS];
    bool counted; /* both hops have been open */
};

static struct {
    struct loop *loop;
    struct address relay;
    uint8_t relay_key[KEY_BYTES];
    struct agent *agents;
    size_t count;
    size_t wanted;     /* agents that are to be online */
    size_t next;       /* the next to connect */
    size_t connecting; /* under way */
    size_t online;
    size_t hops; /* connected or connecting */
    size_t failures;
    bool going, losing;
    uint64_t began_us;
    clock_t began_cpu;
    struct io commands;
} all;

static void __attribute__((noreturn)) give_up(const char *what)
{
    fprintf(stderr, "agents: %s\n", what);
    exit(1);
}

static void answer(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

/* ---- Keys: the same in every run, for these agents only exist on this machine. ---- */

static void derive_key(struct keypair *pair, uint32_t index)
{
    uint8_t number[4];
    store_be32(number, index);
    sha256(pair->private_key, view_of_string("spx bench agent"), view_of(number, sizeof number));
    keypair_derive(pair);
}

static int run_conf(char **argv)
{
    uint32_t count = (uint32_t)strtoul(argv[0], NULL, 10);
    if (!crypto_start(false))
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        struct keypair pair;
        char text[KEY_TEXT_BYTES];
        derive_key(&pair, i);
        key_to_text(text, pair.public_key);
        printf("[Agent]\nName = agent-%05u\nPublicKey = %s\n", i, text);
    }
    return 0;
}

/* ---- Hops. ---- */

static const struct hop_handler control_handler, circuit_handler;
static void on_ended(struct hop_driver *d);

static void prepare_hop(struct agent *a, int which)
{
    struct hop_driver *d = &a->hops[which];
    *d = (struct hop_driver){.on_ended = on_ended};
    if (!hop_start(&d->hop, &a->party, which == CONTROL ? &control_handler : &circuit_handler,
                   which == CONTROL ? ROLE_AGENT : ROLE_AGENT_CIRCUIT, all.relay_key, NULL,
                   loop_refresh_now(all.loop)))
        give_up(hop_error(&d->hop)->text);
}

static int connect_from(size_t index)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f010000U + (uint32_t)index)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up(strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)(const void *)&from, sizeof from) < 0)
        give_up(strerror(errno));
    if (connect(fd, (const struct sockaddr *)&all.relay.storage, all.relay.len) < 0 &&
        errno != EINPROGRESS)
        give_up(strerror(errno));
    socket_set_carrier(fd);
    return fd;
}

static void connect_hop(struct agent *a, int which)
{
    struct hop_driver *d = &a->hops[which];
    if (!hop_driver_open(d, all.loop, tcp_carrier_new(connect_from((size_t)(a - all.agents)))))
        give_up(strerror(errno));
    hop_driver_set_deadline(d, loop_now(all.loop) + HANDSHAKE_S * CLOCK_US_PER_S);
    all.hops++;
}

static void connect_more(void)
{
    while (all.going && all.connecting < AT_ONCE && all.next < all.wanted) {
        connect_hop(&all.agents[all.next++], CONTROL);
        all.connecting++;
    }
}

static void come_online(void)
{
    all.connecting--;
    all.online++;
    connect_more();
    if (all.online < all.wanted)
        return;
    all.going = false;
    printf("online %zu %.4f %.4f %zu\n", all.online,
           (double)(loop_refresh_now(all.loop) - all.began_us) / 1e6,
           (double)(clock() - all.began_cpu) / CLOCKS_PER_SEC, all.failures);
    fflush(stdout);
}

/* Once it is asked for and so. */
static void tell_lost(void)
{
    if (!all.losing || all.hops > 0)
        return;
    all.losing = false;
    all.online = all.next = 0;
    answer("lost");
}

/* A hop that is lost while others connect is tried again; one of those that were all online is not,
 * until it is asked for. */
static void on_ended(struct hop_driver *d)
{
    bool circuit = d->hop.own_role == ROLE_AGENT_CIRCUIT;
    struct agent *a = circuit ? container_of(d, struct agent, hops[CIRCUIT])
                              : container_of(d, struct agent, hops[CONTROL]);
    hop_driver_close(d);
    all.hops--;
    if (all.going) {
        all.failures++;
        prepare_hop(a, circuit ? CIRCUIT : CONTROL);
        connect_hop(a, circuit ? CIRCUIT : CONTROL);
    }
    tell_lost();
}

static void control_on_open(struct hop *h, const struct info *info)
{
    struct agent *a = container_of(hop_driver_of(h), struct agent, hops[CONTROL]);
    (void)info;
    hop_driver_set_deadline(hop_driver_of(h), CLOCK_NEVER);
    if (!a->hops[CIRCUIT].carrier) /* there already when it is the control hop that was lost */
        connect_hop(a, CIRCUIT);
}

static void circuit_on_open(struct hop *h, const struct info *info)
{
    struct agent *a = container_of(hop_driver_of(h), struct agent, hops[CIRCUIT]);
    (void)info;
    hop_driver_set_deadline(hop_driver_of(h), CLOCK_NEVER);
    if (!a->counted)
        come_online();
    a->counted = true;
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    (void)body;
    return type == MESSAGE_INFO || hop_fail(h, CODE_PROTOCOL, "%s", message_name(type));
}

static const struct hop_handler control_handler = {.on_open = control_on_open,
                                                   .on_message = on_message};
static const struct hop_handler circuit_handler = {.on_open = circuit_on_open,
                                                   .on_message = on_message};

/* ---- Commands. ---- */

static void prepare(size_t wanted)
{
    all.wanted = wanted < all.count ? wanted : all.count;
    for (size_t i = all.next; i < all.wanted; i++) {
        all.agents[i].counted = false;
        for (int which = 0; which < HOPS; which++)
            prepare_hop(&all.agents[i], which);
    }
    answer("prepared");
}

static void go(void)
{
    all.going = true;
    all.failures = 0;
    all.began_us = loop_refresh_now(all.loop);
    all.began_cpu = clock();
    connect_more();
}

static void obey(const char *line)
{
    if (strncmp(line, "prepare ", 8) == 0)
        prepare(strtoul(line + 8, NULL, 10));
    else if (strcmp(line, "go\n") == 0)
        go();
    else if (strcmp(line, "lost\n") == 0)
        all.losing = true;
    else
        give_up("an unknown command");
    tell_lost();
}

/* A command is written whole and only after the last was answered, so that one read has one. */
static void on_command(struct io *io)
{
    char line[64];
    ssize_t n = read(io->fd, line, sizeof line - 1);
    if (n == 0)
        loop_stop(all.loop);
    if (n > 0) {
        line[n] = '\0';
        obey(line);
    } else if (n < 0 && errno == EAGAIN) {
        io_read_drained(io);
    }
    io_want_read(io);
}

static void make_agents(size_t count)
{
    all.count = count;
    all.agents = calloc(count, sizeof *all.agents);
    if (!all.agents)
        give_up(strerror(errno));
    for (size_t i = 0; i < count; i++) {
        struct agent *a = &all.agents[i];
        derive_key(&a->own, (uint32_t)i);
        a->party = (struct hop_party){.own = &a->own, .version = "bench", .labels = ""};
    }
}

static int run_agents(char **argv)
{
    if (!crypto_start(false) || !public_key_from_text(all.relay_key, view_of_string(argv[1])))
        give_up("the relay's key is not usable");
    address_from_literal(&all.relay, "127.0.0.1", (uint16_t)strtoul(argv[0], NULL, 10));
    all.loop = loop_new();
    if (!all.loop)
        give_up(strerror(errno));
    make_agents(strtoul(argv[2], NULL, 10));
    all.commands.on_read = on_command;
    if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0 ||
        !io_add(all.loop, &all.commands, STDIN_FILENO))
        give_up(strerror(errno));
    io_want_read(&all.commands);
    answer("started");
    loop_run(all.loop);
    return 0;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc == 3 && strcmp(argv[1], "conf") == 0)
        return run_conf(argv + 2);
    if (argc == 5 && strcmp(argv[1], "run") == 0)
        return run_agents(argv + 2);
    fprintf(stderr, "usage: agents conf COUNT | agents run PORT RELAY_KEY COUNT\n");
    return 2;
}
