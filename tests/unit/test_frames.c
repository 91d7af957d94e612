/* Frames of a session and their payloads. */
#include "wire_checks.h"

#include "wire/codes.h"

#define TEXT(S)                             \
    {                                       \
        (const uint8_t *)(S), sizeof(S) - 1 \
    }

static const struct open_frame client_open = {.window = 0x00040000, .target = TEXT("tcp:h:22")};
static const struct open_frame agent_open = {
    .window = 0x00040000, .listener = 3, .address = TEXT("1.2.3.4")};
static const struct opened_frame opened = {0x00040000, TEXT("1.2.3.4")};
static const struct access_frame access_ending = {ACCESS_ENDING, 0x0102030405060708, TEXT("at")};
static const struct reset_frame reset = {RESET_NOT_PERMITTED, TEXT("no")};
static const uint32_t credit = 0x00001000;
static const uint64_t position = 0x0102030405060708;
static const struct view address = TEXT("[::1]:8022");

/* clang-format off */
static const struct sample samples[] = {
    {&client_open_codec, &client_open, "00040000 0008 7463703a683a3232",
     .fields = {{FIELD_TEXT, 4, 272}}},
    {&agent_open_codec, &agent_open, "00040000 00000003 0007 312e322e332e34",
     .fields = {{FIELD_TEXT, 8, 128}}},
    {&opened_codec, &opened, "00040000 0007 312e322e332e34", .fields = {{FIELD_TEXT, 4, 128}}},
    {&reset_codec, &reset, "0004 0002 6e6f", .fields = {{FIELD_TEXT, 2, 1024}}},
    {&access_codec, &access_ending, "03 0102030405060708 0002 6174", .fields = {{FIELD_TEXT, 9, 1024}}},
    {&window_codec, &credit, "00001000"},
    {&position_codec, &position, "0102030405060708"},
    {&address_codec, &address, "000a 5b3a3a315d3a38303232", .fields = {{FIELD_TEXT, 0, 128}}},
};
/* clang-format on */

static void test_samples(void **state)
{
    (void)state;
    check_samples(samples, sizeof samples / sizeof samples[0]);
}

static bool decodes_hex(const struct codec *codec, const char *hex)
{
    struct sample s = {.codec = codec};
    struct bytes b;
    from_hex(&b, hex);
    return accepts(&s, &b);
}

static void test_credit_limits(void **state)
{
    (void)state;
    assert_false(decodes_hex(&window_codec, "00000000"));
    assert_true(decodes_hex(&window_codec, "00000001"));
    assert_true(decodes_hex(&window_codec, "7fffffff"));
    assert_false(decodes_hex(&window_codec, "80000000"));
    assert_true(decodes_hex(&client_open_codec, "00000000 0000"));
    assert_true(decodes_hex(&client_open_codec, "7fffffff 0000"));
    assert_false(decodes_hex(&client_open_codec, "80000000 0000"));
    assert_true(decodes_hex(&agent_open_codec, "7fffffff 00000000 0000"));
    assert_false(decodes_hex(&agent_open_codec, "80000000 00000000 0000"));
    assert_true(decodes_hex(&opened_codec, "7fffffff 0000"));
    assert_false(decodes_hex(&opened_codec, "80000000 0000"));
}

static void test_open_forgets_other_side(void **state)
{
    static const uint8_t body[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct open_frame m;
    uint16_t unsupported;
    (void)state;
    memset(&m, 0xee, sizeof m);
    assert_true(open_decode(&m, false, view_of(body, 6), &unsupported));
    assert_int_equal(m.listener, 0);
    assert_int_equal(m.address.len, 0);
    memset(&m, 0xee, sizeof m);
    assert_true(open_decode(&m, true, view_of(body, 10), &unsupported));
    assert_int_equal(m.target.len, 0);
}

static void test_header_layout(void **state)
{
    uint8_t out[FRAME_HEADER_BYTES];
    (void)state;
    memset(out, 0xee, sizeof out);
    frame_header(out, FRAME_DATA, 0x01020305, 0xabcd);
    assert_memory_equal(out, "\x03\x00\xab\xcd\x01\x02\x03\x05", 8);
    assert_int_equal(frame_payload_len(out), 0xabcd);
}

/* Walks a record; how many whole frames came before the end or the error. */
static size_t count_frames(struct view record, bool *whole)
{
    struct frame f;
    size_t n = 0;
    *whole = true;
    while (record.len > 0 && *whole) {
        struct view before = record;
        *whole = frame_next(&f, &record);
        n += *whole;
        if (!*whole) {
            assert_ptr_equal(record.data, before.data);
            assert_int_equal(record.len, before.len);
        }
    }
    return n;
}

#define TWO_FRAMES "03 00 0003 01020304 616263  84 00 0001 00000005 64"
#define FIRST_FRAME_BYTES 11

static void test_record_of_two(void **state)
{
    struct bytes b;
    struct frame f;
    (void)state;
    from_hex(&b, TWO_FRAMES);
    struct view rest = view_of(b.data, b.len);
    assert_true(frame_next(&f, &rest));
    assert_int_equal(f.type, FRAME_DATA);
    assert_int_equal(f.stream, 0x01020304);
    assert_int_equal(f.payload.len, 3);
    assert_ptr_equal(f.payload.data, b.data + 8);
    assert_true(frame_next(&f, &rest));
    assert_int_equal(f.type, FRAME_DATAGRAM);
    assert_int_equal(f.stream, 5);
    assert_int_equal(f.payload.len, 1);
    assert_int_equal(f.payload.data[0], 0x64);
    assert_int_equal(rest.len, 0);
    assert_false(frame_next(&f, &rest));
}

static void test_record_truncated(void **state)
{
    struct bytes b;
    bool whole;
    (void)state;
    from_hex(&b, TWO_FRAMES);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *copy = malloc(len == 0 ? 1 : len);
        assert_non_null(copy);
        memcpy(copy, b.data, len);
        assert_int_equal(count_frames(view_of(copy, len), &whole), len >= FIRST_FRAME_BYTES);
        assert_int_equal(whole, len == 0 || len == FIRST_FRAME_BYTES);
        free(copy);
    }
    b.data[b.len++] = 0;
    assert_int_equal(count_frames(view_of(b.data, b.len), &whole), 2);
    assert_false(whole);
}

static void test_record_flipped(void **state)
{
    struct bytes b;
    bool whole;
    (void)state;
    from_hex(&b, TWO_FRAMES);
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        struct bytes flipped = b;
        flipped.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        count_frames(view_of(flipped.data, flipped.len), &whole);
        size_t byte = bit / 8 % FIRST_FRAME_BYTES; /* in either header */
        if (byte >= 1 && byte <= 3)
            assert_false(whole); /* reserved or length */
        else
            assert_true(whole); /* type, stream id, payload */
    }
}

static void test_payload_limit(void **state)
{
    static uint8_t record[8 + 65535];
    struct frame f;
    (void)state;
    frame_header(record, FRAME_DATA, 1, 65511);
    struct view rest = view_of(record, 8 + 65511);
    assert_true(frame_next(&f, &rest));
    assert_int_equal(f.payload.len, 65511);
    frame_header(record, FRAME_DATA, 1, 65512);
    rest = view_of(record, 8 + 65512);
    assert_false(frame_next(&f, &rest));
}

static void test_type_numbers(void **state)
{
    static const struct {
        unsigned type;
        const char *name;
        bool sequenced;
    } types[] = {
        {0x01, "OPEN", true},   {0x02, "OPENED", true},    {0x03, "DATA", true},
        {0x04, "EOF", true},    {0x05, "RESET", true},     {0x06, "WINDOW", true},
        {0x07, "LISTEN", true}, {0x08, "LISTENING", true}, {0x09, "CLOSE", true},
        {0x80, "START", false}, {0x81, "ACK", false},      {0x82, "PING", false},
        {0x83, "PONG", false},  {0x84, "DATAGRAM", false}, {0xC0, "PAD", false},
        {0x0A, "ACCESS", true}, {0x00, "?", true},         {0x0B, "?", true},
        {0x7F, "?", true},      {0x85, "?", false},        {0xC1, "HEAD", false},
        {0xC2, "?", false},     {0x101, "?", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_string_equal(frame_name(types[i].type), types[i].name);
        assert_int_equal(frame_sequenced(types[i].type), types[i].sequenced);
    }
}

static void test_reset_codes(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 11; i++) {
        assert_string_not_equal(reset_code_text(i), "unknown code");
        for (unsigned k = 1; k < i; k++)
            assert_string_not_equal(reset_code_text(i), reset_code_text(k));
    }
    assert_string_equal(reset_code_text(RESET_REFUSED), "connection refused");
    assert_string_equal(reset_code_text(RESET_INTERNAL), "internal error");
    assert_int_equal(RESET_REFUSED, 1);
    assert_int_equal(RESET_NOT_PERMITTED, 4);
    assert_int_equal(RESET_INTERNAL, 9);
    assert_string_equal(reset_code_text(0), "unknown code");
    assert_string_equal(reset_code_text(12), "unknown code");
    assert_string_equal(reset_code_text(65535), "unknown code");
    char text[RESET_TEXT_BYTES];
    reset_to_text(text, RESET_REFUSED, "");
    assert_string_equal(text, "connection refused");
    reset_to_text(text, RESET_REFUSED, "a:1");
    assert_string_equal(text, "connection refused: a:1");
    reset_to_text(text, RESET_REFUSED, "a:1: Connection refused");
    assert_string_equal(text, "connection refused");
    reset_to_text(text, RESET_NOT_PERMITTED, "not permitted by this agent's configuration");
    assert_string_equal(text, "not permitted by this agent's configuration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_credit_limits),
        cmocka_unit_test(test_open_forgets_other_side),
        cmocka_unit_test(test_header_layout),
        cmocka_unit_test(test_record_of_two),
        cmocka_unit_test(test_record_truncated),
        cmocka_unit_test(test_record_flipped),
        cmocka_unit_test(test_payload_limit),
        cmocka_unit_test(test_type_numbers),
        cmocka_unit_test(test_reset_codes),
    };
    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
