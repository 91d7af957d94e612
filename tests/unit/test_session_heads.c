/* HEAD: a head of the sender's audit, as a frame of a session (docs/PROTOCOL.md section 5.11). */
#include "session_pair.h"

#include <string.h>

static void tell(struct session *s, const char *head)
{
    session_tell_head(s, view_of_string(head));
}

static void assert_heard(const struct side *side, unsigned count, const char *head)
{
    assert_int_equal(side->heads, count);
    assert_int_equal(side->head_len, strlen(head));
    assert_memory_equal(side->head, head, side->head_len);
}

/* Both ways; of several that wait the last. */
static void each_side_is_told(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    tell(p->side[CLIENT].s, "before the first circuit");
    pair_connect(p);
    pair_run(p);
    assert_heard(&p->side[AGENT], 1, "before the first circuit");
    tell(p->side[AGENT].s, "one");
    tell(p->side[AGENT].s, "two");
    pair_run(p);
    assert_heard(&p->side[CLIENT], 1, "two");
    tell(p->side[AGENT].s, "");
    session_tell_head(p->side[AGENT].s, view_of(p, HEAD_MAX_BYTES + 1));
    pair_run(p);
    assert_int_equal(p->side[CLIENT].heads, 1);
    pair_free(p);
}

/* It takes no place in the ring, and is lost with its circuit. */
static void it_is_not_sequenced(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    uint64_t position;
    (void)state;
    pair_connect(p);
    pair_run(p);
    position = p->side[CLIENT].s->ring.head;
    tell(p->side[CLIENT].s, "lost");
    assert_true(conn_flush(p->conn, CLIENT));
    assert_int_equal(p->side[CLIENT].s->ring.head, position);
    conn_drop(p->conn);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[AGENT].heads, 0);
    tell(p->side[CLIENT].s, "told");
    pair_run(p);
    assert_heard(&p->side[AGENT], 1, "told");
    pair_free(p);
}

/* One that is owed goes before CLOSE; nothing is told after it. */
static void it_ends_with_the_session(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    tell(p->side[AGENT].s, "last");
    session_close(p->side[AGENT].s, CODE_DENIED, "over");
    tell(p->side[AGENT].s, "too late");
    pair_run(p);
    assert_heard(&p->side[CLIENT], 1, "last");
    assert_int_equal(session_error(p->side[CLIENT].s)->code, CODE_DENIED);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_side_is_told),
        cmocka_unit_test(it_is_not_sequenced),
        cmocka_unit_test(it_ends_with_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
