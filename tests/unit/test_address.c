/* Unit tests of modules/net/address.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct address literal(const char *host, uint16_t port)
{
    struct address a;
    assert_true(address_from_literal(&a, host, port));
    return a;
}

static void literals_and_their_text(void **state)
{
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1:7443"},
        {"0.0.0.0", "0.0.0.0:7443"},
        {"2001:db8::1", "[2001:db8::1]:7443"},
        {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:7443"},
        {"::", "[::]:7443"},
        {"::ffff:192.0.2.1", "192.0.2.1:7443"},
        {"fe80::1%lo", "[fe80::1%lo]:7443"},
        {"fe80::1%1", "[fe80::1%lo]:7443"},
        {"fe80::1%987654", "[fe80::1%987654]:7443"},
    };
    char text[ADDRESS_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a = literal(cases[i][0], 7443);
        address_to_text(text, &a);
        assert_string_equal(text, cases[i][1]);
        assert_int_equal(address_port(&a), 7443);
    }
}

static void other_spellings_are_no_literals(void **state)
{
    static const char *const bad[] = {
        "",
        "localhost",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "0x7f.0.0.1",
        "127.1",
        "2130706433",
        " 127.0.0.1",
        "127.0.0.1 ",
        "[::1]",
        "::1::",
        "fe80::1%",
        "fe80::1%no-such-if",
        "fe80::1%1x",
        "fe80::1%4294967296",
        "127.0.0.1%lo",
        ":",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
    struct address a;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(address_from_literal(&a, bad[i], 1));
}

static void ports_are_set(void **state)
{
    struct address a = literal("192.0.2.1", 1), b = literal("::1", 2), c = {0};
    (void)state;
    address_set_port(&a, 0x1234);
    address_set_port(&b, 65535);
    assert_int_equal(address_port(&a), 0x1234);
    assert_int_equal(address_port(&b), 65535);
    c.storage.ss_family = AF_UNIX;
    address_set_port(&c, 5);
    assert_int_equal(address_port(&c), 0);
}

static struct address unix_address(const char *path, size_t path_len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct address a = {0};
    memcpy(un.sun_path, path, path_len);
    memcpy(&a.storage, &un, sizeof un);
    a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    return a;
}

static void unix_paths_are_shown(void **state)
{
    char text[ADDRESS_TEXT_BYTES], full[sizeof((struct sockaddr_un *)NULL)->sun_path];
    struct address a = unix_address("/run/x", 7);
    (void)state;
    address_to_text(text, &a);
    assert_string_equal(text, "unix:/run/x");
    a = unix_address("/run/x", 6);
    address_to_text(text, &a);
    assert_string_equal(text, "unix:/run/x");
    a = unix_address("\0name", 5);
    address_to_text(text, &a);
    assert_string_equal(text, "unix:@name");
    a = unix_address("", 0);
    address_to_text(text, &a);
    assert_string_equal(text, "unix:");
    a = unix_address("a\nb", 4);
    address_to_text(text, &a);
    assert_string_equal(text, "unix:a?b");
    memset(full, 'p', sizeof full); /* without a terminator */
    a = unix_address(full, sizeof full);
    address_to_text(text, &a);
    assert_int_equal(strlen(text), 5 + sizeof full);
}

static void unknown_families_are_harmless(void **state)
{
    struct address a = {0}, b = literal("::", 1);
    char text[ADDRESS_TEXT_BYTES];
    uint8_t source[9];
    (void)state;
    address_to_text(text, &a);
    assert_string_equal(text, "unknown");
    address_source(source, &a);
    assert_memory_equal(source, "\0\0\0\0\0\0\0\0\0", 9);
    assert_false(address_is_loopback(&a));
    assert_false(address_in_prefix(&a, &a, 0));
    assert_false(address_in_prefix(&a, &b, 0));
    assert_false(address_in_prefix(&b, &a, 0));
}

static void sources_are_one_for_mapped_and_a_64(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"0.0.0.0", "::", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a = literal(cases[i].a, 1), b = literal(cases[i].b, 2);
        uint8_t x[9], y[9];
        address_source(x, &a);
        address_source(y, &b);
        assert_int_equal(memcmp(x, y, sizeof x) == 0, cases[i].same);
    }
}

static void prefixes_hold_addresses(void **state)
{
    static const struct {
        const char *address, *prefix;
        unsigned bits;
        bool inside;
    } cases[] = {
        {"10.1.2.3", "10.0.0.0", 8, true},
        {"11.1.2.3", "10.0.0.0", 8, false},
        {"10.127.0.1", "10.0.0.0", 9, true},
        {"10.128.0.1", "10.0.0.0", 9, false},
        {"10.1.2.3", "10.1.2.3", 32, true},
        {"10.1.2.2", "10.1.2.3", 32, false},
        {"10.1.2.2", "10.1.2.3", 31, true},
        {"10.1.2.3", "10.1.2.3", 33, false},
        {"255.1.2.3", "0.0.0.0", 0, true},
        {"::ffff:10.1.2.3", "10.0.0.0", 8, true},
        {"10.1.2.3", "::ffff:10.0.0.0", 104, true},
        {"11.1.2.3", "::ffff:10.0.0.0", 104, false},
        {"10.1.2.3", "::ffff:10.0.0.0", 90, false},
        {"10.1.2.3", "::", 0, false},
        {"::1", "0.0.0.0", 0, false},
        {"fd00:1::1", "fd00::", 8, true},
        {"fe00:1::1", "fd00::", 8, false},
        {"2001:db8::1", "2001:db8::1", 128, true},
        {"2001:db8::2", "2001:db8::1", 128, false},
        {"2001:db8::1", "2001:db8::1", 129, false},
        {"2001:db8::1", "::", 0, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a = literal(cases[i].address, 1), p = literal(cases[i].prefix, 0);
        assert_int_equal(address_in_prefix(&a, &p, cases[i].bits), cases[i].inside);
    }
}

static void loopback_is_known(void **state)
{
    static const struct {
        const char *address;
        bool loopback;
    } cases[] = {
        {"127.0.0.1", true},    {"127.9.9.9", true}, {"::1", true},  {"::ffff:127.0.0.1", true},
        {"0.0.0.0", false},     {"::", false},       {"::2", false}, {"128.0.0.1", false},
        {"::127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a = literal(cases[i].address, 1);
        assert_int_equal(address_is_loopback(&a), cases[i].loopback);
    }
}

static void sockets_tell_both_ends(void **state)
{
    struct address any = literal("127.0.0.1", 0), listening, own, remote;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    char own_text[ADDRESS_TEXT_BYTES], remote_text[ADDRESS_TEXT_BYTES];
    (void)state;
    assert_int_equal(bind(listener, (const struct sockaddr *)&any.storage, any.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_true(address_of_socket(&listening, listener, false));
    assert_true(address_port(&listening) != 0);
    assert_false(address_of_socket(&remote, fd, true));
    assert_int_equal(connect(fd, (const struct sockaddr *)&listening.storage, listening.len), 0);
    assert_true(address_of_socket(&remote, fd, true));
    assert_true(address_of_socket(&own, fd, false));
    address_to_text(own_text, &own);
    address_to_text(remote_text, &remote);
    assert_int_equal(address_port(&remote), address_port(&listening));
    assert_int_equal(strncmp(remote_text, "127.0.0.1:", 10), 0);
    assert_string_not_equal(own_text, remote_text);
    close(fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_their_text),
        cmocka_unit_test(other_spellings_are_no_literals),
        cmocka_unit_test(ports_are_set),
        cmocka_unit_test(unix_paths_are_shown),
        cmocka_unit_test(unknown_families_are_harmless),
        cmocka_unit_test(sources_are_one_for_mapped_and_a_64),
        cmocka_unit_test(prefixes_hold_addresses),
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(sockets_tell_both_ends),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
