/* Connections that have proven nothing: who goes when there are too many, and who pays for
 * arithmetic in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "hop/crowd.h"
#include "hop/seen.h"

#define S CLOCK_US_PER_S

static const uint8_t hash_key[16] = {7};

struct fixture {
    struct crowd crowd;
    struct crowd_member members[SILENT_CONNECTIONS + 1];
    unsigned count;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    crowd_init(&f->crowd, hash_key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < f->count; i++)
        crowd_leave(&f->crowd, &f->members[i]);
    crowd_free(&f->crowd);
    free(f);
    return 0;
}

static const uint8_t *source(unsigned number)
{
    static uint8_t key[SOURCE_BYTES];
    key[0] = 4;
    store_be32(key + 1, number);
    return key;
}

static struct crowd_member *enter(struct fixture *f, unsigned number)
{
    struct crowd_member *m = &f->members[f->count++];
    assert_true(crowd_enter(&f->crowd, m, source(number)));
    return m;
}

static struct crowd_member *in_the_way(struct fixture *f, enum crowd_phase phase, unsigned number)
{
    return crowd_in_the_way(&f->crowd, phase, source(number));
}

static void test_limit_of_a_source(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *first = NULL;
    for (int i = 0; i < SILENT_PER_SOURCE; i++) {
        assert_null(in_the_way(f, CROWD_SILENT, 1));
        struct crowd_member *m = enter(f, 1);
        first = first ? first : m;
    }
    assert_ptr_equal(in_the_way(f, CROWD_SILENT, 1), first);
    assert_null(in_the_way(f, CROWD_SILENT, 2));
    crowd_leave(&f->crowd, first);
    assert_null(in_the_way(f, CROWD_SILENT, 1));
    enter(f, 1);
    assert_ptr_equal(in_the_way(f, CROWD_SILENT, 1), first + 1);
}

static void test_oldest_of_the_source_with_the_most(void **state)
{
    struct fixture *f = *state;
    assert_null(crowd_oldest(&f->crowd, CROWD_SILENT));
    struct crowd_member *single = enter(f, 1);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), single);
    struct crowd_member *two = enter(f, 2);
    enter(f, 2);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), two);
    crowd_leave(&f->crowd, two);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), single);
}

static void test_limit_in_all(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *most = enter(f, 9);
    enter(f, 9);
    for (unsigned i = 0; f->count < SILENT_CONNECTIONS; i++) {
        assert_null(in_the_way(f, CROWD_SILENT, 100 + i));
        enter(f, 100 + i);
    }
    assert_ptr_equal(in_the_way(f, CROWD_SILENT, 5), most);
    assert_ptr_equal(in_the_way(f, CROWD_SILENT, 100), most);
    crowd_leave(&f->crowd, most);
    assert_null(in_the_way(f, CROWD_SILENT, 5));
}

static void test_handshakes_are_counted_apart(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *first = enter(f, 1);
    crowd_advance(&f->crowd, first);
    assert_int_equal(f->crowd.count[CROWD_SILENT], 0);
    assert_int_equal(f->crowd.count[CROWD_HANDSHAKE], 1);
    assert_null(crowd_oldest(&f->crowd, CROWD_SILENT));
    for (int i = 1; i < HANDSHAKES_PER_SOURCE; i++) {
        assert_null(in_the_way(f, CROWD_HANDSHAKE, 1));
        crowd_advance(&f->crowd, enter(f, 1));
    }
    assert_ptr_equal(in_the_way(f, CROWD_HANDSHAKE, 1), first);
    assert_null(in_the_way(f, CROWD_SILENT, 1));
    assert_memory_equal(crowd_source(first), source(1), SOURCE_BYTES);
    for (unsigned i = 0; f->crowd.count[CROWD_HANDSHAKE] < HANDSHAKES; i++) {
        assert_null(in_the_way(f, CROWD_HANDSHAKE, 2 + i));
        crowd_advance(&f->crowd, enter(f, 2 + i));
    }
    assert_ptr_equal(in_the_way(f, CROWD_HANDSHAKE, 5000), first);
}

/* One that has retreated frees its place among the handshakes and goes before the others of its
 * source, older ones too. */
static void test_retreat(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *older = enter(f, 1), *failed = enter(f, 1), *other = enter(f, 2);
    enter(f, 2);
    crowd_advance(&f->crowd, failed);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), other);
    crowd_retreat(&f->crowd, failed);
    assert_int_equal(f->crowd.count[CROWD_HANDSHAKE], 0);
    assert_int_equal(f->crowd.count[CROWD_SILENT], 4);
    assert_null(crowd_oldest(&f->crowd, CROWD_HANDSHAKE));
    crowd_leave(&f->crowd, other);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), failed);
    crowd_leave(&f->crowd, failed);
    enter(f, 1);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), older);
}

/* Also where it is the only one of its source. */
static void test_retreat_alone(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *failed = enter(f, 1);
    crowd_advance(&f->crowd, failed);
    crowd_retreat(&f->crowd, failed);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), failed);
    enter(f, 1);
    assert_ptr_equal(crowd_oldest(&f->crowd, CROWD_SILENT), failed);
    crowd_leave(&f->crowd, failed);
    assert_int_equal(f->crowd.count[CROWD_SILENT], 1);
}

static enum crowd_budget budget(struct fixture *f, const struct crowd_member *m, uint64_t now_us)
{
    return crowd_budget(&f->crowd, m, now_us);
}

/* Spends until the source, or all, have nothing left; returns how much that was. */
static unsigned spend_all(struct fixture *f, unsigned number, const struct crowd_member *m,
                          uint64_t now_us)
{
    unsigned n = 0;
    for (; n < 100000 && budget(f, m, now_us) != CROWD_NOTHING; n++)
        crowd_spend(&f->crowd, source(number), 1, false, now_us);
    return n;
}

/* Work in vain is charged to the source that caused it, and nobody else; it is forgotten in the
 * end. */
static void test_budget_of_a_source(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *m = enter(f, 1), *other = enter(f, 2);
    assert_int_equal(budget(f, m, 10 * S), CROWD_ANY);
    assert_int_equal(spend_all(f, 1, m, 10 * S), 2 * SOURCE_MULTIPLICATIONS_PER_S);
    assert_int_equal(budget(f, other, 10 * S), CROWD_ANY);
    assert_int_equal(budget(f, m, 10 * S + S / 100), CROWD_ANY); /* 3 more */
    assert_in_range(spend_all(f, 1, m, 11 * S), SOURCE_MULTIPLICATIONS_PER_S,
                    SOURCE_MULTIPLICATIONS_PER_S + 1);
    crowd_spend(&f->crowd, source(1), 100000, false, 11 * S);
    assert_int_equal(budget(f, m, 15 * S + S / 10), CROWD_ANY); /* no debt is longer */
}

static void test_answers_to_strangers(void **state)
{
    struct fixture *f = *state;
    struct crowd_member *m = enter(f, 1), *other = enter(f, 2);
    unsigned answers = 0, cost = MULTIPLICATIONS_TO_ANSWER;
    for (; budget(f, m, 10 * S) == CROWD_ANY; answers++)
        crowd_spend(&f->crowd, source(1), cost, true, 10 * S);
    assert_int_equal(answers, 4 * SOURCE_ANSWERS_PER_S);
    assert_int_equal(budget(f, m, 10 * S), CROWD_KNOWN); /* who is known is answered */
    assert_int_equal(budget(f, other, 10 * S), CROWD_ANY);
    assert_int_equal(budget(f, m, 11 * S), CROWD_ANY);
    for (; budget(f, other, 11 * S) == CROWD_ANY; answers++)
        crowd_spend(&f->crowd, source(3 + answers), cost, true, 11 * S);
    assert_int_equal(budget(f, m, 11 * S), CROWD_KNOWN); /* in all */
    assert_in_range(answers, 2 * ANSWERS_PER_S, 4 * ANSWERS_PER_S);
}

/* A flood from everywhere leaves a reserve to a source that recently opened a hop. */
static void test_reserve(void **state)
{
    struct fixture *f = *state;
    struct crowd *c = &f->crowd;
    struct crowd_member *m = enter(f, 1);
    crowd_advance(c, m);
    assert_false(crowd_trusts(m, 10 * S));
    crowd_opened(c, m, 10 * S);
    assert_false(crowd_trusts(m, 10 * S)); /* a member no more */
    struct crowd_member *again = enter(f, 1), *stranger = enter(f, 2);
    assert_true(crowd_trusts(again, 10 * S));
    for (unsigned i = 0; budget(f, stranger, 10 * S) != CROWD_NOTHING; i++)
        crowd_spend(c, source(100 + i), 1, false, 10 * S);
    assert_int_equal(budget(f, again, 10 * S), CROWD_ANY);
    assert_int_equal(spend_all(f, 1, again, 10 * S), 2 * SOURCE_MULTIPLICATIONS_PER_S);
    assert_false(crowd_trusts(again, (10 + CROWD_TRUST_S) * S));
    uint8_t party[LOG_PARTY_BYTES], strangers[LOG_PARTY_BYTES] = {0};
    crowd_party(party, again, 10 * S);
    assert_memory_equal(party, source(1), SOURCE_BYTES);
    crowd_party(party, stranger, 10 * S);
    assert_memory_equal(party, strangers, sizeof strangers);
}

/* A known key's handshake is paid for by its source if it fails, and by nobody if it opens. */
static void test_failures(void **state)
{
    struct fixture *f = *state;
    struct crowd *c = &f->crowd;
    struct crowd_member *m = enter(f, 1);
    crowd_advance(c, m);
    m->owed = 3 * SOURCE_MULTIPLICATIONS_PER_S;
    crowd_failed(c, m, 10 * S);
    crowd_failed(c, m, 10 * S); /* once */
    assert_int_equal(budget(f, m, 10 * S + S / 2), CROWD_NOTHING);
    assert_int_equal(budget(f, m, 11 * S + S / 10), CROWD_ANY);
    crowd_leave(c, m);
    m = enter(f, 2);
    m->owed = 3 * SOURCE_MULTIPLICATIONS_PER_S;
    crowd_opened(c, m, 10 * S);
    assert_int_equal(budget(f, enter(f, 2), 10 * S), CROWD_ANY);
}

static void test_forgets_sources(void **state)
{
    struct fixture *f = *state;
    struct crowd *c = &f->crowd;
    crowd_leave(c, enter(f, 1));
    assert_int_equal(c->sources.count, 0);
    struct crowd_member *m = enter(f, 2);
    m->owed = SOURCE_MULTIPLICATIONS_PER_S;
    crowd_failed(c, m, 10 * S);
    crowd_leave(c, m);
    assert_int_equal(c->sources.count, 1);
    crowd_sweep(c, 11 * S - S / 10);
    assert_int_equal(c->sources.count, 1);
    enter(f, 3);
    crowd_sweep(c, 11 * S);
    assert_int_equal(c->sources.count, 1); /* the one with a member */
    crowd_opened(c, &f->members[f->count - 1], 11 * S);
    crowd_sweep(c, (10 + CROWD_TRUST_S) * S);
    assert_int_equal(c->sources.count, 1);
    crowd_sweep(c, (11 + CROWD_TRUST_S) * S);
    assert_int_equal(c->sources.count, 0);
    crowd_leave(c, m); /* harmless */
}

/* Who left before it was computed what its message cost pays all the same. */
static void test_spends_in_haste(void **state)
{
    struct fixture *f = *state;
    crowd_leave(&f->crowd, enter(f, 1));
    crowd_spend(&f->crowd, source(1), 3 * SOURCE_MULTIPLICATIONS_PER_S, false, 10 * S);
    assert_int_equal(budget(f, enter(f, 1), 10 * S), CROWD_NOTHING);
}

static void test_seen(void **state)
{
    (void)state;
    struct seen *s = seen_new();
    uint8_t key[KEY_BYTES] = {1}, other[KEY_BYTES] = {2};
    assert_non_null(s);
    assert_false(seen_before(s, key, 10 * S));
    assert_false(seen_before(s, other, 10 * S));
    assert_true(seen_before(s, key, 10 * S + HANDSHAKE_S * S - 1));
    assert_false(seen_before(s, other, 10 * S + HANDSHAKE_S * S));
    seen_free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_limit_of_a_source),
        TEST(test_oldest_of_the_source_with_the_most),
        TEST(test_limit_in_all),
        TEST(test_handshakes_are_counted_apart),
        TEST(test_retreat),
        TEST(test_retreat_alone),
        TEST(test_failures),
        TEST(test_forgets_sources),
        TEST(test_budget_of_a_source),
        TEST(test_answers_to_strangers),
        TEST(test_reserve),
        TEST(test_spends_in_haste),
        cmocka_unit_test(test_seen),
    };
    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
