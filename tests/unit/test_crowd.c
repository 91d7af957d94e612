/* Connections that have proven nothing: who goes when there are too many, and failures counted by
 * source. */
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

static void test_failures(void **state)
{
    struct fixture *f = *state;
    struct crowd *c = &f->crowd;
    assert_true(crowd_allows(c, source(1), 10 * S));
    for (int i = 0; i < HANDSHAKES_FAILED_PER_S; i++) {
        assert_true(crowd_allows(c, source(1), 10 * S));
        struct crowd_member *m = enter(f, 1);
        crowd_advance(c, m);
        crowd_count_failure(m, 10 * S);
        crowd_leave(c, m);
    }
    assert_false(crowd_allows(c, source(1), 11 * S - 1));
    assert_true(crowd_allows(c, source(2), 11 * S - 1));
    assert_true(crowd_allows(c, source(1), 11 * S));
    struct crowd_member *m = enter(f, 1);
    crowd_count_failure(m, 11 * S);
    assert_true(crowd_allows(c, source(1), 11 * S)); /* counted anew */
}

static void test_forgets_sources(void **state)
{
    struct fixture *f = *state;
    struct crowd *c = &f->crowd;
    crowd_leave(c, enter(f, 1));
    assert_int_equal(c->sources.count, 0);
    struct crowd_member *m = enter(f, 2);
    crowd_count_failure(m, 10 * S);
    crowd_leave(c, m);
    assert_int_equal(c->sources.count, 1);
    crowd_sweep(c, 11 * S - 1);
    assert_int_equal(c->sources.count, 1);
    enter(f, 3);
    crowd_sweep(c, 11 * S);
    assert_int_equal(c->sources.count, 1); /* the one with a member */
    crowd_leave(c, &f->members[f->count - 1]);
    assert_int_equal(c->sources.count, 0);
    crowd_leave(c, m); /* harmless */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_limit_of_a_source), TEST(test_oldest_of_the_source_with_the_most),
        TEST(test_limit_in_all),      TEST(test_handshakes_are_counted_apart),
        TEST(test_retreat),           TEST(test_retreat_alone),
        TEST(test_failures),          TEST(test_forgets_sources),
    };
    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
