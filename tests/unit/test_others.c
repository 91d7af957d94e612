/* The other relays, asked about an agent that is waited for: once, whatever the relay says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/others.h"
#include "hop_pair.h"

static void never(void *arg, size_t relay)
{
    (void)arg, (void)relay;
    fail();
}

/* A relay may end its list as often as it likes. */
static void they_are_asked_once(void **state)
{
    struct client_relay relays[2] = {
        [0].address = {"127.0.0.1", 9},
        [1].address = {"127.0.0.1", 9},
    };
    struct client_config config = {.relays = relays, .relay_count = 2};
    struct others o = {.config = &config, .agent = "boston", .found = never};
    struct party party;
    const struct survey *first;
    (void)state;
    party_make(&party, 1, "test", "");
    memcpy(relays[1].public_key, party.keys.public_key, KEY_BYTES);
    o.party = &party.party;
    o.loop = loop_new();
    assert_non_null(o.loop);
    others_ask(&o, 0);
    first = o.survey;
    assert_non_null(first);
    others_ask(&o, 0);
    assert_ptr_equal(o.survey, first);
    others_leave(&o);
    assert_null(o.survey);
    others_leave(&o);
    loop_free(o.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_are_asked_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
