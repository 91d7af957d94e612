/* The ends that a new configuration brings at a relay: every hop and every CONNECT of who is not in
 * it any more, in whatever state they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "hop/driver.h"
#include "hop_pair.h"
#include "net/tcp_carrier.h"
#include "relay/authorities.h"
#include "relay/desk.h"
#include "relay/listing.h"
#include "relay/newcomer.h"
#include "relay/peer.h"
#include "relay/pending.h"
#include "relay/reload.h"

#define ROUNDS_MOST 200
#define GUESTS 8

static const uint8_t hash_key[16] = "a key of sixteen";

/* The other end of a hop of the relay. */
struct guest {
    struct hop_driver driver;
    bool ended;
    enum code code;   /* of its end */
    unsigned refused; /* code of REFUSED */
    bool offered;
};

struct fixture {
    struct relay relay;
    struct party own, alice, storage, other;
    struct relay_user user;
    struct relay_agent agents[2];
    struct relay_config config;
    struct guest guest[GUESTS];
    unsigned guests;
    struct deferred look;
    bool (*until)(const struct fixture *f);
    unsigned rounds;
};

static struct guest *guest_of(struct hop *h)
{
    return container_of(hop_driver_of(h), struct guest, driver);
}

static void on_open(struct hop *h, const struct info *info)
{
    (void)h, (void)info;
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct guest *g = guest_of(h);
    struct refusal m;
    if (type == MESSAGE_REFUSED && refused_decode(&m, body))
        g->refused = m.code;
    g->offered |= type == MESSAGE_OFFER;
    return true;
}

static const struct hop_handler guest_handler = {.on_open = on_open, .on_message = on_message};

static void on_ended(struct hop_driver *d)
{
    struct guest *g = container_of(d, struct guest, driver);
    g->ended = true;
    g->code = hop_error(&d->hop)->code;
    hop_driver_close(d);
}

/* A hop of this role to the relay, on its way. */
static struct guest *come(struct fixture *f, struct party *who, enum role role)
{
    int fd[2];
    struct guest *g = &f->guest[f->guests++];
    struct address address;
    assert_true(address_from_literal(&address, "192.0.2.1", 7));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    newcomer_take(&f->relay, tcp_carrier_new(fd[0]), &address);
    g->driver.on_ended = on_ended;
    assert_true(hop_start(&g->driver.hop, &who->party, &guest_handler, role, f->own.keys.public_key,
                          NULL, loop_now(f->relay.loop)));
    assert_true(hop_driver_open(&g->driver, f->relay.loop, tcp_carrier_new(fd[1])));
    return g;
}

static void on_round(struct deferred *d)
{
    struct fixture *f = container_of(d, struct fixture, look);
    assert_true(f->rounds++ < ROUNDS_MOST);
    if (f->until(f))
        loop_stop(f->relay.loop);
    else
        loop_defer(f->relay.loop, d);
}

/* Runs the loop until the end of the round after which something holds. */
static void run_until(struct fixture *f, bool (*holds)(const struct fixture *f))
{
    f->rounds = 0;
    f->until = holds;
    f->look.run = on_round;
    loop_defer(f->relay.loop, &f->look);
    loop_run(f->relay.loop);
}

static struct peer *newest(const struct fixture *f)
{
    return container_of(f->relay.peers.prev, struct peer, all);
}

static bool newest_is_open(const struct fixture *f)
{
    return newest(f)->driver.hop.state == HOP_OPEN;
}

static bool newest_waits_for_info(const struct fixture *f)
{
    return newest(f)->driver.hop.state == HOP_WAIT_FIRST;
}

static bool newest_failed(const struct fixture *f)
{
    return newest(f)->driver.hop.state == HOP_ENDED;
}

static bool guests_know(const struct fixture *f)
{
    for (unsigned i = 0; i < f->guests; i++)
        if (!f->guest[i].ended)
            return false;
    return true;
}

static bool connects(const struct fixture *f)
{
    return !list_empty(&f->relay.pendings);
}

static bool first_is_offered(const struct fixture *f)
{
    return f->guest[0].offered;
}

static bool all_open(const struct fixture *f)
{
    for (unsigned i = 0; i < f->guests; i++)
        if (f->guest[i].driver.hop.state != HOP_OPEN)
            return false;
    return newest_is_open(f);
}

static struct guest *open_hop(struct fixture *f, struct party *who, enum role role)
{
    struct guest *g = come(f, who, role);
    run_until(f, all_open);
    return g;
}

static void ask(struct guest *client, const char *agent)
{
    uint8_t body[256];
    struct connect m = {view_of_string(agent), view_of_string("session message 1")};
    size_t len = connect_encode(&m, body, sizeof body);
    assert_true(hop_send(&client->driver.hop, MESSAGE_CONNECT, view_of(body, len)));
    hop_driver_update(&client->driver);
}

static void reload(struct fixture *f, size_t users, size_t agents)
{
    f->config.user_count = users;
    f->config.agent_count = agents;
    reload_apply(&f->relay, &f->config);
}

static int setup(void **state)
{
    static char everything[1][NAME_TEXT_BYTES] = {"*"};
    struct fixture *f = calloc(1, sizeof *f);
    struct relay *r = &f->relay;
    assert_non_null(f);
    log_setup("relay", LOG_DEBUG, false);
    party_make(&f->own, 1, "0", "");
    party_make(&f->alice, 2, "0", "");
    party_make(&f->storage, 3, "0", "");
    party_make(&f->other, 4, "0", "");
    f->user = (struct relay_user){.name = "alice", .agents = everything, .agent_count = 1};
    memcpy(f->user.public_key, f->alice.keys.public_key, KEY_BYTES);
    snprintf(f->agents[0].name, sizeof f->agents[0].name, "other");
    memcpy(f->agents[0].public_key, f->other.keys.public_key, KEY_BYTES);
    snprintf(f->agents[1].name, sizeof f->agents[1].name, "storage");
    memcpy(f->agents[1].public_key, f->storage.keys.public_key, KEY_BYTES);
    f->config.users = &f->user;
    f->config.agents = f->agents;
    r->key = f->own.keys;
    r->party = f->own.party;
    r->loop = loop_new();
    r->known = known_keys_new();
    r->seen = seen_new();
    r->authorities = authorities_new();
    assert_true(r->loop && r->known && r->seen && r->authorities && listing_start(r));
    r->worker_count = 1;
    list_init(&r->hellos);
    list_init(&r->peers);
    list_init(&r->pendings);
    list_init(&r->junctions);
    crowd_init(&r->crowd, hash_key);
    log_rates_init(&r->log, hash_key);
    struct presence_watch *watch = r->directory.watch;
    directory_init(&r->directory, hash_key);
    r->directory.watch = watch;
    reload(f, 1, 2);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct relay *r = &f->relay;
    reload(f, 0, 0);
    run_until(f, guests_know);
    while (!list_empty(&r->peers))
        peer_bye(newest(f), CODE_SHUTDOWN, "the test is over", 0);
    listing_stop(r);
    loop_free(r->loop);
    crowd_free(&r->crowd);
    directory_free(&r->directory);
    listing_free(r);
    log_rates_free(&r->log);
    seen_free(r->seen);
    known_keys_free(r->known);
    authorities_free(r->authorities);
    free(f);
    return 0;
}

/* A circuit hop that is neither parked nor offered: it came too late, has failed, and is not freed
 * yet when its agent is. */
static void test_hop_that_has_failed(void **state)
{
    struct fixture *f = *state;
    come(f, &f->storage, ROLE_AGENT_CIRCUIT);
    newest(f)->offer = 99; /* as if it had a ticket, whose CONNECT has ended */
    run_until(f, newest_failed);
    reload(f, 1, 1);
    assert_true(list_empty(&f->relay.peers));
    run_until(f, guests_know);
    assert_int_equal(f->guest[0].code, CODE_TICKET);
}

static void test_hops_of_an_agent(void **state)
{
    struct fixture *f = *state;
    open_hop(f, &f->storage, ROLE_AGENT_CIRCUIT);
    open_hop(f, &f->storage, ROLE_AGENT_CIRCUIT);
    open_hop(f, &f->storage, ROLE_AGENT);
    reload(f, 1, 1);
    assert_true(list_empty(&f->relay.peers));
    run_until(f, guests_know);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f->guest[i].code, CODE_REVOKED);
}

static void test_connect_to_an_agent(void **state)
{
    struct fixture *f = *state;
    struct guest *parked = open_hop(f, &f->storage, ROLE_AGENT_CIRCUIT);
    struct guest *client = open_hop(f, &f->alice, ROLE_CLIENT);
    ask(client, "storage");
    run_until(f, first_is_offered);
    reload(f, 1, 1);
    assert_true(list_empty(&f->relay.pendings));
    assert_ptr_equal(newest(f)->user,
                     directory_user_by_key(&f->relay.directory, f->alice.keys.public_key));
    assert_ptr_equal(f->relay.peers.next, &newest(f)->all); /* no other hop is left */
    assert_false(newest(f)->driver.hop.quiet);
    reload(f, 0, 1);
    run_until(f, guests_know);
    assert_int_equal(client->refused, CODE_REVOKED);
    assert_int_equal(client->code, CODE_REVOKED);
    assert_true(parked->ended);
}

static void test_user_who_waits(void **state)
{
    struct fixture *f = *state;
    struct guest *client = open_hop(f, &f->alice, ROLE_CLIENT);
    ask(client, "other");
    run_until(f, connects);
    reload(f, 0, 2);
    assert_true(list_empty(&f->relay.pendings));
    assert_true(list_empty(&f->relay.peers));
    run_until(f, guests_know);
    assert_int_equal(client->refused, CODE_REVOKED);
    assert_int_equal(client->code, CODE_REVOKED);
}

/* Between its HELLO and its INFO a hop is nobody's: it is looked up again. */
static void test_handshake_under_way(void **state)
{
    static const enum role roles[] = {ROLE_CLIENT, ROLE_AGENT, ROLE_AGENT_CIRCUIT};
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3; i++) {
        struct party *who = roles[i] == ROLE_CLIENT ? &f->alice : &f->storage;
        reload(f, 1, 2);
        struct guest *g = come(f, who, roles[i]);
        run_until(f, newest_waits_for_info);
        reload(f, 0, 0);
        run_until(f, guests_know);
        assert_int_equal(g->code, CODE_REVOKED);
    }
}

static void test_who_stays(void **state)
{
    struct fixture *f = *state;
    open_hop(f, &f->storage, ROLE_AGENT);
    struct guest *client = open_hop(f, &f->alice, ROLE_CLIENT);
    ask(client, "other");
    run_until(f, connects);
    reload(f, 1, 2);
    assert_false(list_empty(&f->relay.pendings));
    assert_int_equal(f->guest[0].driver.hop.state, HOP_OPEN);
    assert_int_equal(client->driver.hop.state, HOP_OPEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hop_that_has_failed), TEST(test_hops_of_an_agent),
        TEST(test_connect_to_an_agent), TEST(test_user_who_waits),
        TEST(test_handshake_under_way), TEST(test_who_stays),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
