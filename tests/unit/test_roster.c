/* The lists of several relays, merged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "client/roster.h"

#define S CLOCK_US_PER_S
#define NOW (1000 * S)

static int setup(void **state)
{
    static struct roster roster;
    roster = (struct roster){0};
    *state = &roster;
    return 0;
}

static int teardown(void **state)
{
    struct roster *r = *state;
    roster_free(r);
    assert_int_equal(r->count + r->bytes, 0);
    return 0;
}

static struct sighting *put(struct roster *r, size_t relay, const char *name, unsigned agent_state,
                            uint32_t age_s)
{
    struct agent_entry entry = {
        .name = view_of_string(name), .state = (uint8_t)agent_state, .age_s = age_s};
    struct sighting *s = roster_put(r, relay, &entry, NOW);
    assert_non_null(s);
    return s;
}

/* The relay says that the agent calls for help, with one call of each severity. */
static void put_calls(struct roster *r, size_t relay, const char *name, unsigned agent_state,
                      const char *severities)
{
    uint8_t bytes[TOLD_CALLS_BYTES];
    struct told_calls calls = {0};
    struct agent_entry entry = {.name = view_of_string(name), .state = (uint8_t)agent_state};
    for (const char *at = severities; *at != '\0'; at++) {
        uint8_t severity = (uint8_t)(*at - '0');
        entry.severity = severity > entry.severity ? severity : entry.severity;
        calls.all[calls.count++] = (struct told_call){
            .number = severity, .severity = severity, .age_s = 5, .text = view_of_string("fan")};
    }
    entry.calls = view_of(bytes, told_calls_encode(&calls, bytes, sizeof bytes));
    assert_non_null(roster_put(r, relay, &entry, NOW));
}

static void assert_place(const struct roster *r, size_t at, const char *name, size_t relay)
{
    assert_true(at < r->count);
    assert_string_equal(r->all[at]->name, name);
    assert_int_equal(r->all[at]->relay, relay);
}

/* ---- Order. ---- */

static void test_order(void **state)
{
    struct roster *r = *state;
    put(r, 0, "lab-2", AGENT_ONLINE, 0);
    put(r, 1, "lab-10", AGENT_ONLINE, 0);
    put(r, 2, "lab-2", AGENT_ONLINE, 0);
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    struct sighting *first = put(r, 1, "lab-2", AGENT_ONLINE, 0);
    assert_int_equal(r->count, 5);
    assert_place(r, 0, "lab-1", 0);
    assert_place(r, 1, "lab-10", 1);
    for (size_t relay = 0; relay < 3; relay++)
        assert_place(r, 2 + relay, "lab-2", relay);
    assert_ptr_equal(first, r->all[2]); /* where the agent begins */
    assert_int_equal(roster_find(r, "lab-2"), 2);
    assert_int_equal(roster_find(r, "lab-11"), 2);
    assert_int_equal(roster_find(r, "lab-3"), 5);
    assert_int_equal(roster_agent_span(r, 0), 1);
    assert_int_equal(roster_agent_span(r, 2), 3);
}

/* The last word of a relay counts; what the caller has said of the agent stays noted. */
static void test_said_again(void **state)
{
    struct roster *r = *state;
    put(r, 0, "lab-1", AGENT_OFFLINE, 0)->told = 7;
    size_t bytes = r->bytes;
    roster_lose(r, 0);
    struct sighting *s = put(r, 0, "lab-1", AGENT_ONLINE, 10);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->bytes, bytes);
    assert_int_equal(s->state, AGENT_ONLINE);
    assert_int_equal(s->since_us, NOW - 10 * S);
    assert_int_equal(s->told, 7);
    assert_false(s->lost);
    assert_int_equal(put(r, 0, "lab-1", AGENT_ONLINE, 2000)->since_us, 0); /* before the clock */
}

static void test_texts_are_clean(void **state)
{
    struct roster *r = *state;
    struct agent_entry entry = {.name = view_of_string("a\x1b[2J"),
                                .labels = view_of_string("site=\x1b[2J rack=7")};
    memset(entry.public_key, 9, KEY_BYTES);
    const struct sighting *s = roster_put(r, 0, &entry, NOW);
    assert_string_equal(s->name, "a?[2J");
    assert_string_equal(s->labels, "site=?[2J rack=7");
    assert_memory_equal(s->public_key, entry.public_key, KEY_BYTES);
}

static void test_is_bounded(void **state)
{
    struct roster *r = *state;
    struct agent_entry entry = {.name = view_of_string("lab-2")};
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    size_t bytes = r->bytes;
    r->bytes = ROSTER_BYTES_MAX - bytes + 1; /* as if there were more */
    assert_null(roster_put(r, 0, &entry, NOW));
    assert_int_equal(r->count, 1);
    r->bytes--;
    assert_non_null(roster_put(r, 0, &entry, NOW));
    r->bytes = 2 * bytes;
}

/* ---- What follows from all that is said. ---- */

/* Says of one agent what two relays do, in both orders. */
static struct sighting merge(struct roster *r, unsigned state, uint32_t age_s, unsigned other,
                             uint32_t other_age_s)
{
    struct sighting first, second;
    put(r, 0, "lab-1", state, age_s);
    put(r, 1, "lab-1", other, other_age_s);
    first = roster_merge(r, 0);
    put(r, 0, "lab-1", other, other_age_s);
    put(r, 1, "lab-1", state, age_s);
    second = roster_merge(r, 0);
    assert_int_equal(first.state, second.state);
    assert_int_equal(first.since_us, second.since_us);
    return first;
}

static void test_states_merge(void **state)
{
    static const unsigned worse_to_better[] = {AGENT_UNLISTED, 99,           AGENT_OFFLINE,
                                               AGENT_DIALLED,  AGENT_ONLINE, AGENT_DUPLICATE};
    struct roster *r = *state;
    for (size_t i = 1; i < 6; i++)
        assert_int_equal(merge(r, worse_to_better[i - 1], 5, worse_to_better[i], 5).state,
                         worse_to_better[i]);
}

/* It is offline since it was last seen anywhere, and online since it was first there. */
static void test_ages_merge(void **state)
{
    struct roster *r = *state;
    assert_int_equal(merge(r, AGENT_OFFLINE, 5, AGENT_OFFLINE, 50).since_us, NOW - 5 * S);
    assert_int_equal(merge(r, AGENT_ONLINE, 5, AGENT_ONLINE, 50).since_us, NOW - 50 * S);
    assert_int_equal(merge(r, AGENT_ONLINE, 5, AGENT_OFFLINE, 50).since_us, NOW - 5 * S);
}

static void test_told_by_any(void **state)
{
    struct roster *r = *state;
    put(r, 1, "lab-1", AGENT_ONLINE, 0)->told = 3;
    put(r, 0, "lab-1", AGENT_OFFLINE, 0);
    assert_int_equal(roster_merge(r, 0).told, 3);
}

/* ---- Calls. ---- */

static void assert_calls(const struct roster *r, const char *severities)
{
    struct told_calls calls;
    struct sighting s = roster_merge(r, 0);
    sighting_calls(&s, &calls, NOW);
    assert_int_equal(calls.count, strlen(severities));
    for (size_t i = 0; i < calls.count; i++)
        assert_int_equal(calls.all[i].severity, severities[i] - '0');
}

/* A call that two relays know is one; of those the agent is not at the one with the gravest call
 * is asked; where it is online is known best. */
static void test_calls_merge(void **state)
{
    struct roster *r = *state;
    put_calls(r, 0, "lab-1", AGENT_ONLINE, "32");
    assert_calls(r, "32");
    put_calls(r, 1, "lab-1", AGENT_ONLINE, "32");
    assert_calls(r, "32");
    put_calls(r, 1, "lab-1", AGENT_OFFLINE, "5"); /* it has ended since */
    assert_calls(r, "32");
    put_calls(r, 0, "lab-1", AGENT_OFFLINE, "32");
    assert_calls(r, "5");
    put_calls(r, 1, "lab-1", AGENT_OFFLINE, "2");
    assert_calls(r, "32");
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    assert_calls(r, "");
}

static void test_calls_of_a_lost_relay(void **state)
{
    struct roster *r = *state;
    put_calls(r, 0, "lab-1", AGENT_OFFLINE, "2");
    put_calls(r, 1, "lab-1", AGENT_OFFLINE, "5");
    roster_lose(r, 1);
    assert_calls(r, "2");
    roster_lose(r, 0);
    roster_lose(r, 1);
    assert_int_equal(roster_merge(r, 0).lost, true);
    assert_calls(r, "2"); /* no other says anything */
}

static void test_ages_of_calls(void **state)
{
    struct roster *r = *state;
    struct told_calls calls;
    put_calls(r, 0, "lab-1", AGENT_ONLINE, "2");
    sighting_calls(r->all[0], &calls, NOW + 7 * S);
    assert_int_equal(calls.all[0].age_s, 5 + 7);
    sighting_calls(r->all[0], &calls, NOW + (uint64_t)UINT32_MAX * S);
    assert_int_equal(calls.all[0].age_s, UINT32_MAX);
}

/* They count from when the relay told the call, not from what another has said since. */
static void test_ages_of_merged_calls(void **state)
{
    struct roster *r = *state;
    struct told_calls calls;
    struct agent_entry entry = {.name = view_of_string("lab-1"), .state = AGENT_OFFLINE};
    put_calls(r, 0, "lab-1", AGENT_OFFLINE, "2");
    roster_put(r, 1, &entry, NOW + 3 * S);
    struct sighting s = roster_merge(r, 0);
    assert_int_equal(s.relay, 1);
    sighting_calls(&s, &calls, NOW + 7 * S);
    assert_int_equal(calls.all[0].age_s, 5 + 7);
}

/* A relay of the release before tells one call, without its number. */
static void test_call_of_an_old_relay(void **state)
{
    struct roster *r = *state;
    struct told_calls calls;
    struct agent_entry entry = {
        .name = view_of_string("lab-1"), .severity = 4, .call_text = view_of_string("a disk")};
    roster_put(r, 0, &entry, NOW);
    sighting_calls(r->all[0], &calls, NOW);
    assert_int_equal(calls.count, 1);
    assert_int_equal(calls.all[0].number, 0);
    assert_int_equal(calls.all[0].severity, 4);
    assert_true(view_equal(calls.all[0].text, entry.call_text));
}

/* ---- Relays that are lost, and come back. ---- */

static void test_lost(void **state)
{
    struct roster *r = *state;
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    put(r, 1, "lab-1", AGENT_OFFLINE, 0);
    put(r, 0, "lab-2", AGENT_ONLINE, 0);
    assert_int_equal(roster_merge(r, 0).state, AGENT_ONLINE);
    roster_lose(r, 0);
    assert_int_equal(r->count, 3);
    assert_int_equal(roster_merge(r, 0).state, AGENT_OFFLINE);
    assert_int_equal(roster_merge(r, 2).state, AGENT_ONLINE); /* nobody else knows it */
    put(r, 0, "lab-1", AGENT_DUPLICATE, 0);
    assert_int_equal(roster_merge(r, 0).state, AGENT_DUPLICATE);
}

/* An agent that the relay has not told again is unlisted there, and the next time it is gone; of
 * other relays nothing is, lost or not. */
static void test_renewed(void **state)
{
    struct roster *r = *state;
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    put(r, 0, "lab-2", AGENT_ONLINE, 0);
    size_t bytes_of_two = r->bytes;
    put(r, 0, "lab-3", AGENT_ONLINE, 0);
    put(r, 1, "lab-3", AGENT_ONLINE, 0);
    put(r, 2, "lab-3", AGENT_ONLINE, 0);
    put(r, 0, "lab-4", AGENT_ONLINE, 0);
    roster_lose(r, 0);
    roster_lose(r, 1);
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    put_calls(r, 0, "lab-2", AGENT_ONLINE, "3");
    roster_lose(r, 0);
    put(r, 0, "lab-1", AGENT_ONLINE, 0);
    roster_renew(r, 0, NOW + S);
    assert_int_equal(r->count, 6);
    struct sighting gone = roster_merge(r, 1), elsewhere = roster_merge(r, 2);
    assert_int_equal(gone.state, AGENT_UNLISTED);
    assert_int_equal(gone.since_us, NOW + S);
    assert_int_equal(gone.severity, 0);
    assert_null(gone.calls);
    assert_int_equal(elsewhere.state, AGENT_ONLINE);
    assert_int_equal(elsewhere.relay, 2);
    roster_renew(r, 0, NOW + 2 * S);
    assert_int_equal(r->count, 3);
    assert_place(r, 0, "lab-1", 0);
    assert_place(r, 1, "lab-3", 1);
    assert_place(r, 2, "lab-3", 2);
    assert_int_equal(2 * r->bytes, 3 * bytes_of_two);
    roster_renew(r, 2, NOW + 2 * S);
    assert_int_equal(r->count, 3);
    assert_true(roster_knows(r, 2, view_of_string("lab-3")));
    assert_false(roster_knows(r, 0, view_of_string("lab-3")));
    assert_false(roster_knows(r, 2, view_of_string("lab-4")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_said_again),
        TEST(test_texts_are_clean),
        TEST(test_is_bounded),
        TEST(test_states_merge),
        TEST(test_ages_merge),
        TEST(test_told_by_any),
        TEST(test_calls_merge),
        TEST(test_calls_of_a_lost_relay),
        TEST(test_ages_of_calls),
        TEST(test_ages_of_merged_calls),
        TEST(test_call_of_an_old_relay),
        TEST(test_lost),
        TEST(test_renewed),
    };
    return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
