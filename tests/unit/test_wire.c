/* Reader and writer, hop messages and handshake payloads, names, codes. */
#include "wire_checks.h"

#include "base/error.h"
#include "wire/codes.h"

#define BYTES_32(FIRST)                                                                         \
    {                                                                                           \
        FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4, FIRST + 5, FIRST + 6, FIRST + 7,     \
            FIRST + 8, FIRST + 9, FIRST + 10, FIRST + 11, FIRST + 12, FIRST + 13, FIRST + 14,   \
            FIRST + 15, FIRST + 16, FIRST + 17, FIRST + 18, FIRST + 19, FIRST + 20, FIRST + 21, \
            FIRST + 22, FIRST + 23, FIRST + 24, FIRST + 25, FIRST + 26, FIRST + 27, FIRST + 28, \
            FIRST + 29, FIRST + 30, FIRST + 31                                                  \
    }
#define KEY BYTES_32(0xa0)
#define TICKET BYTES_32(0)
#define SESSION_ID                                                                                \
    {                                                                                             \
        0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, \
            0xcf                                                                                  \
    }

#define TEXT(S)                             \
    {                                       \
        (const uint8_t *)(S), sizeof(S) - 1 \
    }

static const struct hello hello = {1, ROLE_AGENT_CIRCUIT, TICKET};

static const struct welcome welcome = {
    .text = TEXT("hi"), .version = 1, .name = TEXT("alice"), .keepalive_s = 15};

static const struct welcome welcome_refusal = {.code = CODE_FULL, .text = TEXT("full")};

static const struct info info = {TEXT("0.1"), INFO_FLAG_AES, TEXT("site=b")};

static const struct view query = TEXT("bos*");

static const struct agent_entry agent_entry = {
    .name = TEXT("lab-1"),
    .public_key = KEY,
    .flags = 0x0102,
    .labels = TEXT("m=x"),
    .state = AGENT_DIALLED,
    .age_s = 0x01020304,
    .severity = 3,
    .call_text = TEXT("disk"),
};

static const struct connect connect = {TEXT("lab-1"), TEXT("\xd1\xd2\xd3")};

static const struct offer offer = {TICKET, TEXT("alice"), KEY, TEXT("1.2.3.4"),
                                   TEXT("\xd1\xd2\xd3")};

static const struct view message2 = TEXT("\xe1\xe2\xe3");

static const struct refusal refusal = {TICKET, CODE_DENIED, TEXT("no"), 300, TEXT("\xe1\xe2")};

static const struct call call = {2, TEXT("disk")};

static const struct told_calls told_calls = {
    2, {{0x01020304, 7, 0x05060708, TEXT("bob"), TEXT("disk")}, {5, 3, 6, TEXT(""), TEXT("f")}}};

#define TOLD_CALLS_HEX \
    "02 01020304 07 05060708 0003 626f62 0004 6469736b 00000005 03 00000006 0000 0001 66"

static const struct calls calls = {
    0x0a0b0c0d, TEXT("\x01\x01\x02\x03\x04\x07\x05\x06\x07\x08\x00\x00\x00\x01x")};

static const uint32_t heard = 0x01020304;

static const uint8_t ping[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static const struct bye bye = {CODE_SHUTDOWN, TEXT("bye"), 3600};

static const struct session_hello session_hello = {
    .version = 1,
    .flags = 0x0203,
    .agent = TEXT("lab-1"),
    .session_id = SESSION_ID,
    .circuit = 7,
    .receive_position = 0x0102030405060708,
    .receive_limit = 0x01000000,
    .ring = 0x00800000,
    .streams = 1024,
};

static const struct session_welcome session_welcome = {
    .text = TEXT("ok"),
    .version = 1,
    .session_id = SESSION_ID,
    .receive_position = 0x0102030405060708,
    .receive_limit = 0x01000000,
    .ring = 0x00800000,
    .streams = 1024,
    .early_credit = 8192,
    .resume_window_s = 600,
};

static const struct session_welcome session_refusal = {.code = CODE_WRONG_AGENT,
                                                       .text = TEXT("lab-2")};

/* The limits stand here as numbers: a changed one is a changed protocol. */
/* clang-format off */
static const struct sample samples[] = {
    {&hello_codec, &hello, "01 03 " TICKET_HEX},
    {&welcome_codec, &welcome, "0000 0002 6869 01 0005 616c696365 000f",
     .fields = {{FIELD_TEXT, 2, 1024}, {FIELD_NAME, 7, 64}}},
    {&welcome_codec, &welcome_refusal, "0004 0004 66756c6c", .fields = {{FIELD_TEXT, 2, 1024}},
     .no_extensions = true},
    {&info_codec, &info, "0003 302e31 0001 0006 736974653d62",
     .fields = {{FIELD_TEXT, 0, 64}, {FIELD_TEXT, 7, 2048}}},
    {&query_codec, &query, "0004 626f732a", .fields = {{FIELD_TEXT, 0, 256}}},
    {&agent_entry_codec, &agent_entry,
     "0005 6c61622d31 " KEY_HEX " 0102 0003 6d3d78 02 01020304 03 0004 6469736b",
     .fields = {{FIELD_NAME, 0, 64}, {FIELD_TEXT, 41, 2048}, {FIELD_TEXT, 52, 1024}}},
    {&connect_codec, &connect, "0005 6c61622d31 d1d2d3", .shortest = 8,
     .fields = {{FIELD_NAME, 0, 64}}},
    {&offer_codec, &offer,
     TICKET_HEX " 0005 616c696365 " KEY_HEX " 0007 312e322e332e34 0003 d1d2d3",
     .fields = {{FIELD_NAME, 32, 64}, {FIELD_TEXT, 71, 128}, {FIELD_BLOB, 80, 4120}}},
    {&message2_codec, &message2, "e1e2e3", .shortest = 1},
    {&refuse_codec, &refusal, TICKET_HEX " 000a 0002 6e6f 012c e1e2", .shortest = 40,
     .fields = {{FIELD_TEXT, 34, 1024}}},
    {&refused_codec, &refusal, "000a 0002 6e6f 012c e1e2", .shortest = 8,
     .fields = {{FIELD_TEXT, 2, 1024}}},
    {&call_codec, &call, "02 0004 6469736b", .fields = {{FIELD_TEXT, 1, 1024}}},
    {&told_calls_codec, &told_calls, TOLD_CALLS_HEX,
     .fields = {{FIELD_TEXT, 15, 1024}, {FIELD_TEXT, 32, 1024}}},
    {&calls_codec, &calls, "0a0b0c0d 01 01020304 07 05060708 0000 0001 78",
     .fields = {{FIELD_TEXT, 16, 1024}}},
    {&heard_codec, &heard, "01020304"},
    {&ping_codec, &ping, "0102030405060708"},
    {&bye_codec, &bye, "0012 0003 627965 00000e10", .fields = {{FIELD_TEXT, 2, 1024}}},
    {&session_hello_codec, &session_hello,
     "01 0203 0005 6c61622d31 " SESSION_ID_HEX
     " 00000007 0102030405060708 01000000 00800000 0400",
     .fields = {{FIELD_NAME, 3, 64}}},
    {&session_welcome_codec, &session_welcome,
     "0000 0002 6f6b 01 " SESSION_ID_HEX
     " 0102030405060708 01000000 00800000 0400 00002000 00000258",
     .fields = {{FIELD_TEXT, 2, 1024}}},
    {&session_welcome_codec, &session_refusal, "000b 0005 6c61622d32",
     .fields = {{FIELD_TEXT, 2, 1024}}, .no_extensions = true},
};
/* clang-format on */

static void test_reader_fields(void **state)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    (void)state;
    struct reader r = reader_of(view_of(data, sizeof data));
    uint8_t two[2];
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u32(&r), 0x04050607);
    assert_int_equal(read_u64(&r), 0x08090a0b0c0d0e0f);
    assert_false(reader_done(&r));
    read_bytes(&r, two, 2);
    assert_memory_equal(two, "\x10\x11", 2);
    struct view rest = read_rest(&r);
    assert_int_equal(rest.len, 1);
    assert_ptr_equal(rest.data, data + 17);
    assert_true(reader_done(&r));
}

static void test_reader_stays_failed(void **state)
{
    static const uint8_t data[] = {1, 2, 3};
    uint8_t out[4] = {9, 9, 9, 9};
    uint16_t unsupported = 0;
    (void)state;
    struct reader r = reader_of(view_of(data, sizeof data));
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_u16(&r), 0);
    assert_int_equal(read_u64(&r), 0);
    assert_int_equal(read_view(&r, 1).len, 0);
    assert_int_equal(read_rest(&r).len, 0);
    assert_int_equal(read_string(&r, 10).len, 0);
    assert_int_equal(read_blob(&r, 10).len, 0);
    read_bytes(&r, out, sizeof out);
    assert_memory_equal(out, "\0\0\0\0", 4);
    read_extensions(&r, &unsupported);
    assert_int_equal(unsupported, 0);
    assert_false(reader_done(&r));
}

static void test_reader_of_nothing(void **state)
{
    (void)state;
    struct reader r = reader_of(view_of(NULL, 0));
    assert_int_equal(read_rest(&r).len, 0);
    assert_true(reader_done(&r));
    assert_int_equal(read_string(&r, 10).len, 0);
    assert_false(reader_done(&r));
}

static void test_writer_stays_failed(void **state)
{
    uint8_t out[8] = {0};
    (void)state;
    struct writer w = writer_of(out, 3);
    write_u16(&w, 0x0102);
    write_u16(&w, 0x0304);
    write_u8(&w, 5);
    write_bytes(&w, view_of("x", 1));
    write_string(&w, view_of(NULL, 0));
    assert_true(w.failed);
    assert_int_equal(writer_len(&w), 0);
    assert_memory_equal(out, "\x01\x02\0\0\0\0\0\0", 8);
}

static void test_writer_string_limit(void **state)
{
    static uint8_t in[65536], out[2 + 65536];
    (void)state;
    struct writer w = writer_of(out, sizeof out);
    write_string(&w, view_of(in, 65535));
    assert_int_equal(writer_len(&w), 2 + 65535);
    assert_int_equal(load_be16(out), 65535);
    w = writer_of(out, sizeof out);
    write_string(&w, view_of(in, 65536));
    assert_true(w.failed);
    assert_int_equal(writer_len(&w), 0);
}

static void test_name_rule(void **state)
{
    static const char *const good[] = {"a",  "0",   "boston-vmax-01", "a.b.c", "x_y-z.9",
                                       "a.", "a--b"};
    static const char *const bad[] = {"",   ".a",  "-a",   "_a",       "a..b", "a b",
                                      "A",  "a/b", "a\tb", "\xc3\xa9", "a:b",  "a\x7f",
                                      "a*", "a@b", "a[",   "a`"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(name_valid(view_of_string(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(name_valid(view_of_string(bad[i])));
    assert_false(name_valid(view_of("a\0b", 3)));
    assert_false(name_valid(view_of(NULL, 0)));
    char longest[NAME_TEXT_BYTES];
    memset(longest, 'a', sizeof longest);
    assert_true(name_valid(view_of(longest, 64)));
    assert_false(name_valid(view_of(longest, 65)));
}

static void test_hello_roles(void **state)
{
    struct bytes b;
    (void)state;
    from_hex(&b, samples[0].hex);
    for (unsigned role = 0; role < 256; role++) {
        b.data[1] = (uint8_t)role;
        assert_int_equal(accepts(&samples[0], &b), role >= 1 && role <= 4);
    }
}

static bool decodes_hex(const struct codec *codec, const char *hex)
{
    struct sample s = {.codec = codec};
    struct bytes b;
    from_hex(&b, hex);
    return accepts(&s, &b);
}

static void test_no_call_has_no_text(void **state)
{
    (void)state;
    assert_true(decodes_hex(&call_codec, "00 0000"));
    assert_true(decodes_hex(&call_codec, "01 0000"));
    assert_false(decodes_hex(&call_codec, "00 0001 61"));
    assert_true(
        decodes_hex(&agent_entry_codec, "0001 61 " KEY_HEX " 0000 0000 00 00000000 00 0000"));
    assert_false(
        decodes_hex(&agent_entry_codec, "0001 61 " KEY_HEX " 0000 0000 00 00000000 00 0001 61"));
}

/* A body that begins with head and ends with so many bytes without a length. */
static bool decodes_rest(const struct codec *codec, const char *head, size_t rest)
{
    static const uint8_t filler[SAMPLE_MAX];
    struct sample s = {.codec = codec};
    struct bytes b;
    from_hex(&b, head);
    add(&b, filler, rest);
    return accepts(&s, &b);
}

static void test_rest_limits(void **state)
{
    static const struct {
        const struct codec *codec;
        const char *head;
        size_t min, max;
    } rests[] = {
        {&connect_codec, "0001 61", 1, 4120},
        {&message2_codec, "", 1, 4096},
        {&refuse_codec, TICKET_HEX " 0001 0000 0000", 0, 4096},
        {&refused_codec, "0001 0000 0000", 0, 4096},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        assert_true(decodes_rest(rests[i].codec, rests[i].head, rests[i].min));
        assert_true(decodes_rest(rests[i].codec, rests[i].head, rests[i].max));
        assert_false(decodes_rest(rests[i].codec, rests[i].head, rests[i].max + 1));
        assert_int_equal(decodes_rest(rests[i].codec, rests[i].head, 0), rests[i].min == 0);
    }
}

static void test_refusal_forgets_other_fields(void **state)
{
    static const uint8_t body[] = {0, CODE_FULL, 0, 0};
    struct welcome w;
    struct session_welcome sw;
    uint16_t unsupported;
    (void)state;
    memset(&w, 0xee, sizeof w);
    memset(&sw, 0xee, sizeof sw);
    assert_true(welcome_decode(&w, view_of(body, sizeof body), &unsupported));
    assert_int_equal(w.version, 0);
    assert_int_equal(w.name.len, 0);
    assert_int_equal(w.keepalive_s, 0);
    assert_true(session_welcome_decode(&sw, view_of(body, sizeof body), &unsupported));
    assert_int_equal(sw.version, 0);
    assert_int_equal(sw.receive_limit, 0);
    assert_true(bytes_are_zero(sw.session_id, sizeof sw.session_id));
}

static void test_refused_has_no_ticket(void **state)
{
    static const uint8_t body[] = {0, CODE_FULL, 0, 0, 0, 0};
    struct refusal m = {TICKET, 0};
    (void)state;
    assert_true(refused_decode(&m, view_of(body, sizeof body)));
    assert_true(bytes_are_zero(m.ticket, sizeof m.ticket));
}

static void test_code_numbers(void **state)
{
    static const struct {
        enum code code;
        unsigned number;
        int exit;
    } codes[] = {
        {CODE_OK, 0, 0},          {CODE_UNKNOWN_KEY, 1, 4},    {CODE_WRONG_ROLE, 2, 4},
        {CODE_REVOKED, 3, 5},     {CODE_FULL, 4, 1},           {CODE_VERSION, 5, 1},
        {CODE_UNSUPPORTED, 6, 1}, {CODE_NO_AGENT, 7, 6},       {CODE_OFFLINE, 8, 6},
        {CODE_TIMEOUT, 9, 8},     {CODE_DENIED, 10, 5},        {CODE_WRONG_AGENT, 11, 4},
        {CODE_NO_SESSION, 12, 7}, {CODE_ENDED, 13, 7},         {CODE_STALE, 14, 1},
        {CODE_PROTOCOL, 15, 1},   {CODE_INTERNAL, 16, 1},      {CODE_REPLACED, 17, 7},
        {CODE_SHUTDOWN, 18, 7},   {CODE_BAD_HANDSHAKE, 19, 4}, {CODE_TICKET, 20, 1},
        {CODE_DONE, 21, 0},       {CODE_RESUME_WINDOW, 22, 8}, {CODE_NETWORK, 23, 7},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_int_equal(codes[i].number, i);
        assert_int_equal(codes[i].code, i);
        assert_int_equal(code_failure(i), codes[i].exit);
        assert_string_not_equal(code_text(i), "unknown code");
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(code_text(i), code_text(k));
    }
    assert_string_equal(code_text(CODE_UNKNOWN_KEY), "unknown key");
    assert_string_equal(code_text(24), "unknown code");
    assert_string_equal(code_text(65535), "unknown code");
    assert_int_equal(code_failure(24), FAILURE_OTHER);
    assert_int_equal(code_failure(65535), FAILURE_OTHER);
}

/* The calls of an AGENT are an extension, which may stand among others, once. */
static void test_calls_of_an_agent(void **state)
{
    static const char before[] = "7ffe 0001 ff", after[] = "0001 0000";
    struct bytes calls_bytes, more;
    struct agent_entry with = agent_entry, read;
    uint8_t out[SAMPLE_MAX], plain[SAMPLE_MAX];
    uint16_t unsupported;
    struct bytes b = {.len = 0};
    (void)state;
    from_hex(&calls_bytes, TOLD_CALLS_HEX);
    with.calls = view_of(calls_bytes.data, calls_bytes.len);
    size_t len = agent_entry_encode(&with, out, sizeof out);
    size_t plain_len = agent_entry_encode(&agent_entry, plain, sizeof plain);
    assert_int_equal(len, plain_len + 4 + calls_bytes.len);
    assert_memory_equal(out, plain, plain_len);
    assert_int_equal(load_be16(out + plain_len), 16);
    add(&b, plain, plain_len);
    from_hex(&more, before);
    add(&b, more.data, more.len);
    add(&b, out + plain_len, len - plain_len);
    from_hex(&more, after);
    add(&b, more.data, more.len);
    assert_true(agent_entry_decode(&read, view_of(b.data, b.len), &unsupported));
    assert_true(view_equal(read.calls, with.calls));
    add(&b, out + plain_len, len - plain_len); /* twice */
    assert_false(agent_entry_decode(&read, view_of(b.data, b.len), &unsupported));
    out[len - 1] = 0xff; /* a text that is none */
    assert_false(agent_entry_decode(&read, view_of(out, len), &unsupported));
    assert_true(agent_entry_decode(&read, view_of(plain, plain_len), &unsupported));
    assert_int_equal(read.calls.len, 0);
}

/* The first byte of the extension by which a client says what it takes counts, and whoever leaves
 * the extension out takes nothing. */
static void test_takes_of_a_client(void **state)
{
    static const char longer[] = "7ffe 0001 ff 0010 0002 01 ff", empty[] = "0010 0000";
    struct session_hello with = session_hello, read;
    struct bytes b = {.len = 0}, more;
    uint8_t plain[SAMPLE_MAX], out[SAMPLE_MAX];
    uint16_t unsupported;
    size_t plain_len = session_hello_encode(&session_hello, plain, sizeof plain), len;
    (void)state;
    with.takes = HELLO_TAKES_ACCESS;
    len = session_hello_encode(&with, out, sizeof out);
    assert_int_equal(len, plain_len + 5);
    assert_memory_equal(out + plain_len, "\0\x10\0\1\1", 5);
    assert_true(session_hello_decode(&read, view_of(out, len), &unsupported));
    assert_int_equal(read.takes, HELLO_TAKES_ACCESS);
    assert_true(session_hello_decode(&read, view_of(plain, plain_len), &unsupported));
    assert_int_equal(read.takes, 0);
    add(&b, plain, plain_len);
    from_hex(&more, longer);
    add(&b, more.data, more.len);
    assert_true(session_hello_decode(&read, view_of(b.data, b.len), &unsupported));
    assert_int_equal(read.takes, HELLO_TAKES_ACCESS);
    from_hex(&more, empty);
    b.len = 0;
    add(&b, plain, plain_len);
    add(&b, more.data, more.len);
    assert_false(session_hello_decode(&read, view_of(b.data, b.len), &unsupported));
}

/* The same of an agent whose session waits: only the first bit counts. */
static void test_waits_of_an_agent(void **state)
{
    static const struct {
        const char *hex;
        bool decodes, waits;
    } forms[] = {
        {"", true, false},
        {"0010 0001 01", true, true},
        {"0010 0001 fe", true, false},
        {"7ffe 0001 ff 0010 0002 03 ff", true, true},
        {"0011 0001 01", true, false},
        {"0010 0000", false, false},
        {"0010 0001 01 0010 0001 01", false, false},
    };
    struct session_welcome with = session_welcome, read;
    uint8_t plain[SAMPLE_MAX], out[SAMPLE_MAX];
    uint16_t unsupported;
    size_t plain_len = session_welcome_encode(&session_welcome, plain, sizeof plain), len;
    (void)state;
    with.waits = true;
    len = session_welcome_encode(&with, out, sizeof out);
    assert_int_equal(len, plain_len + 5);
    assert_memory_equal(out + plain_len, "\0\x10\0\1\1", 5);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct bytes b = {.len = 0}, more;
        add(&b, plain, plain_len);
        from_hex(&more, forms[i].hex);
        add(&b, more.data, more.len);
        assert_int_equal(session_welcome_decode(&read, view_of(b.data, b.len), &unsupported),
                         forms[i].decodes);
        assert_true(!forms[i].decodes || read.waits == forms[i].waits);
    }
}

/* The user's words: 1 to 256 bytes of UTF-8, beside the other extension. */
static void test_reason_of_a_client(void **state)
{
    static const uint8_t bad[] = {'a', 0xff};
    struct session_hello with = session_hello, read;
    uint8_t plain[SAMPLE_MAX], out[SAMPLE_MAX];
    char words[REASON_MAX_BYTES + 2];
    uint16_t unsupported;
    size_t plain_len = session_hello_encode(&session_hello, plain, sizeof plain), len;
    (void)state;
    with.takes = HELLO_TAKES_WAITING;
    with.reason = (struct view)TEXT("case 4711\n");
    len = session_hello_encode(&with, out, sizeof out);
    assert_memory_equal(out + plain_len,
                        "\0\x10\0\1\2\0\x11\0\x0a"
                        "case 4711\n",
                        len - plain_len);
    assert_true(session_hello_decode(&read, view_of(out, len), &unsupported));
    assert_true(view_equal(read.reason, with.reason));
    assert_int_equal(read.takes, HELLO_TAKES_WAITING);
    memset(words, 'w', sizeof words);
    for (size_t n = REASON_MAX_BYTES; n <= REASON_MAX_BYTES + 1; n++) {
        with.reason = view_of((const uint8_t *)words, n);
        len = session_hello_encode(&with, out, sizeof out);
        assert_int_equal(session_hello_decode(&read, view_of(out, len), &unsupported),
                         n == REASON_MAX_BYTES);
    }
    with.reason = view_of(bad, sizeof bad);
    len = session_hello_encode(&with, out, sizeof out);
    assert_false(session_hello_decode(&read, view_of(out, len), &unsupported));
    assert_int_equal(unsupported, 0);
}

/* As it was typed: 1 to 64 bytes, behind the others. */
static void test_emergency_code_of_a_client(void **state)
{
    struct session_hello with = session_hello, read;
    uint8_t plain[SAMPLE_MAX], out[SAMPLE_MAX];
    char words[EMERGENCY_MAX_BYTES + 2];
    uint16_t unsupported;
    size_t plain_len = session_hello_encode(&session_hello, plain, sizeof plain), len;
    (void)state;
    with.takes = HELLO_TAKES_WAITING;
    with.emergency = (struct view)TEXT("7f3k-");
    len = session_hello_encode(&with, out, sizeof out);
    assert_memory_equal(out + plain_len,
                        "\0\x10\0\1\2\0\x14\0\x05"
                        "7f3k-",
                        len - plain_len);
    assert_true(session_hello_decode(&read, view_of(out, len), &unsupported));
    assert_true(view_equal(read.emergency, with.emergency));
    assert_int_equal(read.reason.len, 0);
    memset(words, 'w', sizeof words);
    for (size_t n = EMERGENCY_MAX_BYTES; n <= EMERGENCY_MAX_BYTES + 1; n++) {
        with.emergency = view_of((const uint8_t *)words, n);
        len = session_hello_encode(&with, out, sizeof out);
        assert_int_equal(session_hello_decode(&read, view_of(out, len), &unsupported),
                         n == EMERGENCY_MAX_BYTES);
    }
}

/* One call too many, one without a severity, a taker whose name is none, a number twice; and who is
 * the gravest. */
static void test_told_calls(void **state)
{
    uint8_t out[TOLD_CALLS_BYTES];
    struct told_calls m = {.count = CALLS_MAX}, read;
    (void)state;
    for (size_t i = 0; i < CALLS_MAX; i++)
        m.all[i] = (struct told_call){(uint32_t)i, 1, (uint32_t)i, TEXT("a"), TEXT("t")};
    size_t len = told_calls_encode(&m, out, sizeof out);
    assert_true(told_calls_decode(&read, view_of(out, len)));
    assert_int_equal(told_calls_gravest(&read)->number, CALLS_MAX - 1);
    read.all[3].severity = 2;
    assert_int_equal(told_calls_gravest(&read)->number, 3);
    m.all[5].taken_by = (struct view)TEXT("A b");
    len = told_calls_encode(&m, out, sizeof out);
    assert_false(told_calls_decode(&read, view_of(out, len)));
    m.all[5].taken_by = (struct view)TEXT("");
    m.all[5].severity = 0;
    len = told_calls_encode(&m, out, sizeof out);
    assert_false(told_calls_decode(&read, view_of(out, len)));
    m.all[5].severity = 1;
    m.all[5].number = CALLS_MAX - 1;
    len = told_calls_encode(&m, out, sizeof out);
    assert_false(told_calls_decode(&read, view_of(out, len)));
    memset(out, 0, sizeof out);
    out[0] = CALLS_MAX + 1;
    for (size_t i = 0; i <= CALLS_MAX; i++)
        out[1 + i * 13 + 4] = 1;
    assert_false(told_calls_decode(&read, view_of(out, 1 + (CALLS_MAX + 1) * 13)));
    out[0] = CALLS_MAX;
    assert_true(told_calls_decode(&read, view_of(out, 1 + CALLS_MAX * 13)));
    read.count = 0;
    assert_null(told_calls_gravest(&read));
}

static void test_names_of_numbers(void **state)
{
    static const char *const messages[] = {
        "?",      "INFO",      "LIST",    "WATCH", "AGENT", "END",  "CONNECT", "OFFER", "ACCEPT",
        "REFUSE", "CONNECTED", "REFUSED", "CALL",  "PING",  "PONG", "BYE",     "?"};
    static const char *const roles[] = {"?", "client", "agent", "agent circuit", "relay", "?"};
    static const char *const states[] = {"offline",   "online",   "dialled",
                                         "duplicate", "unlisted", "?"};
    (void)state;
    for (unsigned i = 0; i < sizeof messages / sizeof messages[0]; i++)
        assert_string_equal(message_name(i), messages[i]);
    for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++)
        assert_string_equal(role_name(i), roles[i]);
    for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++)
        assert_string_equal(agent_state_name(i), states[i]);
    assert_string_equal(message_name(128), "CALLS");
    assert_string_equal(message_name(129), "HEARD");
    assert_string_equal(message_name(130), "HEAD");
    assert_string_equal(message_name(131), "?");
    assert_string_equal(role_name(~0U), "?");
}

/* The table of docs/PROTOCOL.md section 6: the other tests go by the names. */
static void test_limits(void **state)
{
    static const struct {
        const char *name;
        unsigned long value, documented;
    } limits[] = {
#define LIMIT(name, documented) {#name, name, documented}
        LIMIT(SILENT_CONNECTIONS, 8192),
        LIMIT(SILENT_PER_SOURCE, 64),
        LIMIT(SILENT_S, 5),
        LIMIT(HANDSHAKES, 1024),
        LIMIT(HANDSHAKES_PER_SOURCE, 128),
        LIMIT(HANDSHAKE_S, 10),
        LIMIT(SOURCE_MULTIPLICATIONS_PER_S, 300),
        LIMIT(SOURCE_ANSWERS_PER_S, 20),
        LIMIT(MULTIPLICATIONS_PER_S, 1000),
        LIMIT(ANSWERS_PER_S, 50),
        LIMIT(CROWD_TRUST_S, 600),
        LIMIT(RECORD_MAX, 65535),
        LIMIT(RECORD_PLAINTEXT_MAX, 65519),
        LIMIT(NAME_MAX_BYTES, 64),
        LIMIT(TEXT_MAX_BYTES, 1024),
        LIMIT(LABELS_MAX_BYTES, 2048),
        LIMIT(QUERY_MAX_BYTES, 256),
        LIMIT(VERSION_TEXT_MAX_BYTES, 64),
        LIMIT(ADDRESS_MAX_BYTES, 128),
        LIMIT(TARGET_MAX_BYTES, 272),
        LIMIT(REASON_MAX_BYTES, 256),
        LIMIT(PERMIT_MAX_BYTES, 2048),
        LIMIT(VOUCH_MAX_BYTES, 256),
        LIMIT(SESSION_MESSAGE1_MAX, 4120),
        LIMIT(SESSION_MESSAGE2_MAX, 4096),
        LIMIT(HOPS_PER_USER, 256),
        LIMIT(CIRCUITS_PER_USER_AGENT, 32),
        LIMIT(HOPS_PER_RELAY, 256),
        LIMIT(PENDING_PER_USER_AGENT, 4),
        LIMIT(CONNECT_RATE_PER_S, 1),
        LIMIT(CONNECT_BURST, 10),
        LIMIT(CONNECT_WAIT_S, 20),
        LIMIT(LIST_RATE_PER_S, 5),
        LIMIT(LIST_BURST, 20),
        LIMIT(LOOK_RATE_PER_S, 50000),
        LIMIT(LOOK_BURST, 50000),
        LIMIT(TICKET_S, 15),
        LIMIT(OFFERS_WORKING, 4),
        LIMIT(OFFERS_QUEUED, 16),
        LIMIT(OFFER_RATE_PER_S, 50),
        LIMIT(OFFER_BURST, 200),
        LIMIT(CIRCUIT_START_S, 15),
        LIMIT(CIRCUIT_DRAIN_S, 5),
        LIMIT(CIRCUIT_IDLE_S, 90),
        LIMIT(CALL_INTERVAL_S, 10),
        LIMIT(KEEPALIVE_MIN_S, 5),
        LIMIT(KEEPALIVE_MAX_S, 60),
        LIMIT(KEEPALIVE_DEFAULT_S, 15),
        LIMIT(BYE_RETRY_MAX_S, 3600),
        LIMIT(REFUSAL_RETRY_MAX_S, 300),
        LIMIT(HOP_MAX_AGE_S, 24UL * 3600),
        LIMIT(SESSIONS_PER_USER, 8),
        LIMIT(SESSIONS_NOT_STARTED_PER_RELAY, 32),
        LIMIT(SESSIONS_PER_AGENT, 64),
        LIMIT(RECEIVE_LIMIT_ALL, 256UL << 20),
        LIMIT(RING_LIMIT_ALL, 256UL << 20),
        LIMIT(STREAMS_DEFAULT, 1024),
        LIMIT(STREAMS_MAX, 16384),
        LIMIT(AGENT_STREAMS_MAX, 256),
        LIMIT(LISTENERS_DEFAULT, 16),
        LIMIT(LISTENERS_MAX, 256),
        LIMIT(LISTEN_RATE_PER_S, 10),
        LIMIT(LISTEN_BURST, 256),
        LIMIT(UDP_OPEN_RATE_PER_S, 200),
        LIMIT(UDP_OPEN_BURST, 1024),
        LIMIT(CONNECTS_IN_PROGRESS, 64),
        LIMIT(TARGET_CONNECT_S, 15),
        LIMIT(CREDIT_MAX, 0x7fffffff),
        LIMIT(DATAGRAM_MAX, 65507),
        LIMIT(EARLY_DATAGRAMS, 4),
        LIMIT(EARLY_DATAGRAM_BYTES, 8UL << 10),
        LIMIT(DATAGRAM_IDLE_S, 120),
        /* and of sections 4 and 5 */
        LIMIT(DUPLICATE_WAIT_S, 60),
        LIMIT(DUPLICATE_SETTLED_S, 10),
        LIMIT(DUPLICATE_RETURN_S, 2),
        LIMIT(RESUME_WINDOW_DEFAULT_S, 600),
        LIMIT(CLOSE_WAIT_S, 3),
        LIMIT(ENDED_KEPT_S, 60),
#undef LIMIT
    };
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value != limits[i].documented)
            fail_msg("%s is %lu, not %lu", limits[i].name, limits[i].value, limits[i].documented);
}

static void test_samples(void **state)
{
    (void)state;
    check_samples(samples, sizeof samples / sizeof samples[0]);
}

/* A permit stands behind what there was before, in HELLO and in payload 1, whole or not at all. */
static void test_permit_extension(void **state)
{
    static uint8_t permit[PERMIT_MAX_BYTES + 1], out[PERMIT_MAX_BYTES + 512];
    struct hello asks = hello, got;
    struct session_hello with = session_hello, read;
    uint16_t unsupported;
    size_t len;
    (void)state;
    memset(permit, 7, sizeof permit);
    for (size_t n = PERMIT_MAX_BYTES; n <= PERMIT_MAX_BYTES + 1; n++) {
        asks.permit = with.permit = view_of(permit, n);
        len = hello_encode(&asks, out, sizeof out);
        assert_int_equal(len, 34 + 4 + n);
        assert_int_equal(load_be16(out + 34), 32);
        assert_int_equal(hello_decode(&got, view_of(out, len), &unsupported),
                         n == PERMIT_MAX_BYTES);
        assert_true(view_equal(got.permit, asks.permit));
        len = session_hello_encode(&with, out, sizeof out);
        assert_int_equal(session_hello_decode(&read, view_of(out, len), &unsupported),
                         n == PERMIT_MAX_BYTES);
        assert_true(view_equal(read.permit, with.permit));
    }
    len = hello_encode(&hello, out, sizeof out);
    assert_true(hello_decode(&got, view_of(out, len), &unsupported));
    assert_int_equal(got.permit.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_fields),
        cmocka_unit_test(test_reader_stays_failed),
        cmocka_unit_test(test_reader_of_nothing),
        cmocka_unit_test(test_writer_stays_failed),
        cmocka_unit_test(test_writer_string_limit),
        cmocka_unit_test(test_name_rule),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_hello_roles),
        cmocka_unit_test(test_permit_extension),
        cmocka_unit_test(test_no_call_has_no_text),
        cmocka_unit_test(test_rest_limits),
        cmocka_unit_test(test_refusal_forgets_other_fields),
        cmocka_unit_test(test_refused_has_no_ticket),
        cmocka_unit_test(test_code_numbers),
        cmocka_unit_test(test_calls_of_an_agent),
        cmocka_unit_test(test_takes_of_a_client),
        cmocka_unit_test(test_waits_of_an_agent),
        cmocka_unit_test(test_reason_of_a_client),
        cmocka_unit_test(test_emergency_code_of_a_client),
        cmocka_unit_test(test_told_calls),
        cmocka_unit_test(test_names_of_numbers),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
