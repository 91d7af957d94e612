/* Permits: against those that another implementation has written, their text form, and what they
 * allow when and where. */
#include "vectors.h"

#include <unistd.h>

#include "permit/armour.h"
#include "permit/judge.h"
#include "permit/revocations.h"
#include "permit/vouch.h"

static uint8_t authority[SIGN_PUBLIC_BYTES];

/* ---- Vectors. ---- */

static void check_case(const struct vector *v, struct view bytes)
{
    const char *name = vector_text(v, "case"), *verdict = vector_text(v, "verdict");
    bool decodes = strcmp(verdict, "good") == 0 || strcmp(verdict, "forged") == 0;
    bool unsupported = strcmp(verdict, "unsupported") == 0;
    struct permit p;
    struct error e = {0};
    if (permit_decode(&p, bytes, true, &e) != decodes)
        fail_msg("%s: %s", name, e.text);
    if ((e.failure != FAILURE_NONE) == decodes)
        fail_msg("%s: wrong error", name);
    if ((strstr(e.text, "needs a newer spx") != NULL) != unsupported)
        fail_msg("%s: %s", name, e.text);
    if (decodes && permit_is_signed_by(&p, authority) != (strcmp(verdict, "good") == 0))
        fail_msg("%s: wrong about its signature", name);
}

static void check_list(const struct vector *v, struct view bytes)
{
    struct revocations r = {0};
    bool good = revocations_decode(&r, bytes, authority);
    if (good != (strcmp(vector_text(v, "verdict"), "good") == 0))
        fail_msg("%s", vector_text(v, "case"));
}

/* A good one says so of this agent, this key and this authority, now. */
static void check_vouch(const struct vector *v, struct view bytes)
{
    const char *verdict = vector_text(v, "verdict");
    uint8_t agent_key[KEY_BYTES];
    struct vouch vouch;
    for (unsigned i = 0; i < sizeof agent_key; i++)
        agent_key[i] = (uint8_t)i;
    if (vouch_decode(&vouch, bytes) == (strcmp(verdict, "malformed") == 0) ||
        vouch_says(bytes, authority, "lab-1", agent_key, 1810000000) !=
            (strcmp(verdict, "good") == 0))
        fail_msg("%s", vector_text(v, "case"));
}

static void check_any(const struct vector *v, struct view bytes)
{
    const char *name = vector_text(v, "case");
    if (strncmp(name, "list:", 5) == 0)
        check_list(v, bytes);
    else if (strncmp(name, "agent:", 6) == 0)
        check_vouch(v, bytes);
    else
        check_case(v, bytes);
}

static void test_vectors(void **state)
{
    FILE *file = fopen("tests/vectors/permits.txt", "r");
    static struct vector v;
    static uint8_t bytes[VECTOR_TEXT];
    unsigned count = 0;
    (void)state;
    assert_non_null(file);
    assert_true(vector_next(file, &v));
    assert_int_equal(vector_bytes(&v, "permit", authority), sizeof authority);
    for (; vector_next(file, &v); count++)
        check_any(&v, view_of(bytes, vector_bytes(&v, "permit", bytes)));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(count, 48 + 10 + 12);
}

/* ---- One that is issued here. ---- */

static struct sign_key key;

static struct permit fields(void)
{
    struct permit p = {.outer = {.user = view_of_string("alice"),
                                 .user_key = {1, 2, 3},
                                 .issued_s = 1000000,
                                 .from_s = 1000600,
                                 .until_s = 1040000,
                                 .scope = view_of_string("acme")},
                       .inner = {.salt = {9}, .longest_s = 7200, .reason = view_of_string("4711")}};
    assert_true(permit_list_add(&p.outer.patterns, view_of_string("boston-*")));
    assert_true(permit_list_add(&p.inner.allow, view_of_string("tcp:127.0.0.1:22")));
    return p;
}

static size_t issue(uint8_t out[PERMIT_MAX_BYTES], struct permit *p)
{
    struct error e = {0};
    size_t len = permit_issue(out, p, &key, &e);
    assert_int_equal(e.failure, FAILURE_NONE);
    return len;
}

static bool decode(struct permit *p, const uint8_t *bytes, size_t len)
{
    struct error e = {0};
    return permit_decode(p, view_of(bytes, len), true, &e);
}

static void assert_text(struct view v, const char *expected)
{
    assert_true(view_equal(v, view_of_string(expected)));
}

static void test_issued(void **state)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct permit p = fields(), q;
    size_t len = issue(bytes, &p);
    (void)state;
    assert_true(decode(&q, bytes, len));
    assert_true(permit_is_signed_by(&q, key.public_key));
    assert_text(q.outer.user, "alice");
    assert_text(q.outer.scope, "acme");
    assert_text(q.outer.patterns.items[0], "boston-*");
    assert_int_equal(q.outer.until_s, 1040000);
    assert_int_equal(q.inner.longest_s, 7200);
    assert_text(q.inner.reason, "4711");
    assert_text(q.inner.allow.items[0], "tcp:127.0.0.1:22");
    assert_int_equal(q.inner.listen.count, 0);
}

/* The relay's part says nothing of the inner one, and is signed as it is. */
static void test_for_relay(void **state)
{
    uint8_t bytes[PERMIT_MAX_BYTES], id[2][PERMIT_ID_BYTES];
    char text[PERMIT_ID_TEXT_BYTES];
    struct permit p = fields(), q;
    struct error e = {0};
    struct view outer = permit_for_relay(view_of(bytes, issue(bytes, &p)));
    (void)state;
    assert_true(permit_decode(&q, outer, false, &e));
    assert_false(q.has_inner);
    assert_true(permit_is_signed_by(&q, key.public_key));
    assert_null(memmem(outer.data, outer.len, "4711", 4));
    assert_null(memmem(outer.data, outer.len, "127.0.0.1", 9));
    permit_id(id[0], &q);
    assert_true(decode(&p, bytes, issue(bytes, &p)));
    permit_id(id[1], &p);
    assert_memory_equal(id[0], id[1], sizeof id[0]);
    permit_id_text(text, &p);
    assert_hex(id[0], text);
    assert_int_equal(permit_for_relay(view_of(bytes, 10)).len, 0);
}

/* Nothing of a permit can be changed, and nothing be left out. */
static void test_every_bit(void **state)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct permit p = fields(), q;
    size_t len = issue(bytes, &p);
    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (decode(&q, bytes, len) && permit_is_signed_by(&q, key.public_key))
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t part = 0; part < len; part++)
        assert_false(decode(&q, bytes, part));
}

static void refuse_fields(struct permit *p, const char *why)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct error e = {0};
    assert_int_equal(permit_issue(bytes, p, &key, &e), 0);
    assert_int_equal(e.failure, FAILURE_USAGE);
    assert_non_null(strstr(e.text, why));
}

static void test_not_issued(void **state)
{
    static char large[PERMIT_MAX_BYTES];
    struct permit p = fields();
    (void)state;
    p.outer.user = view_of_string("Alice");
    refuse_fields(&p, "out of its bounds");
    p = fields();
    p.outer.until_s = p.outer.from_s;
    refuse_fields(&p, "out of its bounds");
    p = fields();
    memset(large, 'a', sizeof large);
    p.inner.reason = view_of(large, sizeof large);
    refuse_fields(&p, "more than 2048 bytes");
}

static void test_list_is_bounded(void **state)
{
    struct permit_list list = {0};
    (void)state;
    for (unsigned i = 0; i < PERMIT_ITEMS_MAX; i++)
        assert_true(permit_list_add(&list, view_of("x", 1)));
    assert_false(permit_list_add(&list, view_of("x", 1)));
}

/* ---- The text form. ---- */

static bool read_text(const char *text, size_t *len, struct error *e)
{
    static uint8_t bytes[PERMIT_MAX_BYTES];
    *e = (struct error){0};
    return armour_read(bytes, sizeof bytes, len, ARMOUR_PERMIT, view_of_string(text), e);
}

static void test_armour(void **state)
{
    uint8_t bytes[PERMIT_MAX_BYTES], again[PERMIT_MAX_BYTES];
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 1; len <= sizeof bytes; len += len < 200 ? 1 : 77) {
        char *text = armour_text(ARMOUR_PERMIT, view_of(bytes, len));
        size_t got = 0;
        assert_non_null(text);
        assert_true(
            armour_read(again, sizeof again, &got, ARMOUR_PERMIT, view_of_string(text), &e));
        assert_int_equal(got, len);
        assert_memory_equal(bytes, again, len);
        free(text);
    }
}

static void test_armour_in_a_mail(void **state)
{
    size_t len;
    struct error e;
    (void)state;
    assert_true(read_text("Dear Bob,\r\n\r\n> -----BEGIN SPX PERMIT-----\r\n> AAEC \r\n> AwQ=\r\n"
                          "> -----END SPX PERMIT-----\r\nYours\r\n",
                          &len, &e));
    assert_int_equal(len, 5);
}

static void refuse_text(const char *text, const char *why)
{
    size_t len;
    struct error e;
    assert_false(read_text(text, &len, &e));
    assert_int_equal(e.failure, FAILURE_CONFIG);
    if (!strstr(e.text, why))
        fail_msg("%s", e.text);
}

#define BEGIN_LINE "-----BEGIN SPX PERMIT-----\n"
#define END_LINE "-----END SPX PERMIT-----\n"

static void test_bad_armour(void **state)
{
    (void)state;
    refuse_text("", "holds no permit");
    refuse_text("AAEC\n", "holds no permit");
    refuse_text("-----BEGIN SPX LIST-----\nAAEC\n-----END SPX LIST-----\n", "holds no permit");
    refuse_text(BEGIN_LINE END_LINE, "damaged");
    refuse_text(BEGIN_LINE "AAEC\n", "damaged");
    refuse_text(BEGIN_LINE "AAE\n" END_LINE, "damaged");
    refuse_text(BEGIN_LINE "AA EC\n" END_LINE, "damaged");
    refuse_text(BEGIN_LINE "AAB=\n" END_LINE, "damaged");
    refuse_text(BEGIN_LINE "AAEC\n" END_LINE BEGIN_LINE "AAEC\n" END_LINE, "damaged");
    refuse_text(END_LINE BEGIN_LINE "AAEC\n", "damaged");
}

static void test_armour_too_long(void **state)
{
    uint8_t out[3];
    size_t len;
    struct error e = {0};
    (void)state;
    assert_true(
        armour_read(out, 3, &len, ARMOUR_PERMIT, view_of_string(BEGIN_LINE "AAEC\n" END_LINE), &e));
    assert_false(
        armour_read(out, 2, &len, ARMOUR_PERMIT, view_of_string(BEGIN_LINE "AAEC\n" END_LINE), &e));
    assert_false(armour_read(out, 3, &len, ARMOUR_PERMIT,
                             view_of_string(BEGIN_LINE "AAECAAEC\n" END_LINE), &e));
}

/* ---- When and where. ---- */

/* The permit of fields(): issued at 1,000,000, good from 1,000,600 to 1,040,000. */
static bool may_begin(int64_t wall_s, int64_t floor_s, uint32_t max_s, const char *why)
{
    struct permit p = fields();
    struct permit_clock c = {.wall_s = wall_s, .floor_s = floor_s, .max_permit_s = max_s};
    struct error e = {0};
    bool good = permit_may_begin(&p, &c, &e);
    assert_int_equal(e.failure, good ? FAILURE_NONE : FAILURE_DENIED);
    if (why && !strstr(e.text, why))
        fail_msg("%s", e.text);
    return good;
}

static void test_time(void **state)
{
    (void)state;
    assert_true(may_begin(1020000, 0, 0, NULL));
    assert_false(may_begin(999699, 0, 0, "one of the two clocks is wrong"));
    assert_false(may_begin(999700, 0, 0, "is not good before"));
    assert_false(may_begin(1000299, 0, 0, "1970"));
    assert_true(may_begin(1000300, 0, 0, NULL));
    assert_true(may_begin(1040299, 0, 0, NULL));
    assert_false(may_begin(1040300, 0, 0, "was good until"));
    assert_false(may_begin(1020000 - 365 * 86400, 0, 0, "1969"));
    assert_false(may_begin(1020000 + 365 * 86400, 0, 0, "1971"));
}

/* A later issue that was accepted tells a clock that was set back. */
static void test_floor(void **state)
{
    (void)state;
    assert_true(may_begin(1020000, 1020500, 0, NULL));
    assert_true(may_begin(1020000, 1040299, 0, NULL));
    assert_false(may_begin(1020000, 1040300, 0, "which is wrong"));
    assert_false(may_begin(1040300, 1000000, 0, "the clock here shows"));
}

static void test_max_permit(void **state)
{
    (void)state;
    assert_true(may_begin(1020000, 0, 40000, NULL));
    assert_false(may_begin(1020000, 0, 39999, "MaxPermit"));
}

static void test_going_on(void **state)
{
    struct permit p = fields();
    struct permit_clock c = {.wall_s = 1000000};
    struct error e = {0};
    (void)state;
    assert_true(permit_may_go_on(&p, &c, 3600, &e)); /* its begin is not asked for */
    c.wall_s = 1043899;
    assert_true(permit_may_go_on(&p, &c, 3600, &e));
    c.wall_s = 1043900;
    assert_false(permit_may_go_on(&p, &c, 3600, &e));
    e = (struct error){0};
    c.wall_s = 999699;
    assert_false(permit_may_go_on(&p, &c, 3600, &e));
    e = (struct error){0};
    c = (struct permit_clock){.wall_s = 1020000, .floor_s = 1043900};
    assert_false(permit_may_go_on(&p, &c, 3600, &e));
}

static bool is_for(const struct permit *p, const char *name, const char *scope, uint8_t first)
{
    uint8_t agent_key[KEY_BYTES] = {first};
    struct permit_place place = {name, scope, agent_key};
    return permit_is_for(p, &place);
}

static void test_place(void **state)
{
    static const uint8_t agent_key[KEY_BYTES] = {5};
    struct permit p = fields();
    (void)state;
    assert_true(is_for(&p, "boston-1", "acme", 0));
    assert_false(is_for(&p, "paris-1", "acme", 0));
    assert_false(is_for(&p, "boston-1", "emca", 0));
    assert_false(is_for(&p, "boston-1", "", 0));
    assert_false(is_for(&p, "paris-1", "", 5));
    assert_true(permit_list_add(&p.outer.keys, view_of(agent_key, sizeof agent_key)));
    assert_true(is_for(&p, "paris-1", "", 5));
    p.outer.patterns.count = 0;
    p.outer.scope = view_of(NULL, 0);
    assert_true(is_for(&p, "boston-1", "", 5));
    assert_false(is_for(&p, "boston-1", "", 0));
}

static void test_longest_session(void **state)
{
    struct permit p = fields();
    (void)state;
    assert_int_equal(permit_session_s(&p, 0), 7200);
    assert_int_equal(permit_session_s(&p, 7201), 7200);
    assert_int_equal(permit_session_s(&p, 7199), 7199);
    p.inner.longest_s = 0;
    assert_int_equal(permit_session_s(&p, 100), 100);
    assert_int_equal(permit_session_s(&p, 0), PERMIT_SESSION_DEFAULT_S);
}

/* ---- Statements about agents. ---- */

static void test_vouch(void **state)
{
    static const uint8_t agent_key[KEY_BYTES] = {3};
    struct vouch v = {
        .agent = view_of_string("lab-1"), .key = {3}, .issued_s = 1000, .until_s = 2000};
    uint8_t bytes[VOUCH_MAX_BYTES];
    size_t len = vouch_issue(bytes, &v, &key);
    (void)state;
    assert_true(len > 0);
    for (int64_t at = 699; at <= 2300; at++)
        if (at == 699 || at == 700 || at == 2299 || at == 2300)
            assert_int_equal(
                vouch_says(view_of(bytes, len), key.public_key, "lab-1", agent_key, at),
                at != 699 && at != 2300);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(vouch_says(view_of(bytes, len), key.public_key, "lab-1", agent_key, 1500));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    v.agent = view_of_string("Lab");
    assert_int_equal(vouch_issue(bytes, &v, &key), 0);
}

/* ---- Revocations. ---- */

static char path[] = "/tmp/spx-test-revocations-XXXXXX";

static void write_list(const struct revocations *r, const struct sign_key *by)
{
    struct error e = {0};
    char *text = revocations_issue(r, by, &e);
    FILE *f = fopen(path, "w");
    assert_non_null(text);
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(text);
}

static bool read_list(struct revocations *r)
{
    struct error e = {0};
    bool good = revocations_read(r, path, key.public_key, &e);
    assert_int_equal(e.failure, good ? FAILURE_NONE : FAILURE_CONFIG);
    assert_true(good || strstr(e.text, path));
    return good;
}

static void assert_says(const struct revocations *r, const struct permit *p, const char *why)
{
    const char *said = revocations_say(r, p);
    if (why)
        assert_string_equal(said, why);
    else
        assert_null(said);
}

static void test_revocations(void **state)
{
    uint8_t bytes[PERMIT_MAX_BYTES], ids[2][PERMIT_ID_BYTES] = {{0}};
    struct permit p = fields(), q;
    struct sign_key other;
    struct revocations r, list = {.number = 3, .permits = ids[0], .keys = p.outer.user_key};
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0 && close(fd) == 0);
    assert_true(decode(&q, bytes, issue(bytes, &p)));
    write_list(&list, &key);
    assert_true(read_list(&r));
    assert_int_equal(r.number, 3);
    assert_says(&r, &q, NULL);
    revocations_free(&r);
    permit_id(ids[1], &q);
    list.permit_count = 2;
    write_list(&list, &key);
    assert_true(read_list(&r));
    assert_says(&r, &q, "the authority has revoked the permit");
    revocations_free(&r);
    list.permit_count = 1;
    list.key_count = 1;
    write_list(&list, &key);
    assert_true(read_list(&r));
    assert_says(&r, &q, "the authority has revoked the user's key");
    revocations_free(&r);
    list.key_count = 0;
    for (list.before_s = 1000000; list.before_s <= 1000001; list.before_s++) {
        write_list(&list, &key);
        assert_true(read_list(&r));
        assert_says(&r, &q,
                    list.before_s > 1000000 ? "the authority has revoked all permits of that time"
                                            : NULL);
        revocations_free(&r);
    }
    list.permit_count = REVOCATIONS_MAX + 1;
    assert_null(revocations_issue(&list, &key, &(struct error){0}));
    list.permit_count = 0;
    sign_key_generate(&other);
    write_list(&list, &other);
    assert_false(read_list(&r));
    assert_int_equal(unlink(path), 0);
    assert_false(read_list(&r));
}

static int start(void **state)
{
    sign_key_generate(&key);
    return start_fast(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_issued),
        cmocka_unit_test(test_for_relay),   cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_not_issued),  cmocka_unit_test(test_list_is_bounded),
        cmocka_unit_test(test_armour),      cmocka_unit_test(test_armour_in_a_mail),
        cmocka_unit_test(test_bad_armour),  cmocka_unit_test(test_armour_too_long),
        cmocka_unit_test(test_time),        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_max_permit),  cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_place),       cmocka_unit_test(test_longest_session),
        cmocka_unit_test(test_revocations), cmocka_unit_test(test_vouch),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
