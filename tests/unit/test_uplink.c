/* An agent's hops at a relay over a day: each that has its age is replaced by one beside it. The
 * clock of the program is the test's: a day passes in steps that keep the hops alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/state.h"
#include "agent/uplink.h"
#include "base/log.h"
#include "hop/driver.h"
#include "hop_pair.h"
#include "net/socket.h"

#define ROUNDS 12 /* of the loop, in which a PING is answered and more */
#define GUESTS 32

static time_t ahead_s; /* the program's clock of that of the machine */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec += id == CLOCK_BOOTTIME ? ahead_s : 0;
    return result;
}

/* A hop at the relay. */
struct guest {
    struct hop_driver driver; /* first */
    enum role role;
    bool open, ended;
};

static struct {
    struct loop *loop;
    struct party relay, own;
    struct agent agent;
    struct uplink *uplink;
    struct io door;
    struct guest guest[GUESTS];
    unsigned guests;
    unsigned deaf;   /* so many that come next are not answered, but closed */
    char story[512]; /* what came and went, a letter each: P, C open; p, c end */
    struct deferred count_down;
    unsigned rounds;
} t;

static void tell(const struct guest *g, bool opens)
{
    size_t len = strlen(t.story);
    assert_true(len + 1 < sizeof t.story);
    t.story[len] = g->role == ROLE_AGENT ? (opens ? 'C' : 'c') : (opens ? 'P' : 'p');
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *answer)
{
    struct guest *g = (struct guest *)(void *)h;
    g->role = (enum role)hello->role;
    answer->code = CODE_OK;
    answer->name = view_of_string("lab-1");
}

static void on_open(struct hop *h, const struct info *info)
{
    struct guest *g = (struct guest *)(void *)h;
    (void)info;
    g->open = true;
    tell(g, true);
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    (void)h, (void)type, (void)body;
    return true;
}

static const struct hop_handler handler = {
    .on_hello = on_hello, .on_open = on_open, .on_message = on_message};

static void on_ended(struct hop_driver *c)
{
    struct guest *g = (struct guest *)(void *)c;
    if (g->open)
        tell(g, false);
    g->ended = true;
    hop_driver_close(c);
}

static void on_connection(struct io *io)
{
    struct address peer;
    int fd = socket_accept(io->fd, &peer);
    if (fd < 0) {
        io_read_drained(io);
    } else if (t.deaf > 0) {
        t.deaf--;
        close(fd);
    } else {
        struct guest *g = &t.guest[t.guests++];
        assert_true(t.guests <= GUESTS);
        hop_listen(&g->driver.hop, &t.relay.party, &handler, ROLE_RELAY, loop_now(t.loop));
        g->driver.on_ended = on_ended;
        assert_true(hop_driver_open(&g->driver, t.loop, fd));
    }
    io_want_read(io);
}

static void on_round(struct deferred *d)
{
    if (t.rounds-- > 0)
        loop_defer(t.loop, d);
    else
        loop_stop(t.loop);
}

/* Some rounds without waiting for anything. */
static void run_rounds(unsigned rounds)
{
    t.rounds = rounds;
    loop_defer(t.loop, &t.count_down);
    loop_run(t.loop);
}

/* Until the story is as told; a name for the alarm that would end it. */
static void run_until(const char *story)
{
    for (int i = 0; i < 100000 && strcmp(t.story, story) != 0; i++)
        run_rounds(1);
    assert_string_equal(t.story, story);
}

static void pass(time_t seconds)
{
    const time_t step = KEEPALIVE_MAX_S / 2;
    for (time_t left = seconds; left > 0; left -= step) {
        ahead_s += left < step ? left : step;
        run_rounds(ROUNDS);
    }
}

static int set_up(void **state)
{
    struct address address, bound;
    struct agent_relay relay = {.has_address = true};
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    party_make(&t.relay, 1, "test", "");
    party_make(&t.own, 2, "test", "");
    t.relay.party.keepalive_s = KEEPALIVE_MAX_S;
    t.count_down.run = on_round;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    t.door.on_read = on_connection;
    assert_true(io_add(t.loop, &t.door, socket_listen(&address, 8, &e)));
    io_want_read(&t.door);
    assert_true(address_of_socket(&bound, t.door.fd, false));
    t.agent.loop = t.loop;
    t.agent.party = t.own.party;
    seats_init(&t.agent.seats);
    list_init(&t.agent.ended);
    snprintf(relay.address.host, sizeof relay.address.host, "127.0.0.1");
    relay.address.port = address_port(&bound);
    memcpy(relay.public_key, t.relay.keys.public_key, KEY_BYTES);
    t.uplink = uplink_new(&t.agent, &relay);
    run_until("CP");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    uplink_free(t.uplink);
    for (unsigned i = 0; i < t.guests; i++)
        if (!t.guest[i].ended)
            hop_driver_close(&t.guest[i].driver);
    io_remove(&t.door);
    close(t.door.fd);
    loop_free(t.loop);
    return 0;
}

/* Neither kind of hop is missing at any time. */
static void test_replaced_beside(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    assert_string_equal(t.story, "CP");
    pass(120);
    run_until("CPPpCc");
    pass(HOP_MAX_AGE_S - 120);
    assert_string_equal(t.story, "CPPpCc");
    pass(240);
    run_until("CPPpCcPpCc");
}

/* The next one cannot be had for a while: those there are stay meanwhile. */
static void test_old_ones_stay_when_the_next_fails(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    t.deaf = 4;
    pass(180);
    run_until("CPPpCc");
    assert_int_equal(t.deaf, 0);
}

/* The control hop is lost while it is about to be replaced: the next one is young, and stays. */
static void test_lost_while_replaced(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    t.deaf = 1000;
    pass(60);
    assert_string_equal(t.story, "CP");
    assert_true(t.deaf < 1000);
    hop_fail(&t.guest[0].driver.hop, CODE_NETWORK, "lost");
    hop_driver_update(&t.guest[0].driver);
    run_until("CPc");
    t.deaf = 0;
    pass(120);
    run_until("CPcCPp");
    pass(HOP_MAX_AGE_S - 300);
    assert_string_equal(t.story, "CPcCPp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replaced_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_ones_stay_when_the_next_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_while_replaced, set_up, tear_down),
    };
    log_setup("agent", LOG_ERROR, false);
    alarm(60);
    return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
