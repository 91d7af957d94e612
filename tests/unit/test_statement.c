/* A text that one side says and the other hears whole, over two engines joined in memory. */
#include "session_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "forward/statement.h"

/* The agent's words, and the statement that says them. */
static struct {
    char *text; /* allocated; NULL: as if there were no memory */
    bool held;
    struct statement *statement;
    char question[64]; /* that was asked */
} agent;

/* The client's part. */
static struct {
    unsigned times;
    enum reset_code code;
    char text[TEXT_MAX_BYTES + 1];
    char *answer;
    size_t len;
} heard;

static void say(struct side *side, struct stream *stream, struct view target)
{
    (void)side;
    text_clean(agent.question, sizeof agent.question, target);
    statement_start(stream, agent.text, agent.held, &agent.statement);
}

static void hear(void *arg, enum reset_code code, const char *text, struct view answer)
{
    assert_ptr_equal(arg, &heard);
    heard.times++;
    heard.code = code;
    snprintf(heard.text, sizeof heard.text, "%s", text);
    heard.answer = malloc(answer.len + 1);
    assert_non_null(heard.answer);
    memcpy(heard.answer, answer.len ? answer.data : (const uint8_t *)"", answer.len);
    heard.len = answer.len;
}

/* All is said, and acknowledged. */
static void settle(struct pair *p)
{
    pair_wait(p, 100 * CLOCK_US_PER_MS);
}

static int setup(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    memset(&agent, 0, sizeof agent);
    memset(&heard, 0, sizeof heard);
    p->side[AGENT].on_open = say;
    pair_connect(p);
    settle(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    pair_free(*state);
    free(heard.answer);
    assert_null(agent.statement);
    return 0;
}

static void ask(struct pair *p)
{
    assert_true(statement_ask(p->side[CLIENT].s, QUESTION_TARGETS, hear, &heard));
    settle(p);
}

static void assert_heard(enum reset_code code, const char *text, const char *answer)
{
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.code, code);
    assert_string_equal(heard.text, text);
    assert_int_equal(heard.len, strlen(answer));
    assert_memory_equal(heard.answer, answer, heard.len);
}

/* A text of so many bytes, no two parts of which are the same. */
static char *long_text(size_t len)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(1 + app_byte(1, AGENT, i) % 127);
    text[len] = '\0';
    return text;
}

static void test_whole(void **state)
{
    struct pair *p = *state;
    agent.text = strdup("allow tcp:*:22\nlisteners 3\n");
    ask(p);
    assert_heard(RESET_NONE, "", "allow tcp:*:22\nlisteners 3\n");
    assert_string_equal(agent.question, QUESTION_TARGETS);
    assert_null(agent.statement); /* it has ended */
    pair_check_empty(p);
}

static void test_empty(void **state)
{
    agent.text = strdup("");
    ask(*state);
    assert_heard(RESET_NONE, "", "");
    assert_null(agent.statement);
}

/* In pieces of any size, up to the most that is heard. */
static void test_longest(void **state)
{
    struct pair *p = *state;
    char *text = long_text(STATEMENT_MAX_BYTES);
    p->slice = SLICE_RANDOM;
    agent.text = strdup(text);
    ask(p);
    assert_heard(RESET_NONE, "", text);
    assert_null(agent.statement);
    pair_check_empty(p);
    free(text);
}

static void test_too_long(void **state)
{
    agent.text = long_text(STATEMENT_MAX_BYTES + 1);
    ask(*state);
    assert_heard(RESET_LIMIT, "the answer is too long", "");
    assert_null(agent.statement);
    pair_check_empty(*state);
}

static void test_held(void **state)
{
    struct pair *p = *state;
    agent.text = strdup("taken 1 3 fan\n");
    agent.held = true;
    ask(p);
    assert_non_null(agent.statement);
    assert_int_equal(heard.times, 0);
    statement_release(agent.statement);
    statement_release(agent.statement); /* nothing more */
    settle(p);
    assert_heard(RESET_NONE, "", "taken 1 3 fan\n");
    assert_null(agent.statement);
}

static void test_without_memory(void **state)
{
    ask(*state);
    assert_heard(RESET_INTERNAL, NO_MEMORY_TEXT, "");
    pair_check_empty(*state);
}

static void refuse(struct side *side, struct stream *stream, struct view target)
{
    (void)side;
    (void)target;
    stream_reset(stream, RESET_UNSUPPORTED, "what is \x1b[2J that");
}

static void test_refused(void **state)
{
    struct pair *p = *state;
    p->side[AGENT].on_open = refuse;
    ask(p);
    assert_heard(RESET_UNSUPPORTED, "what is ?[2J that", "");
}

/* Nobody hears of it then, and nothing is left. */
static void test_session_ends(void **state)
{
    struct pair *p = *state;
    agent.text = strdup("taken 1 3 fan\n");
    agent.held = true;
    ask(p);
    session_close(p->side[AGENT].s, CODE_DONE, "");
    settle(p);
    assert_null(agent.statement);
    assert_int_equal(heard.times, 0);
}

static void test_not_asked(void **state)
{
    struct pair *p = *state;
    char question[TARGET_MAX_BYTES + 2];
    memset(question, 'x', sizeof question - 1);
    question[sizeof question - 1] = '\0';
    errno = 0;
    assert_false(statement_ask(p->side[CLIENT].s, question, hear, &heard));
    assert_int_equal(errno, EINVAL);
    settle(p);
    assert_int_equal(heard.times, 0);
}

/* The client's half: EOF at once, and nothing else. */
static void test_asks_with_nothing_behind(void **state)
{
    struct raw *r = raw_new(true, NULL);
    (void)state;
    raw_start(r);
    assert_true(statement_ask(r->s, QUESTION_TARGETS, hear, &heard));
    const struct sent *sent = raw_output(r);
    assert_int_equal(sent->count, 2);
    assert_int_equal(sent->frame[0].type, FRAME_OPEN);
    assert_int_equal(sent->frame[1].type, FRAME_EOF);
    raw_free(r);
}

/* Whatever a client says behind its question changes nothing of the answer. */
static void test_client_that_says_more(void **state)
{
    static const char text[] = "allow tcp:*:22\n";
    struct raw *r = raw_new(false, NULL);
    (void)state;
    r->side.on_open = say;
    agent.text = strdup(text);
    raw_start(r);
    raw_send_open(r, 1, 5);
    raw_send_data(r, 1, 0, 3000);
    raw_output(r);
    assert_non_null(agent.statement);
    raw_send_window(r, 1, 1000);
    raw_send_data(r, 1, 3000, 3000);
    const struct sent *sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_RESET), 0);
    assert_int_equal(sent_count(sent, FRAME_EOF), 1);
    assert_int_equal(sent_count(sent, FRAME_DATA), 1);
    for (unsigned i = 0; i < sent->count; i++)
        if (sent->frame[i].type == FRAME_DATA)
            assert_memory_equal(sent->frame[i].payload, text + 5, strlen(text) - 5);
    raw_send(r, FRAME_EOF, 1, NULL, 0);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_null(agent.statement);
    raw_free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole),
        TEST(test_empty),
        TEST(test_longest),
        TEST(test_too_long),
        TEST(test_held),
        TEST(test_without_memory),
        TEST(test_refused),
        TEST(test_session_ends),
        TEST(test_not_asked),
        TEST(test_asks_with_nothing_behind),
        TEST(test_client_that_says_more),
    };
    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
