/* ACCESS: how long the session may go on, as the agent tells its client (docs/PROTOCOL.md section
 * 5.10). */
#include "session_pair.h"

#include <string.h>

static void tell(struct session *s, enum access_state state, uint64_t until_s, const char *text)
{
    struct access_frame access = {
        .state = (uint8_t)state, .until_s = until_s, .text = view_of_string(text)};
    session_tell_access(s, &access);
}

static void assert_told(const struct side *client, unsigned count, enum access_state state,
                        uint64_t until_s, const char *text)
{
    assert_int_equal(client->accesses, count);
    assert_int_equal(client->access_state, state);
    assert_int_equal(client->access_until_s, until_s);
    assert_string_equal(client->access_text, text);
}

/* Each change is told; of those that had to wait only the last. */
static void the_client_is_told(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct session *agent = p->side[AGENT].s;
    (void)state;
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    tell(agent, ACCESS_GRANTED, 1796018066, "Mon, by Hours (Mon 08:00-18:00)");
    pair_run(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_GRANTED, 1796018066, "Mon, by Hours (Mon 08:00-18:00)");
    tell(agent, ACCESS_GRANTED, 5, "soon");
    tell(agent, ACCESS_ENDING, UINT64_MAX, "now");
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_ENDING, UINT64_MAX, "now");
    assert_int_equal(p->side[AGENT].accesses, 0);
    pair_free(p);
}

/* A circuit that is lost on the way takes nothing with it, and nothing is told twice. */
static void it_survives_a_resume(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    tell(p->side[AGENT].s, ACCESS_ENDING, 7, "seven");
    assert_true(conn_flush(p->conn, AGENT));
    conn_drop(p->conn);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    tell(p->side[AGENT].s, ACCESS_GRANTED, 8, "eight"); /* without a circuit */
    pair_connect(p);
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_GRANTED, 8, "eight");
    conn_drop(p->conn);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 2);
    pair_free(p);
}

/* Nothing comes behind CLOSE, and what was owed comes before it. */
static void it_ends_with_the_session(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    session_close(p->side[AGENT].s, CODE_DENIED, "over");
    tell(p->side[AGENT].s, ACCESS_GRANTED, 8, "eight");
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    assert_int_equal(session_error(p->side[CLIENT].s)->code, CODE_DENIED);
    assert_int_equal(session_error(p->side[AGENT].s)->code, CODE_DENIED);
    pair_free(p);
}

/* A client of a version before this frame would end the session. */
static void an_old_client_is_not_told(void **state)
{
    struct raw *r = raw_new(false, NULL);
    struct session_hello hello = {.circuit = 1, .ring = 1 << 20, .receive_limit = 1 << 20};
    (void)state;
    raw_start(r);
    tell(r->s, ACCESS_ENDING, 7, "seven");
    assert_int_equal(sent_count(raw_output(r), FRAME_ACCESS), 0);
    hello.takes = HELLO_TAKES_ACCESS; /* a recording, perhaps: too late */
    session_take_hello(r->s, &hello);
    tell(r->s, ACCESS_ENDING, 7, "seven");
    assert_int_equal(sent_count(raw_output(r), FRAME_ACCESS), 0);
    raw_free(r);
}

static void a_client_says_that_it_takes_it(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct greeting g;
    (void)state;
    pair_greet(p, &g);
    assert_int_equal(g.hello.takes, HELLO_TAKES_ACCESS);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_told),
        cmocka_unit_test(it_survives_a_resume),
        cmocka_unit_test(it_ends_with_the_session),
        cmocka_unit_test(an_old_client_is_not_told),
        cmocka_unit_test(a_client_says_that_it_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
