/* Unit tests of modules/config/values.h: what every parser takes and what it refuses, with its
 * text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "config/values.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define NAME_64 "a234567890123456789012345678901234567890123456789012345678901234"
#define LABEL_63 "a23456789012345678901234567890123456789012345678901234567890123"

static void assert_usage(struct error *e, const char *text)
{
    assert_int_equal(e->failure, FAILURE_USAGE);
    assert_string_equal(e->text, text);
    *e = (struct error){0};
}

static void numbers(void **state)
{
    static const struct number_range range = {5, 60, PLAIN_NUMBER}, all = {0, UINT32_MAX};
    static const char *const bad[] = {"",
                                      "4",
                                      "61",
                                      "-5",
                                      "+5",
                                      " 5",
                                      "5 ",
                                      "5x",
                                      "5 s",
                                      "0x5",
                                      "5.0",
                                      "4294967301",
                                      "18446744073709551621",
                                      "00000000000000000000000000000005"};
    struct error e = {0};
    uint32_t v;
    (void)state;
    assert_true(value_number(&v, "5", &range, &e) && v == 5);
    assert_true(value_number(&v, "060", &range, &e) && v == 60);
    assert_true(value_number(&v, "4294967295", &all, &e) && v == UINT32_MAX);
    for (size_t i = 0; i < COUNT(bad); i++) {
        char expected[100];
        assert_false(value_number(&v, bad[i], &range, &e));
        snprintf(expected, sizeof expected, "'%s' is not a number from 5 to 60", bad[i]);
        assert_usage(&e, expected);
    }
    assert_false(value_number(&v, "4294967296", &all, &e));
}

static void durations(void **state)
{
    static const struct number_range range = {5, 172800, SECONDS}, all = {0, UINT32_MAX, SECONDS};
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {{"5", 5},          {"5s", 5},       {"90 s", 90},  {"10min", 600},
                {"10 \tmin", 600}, {"48h", 172800}, {"1 d", 86400}};
    static const char *const bad[] = {"",   "s",    "4 s",   "3 d",  "49h",         "10 m",
                                      "1H", "1 hr", "1 h 5", "-1 h", "4294967296 d"};
    struct error e = {0};
    uint32_t v;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_number(&v, good[i].text, &range, &e));
        assert_int_equal(v, good[i].seconds);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        char expected[120];
        assert_false(value_number(&v, bad[i], &range, &e));
        snprintf(expected, sizeof expected,
                 "'%s' is not a number of seconds from 5 to 172800; s, min, h or d may follow it",
                 bad[i]);
        assert_usage(&e, expected);
    }
    assert_true(value_number(&v, "49710 d", &all, &e) && v == 49710U * 86400);
    assert_false(value_number(&v, "49711 d", &all, &e)); /* above 32 bits */
}

static void hosts_and_ports(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t default_port, port;
    } good[] = {
        {"relay.example.com:7443", "relay.example.com", 0, 7443},
        {"relay.example.com", "relay.example.com", 7443, 7443},
        {"relay.example.com:1", "relay.example.com", 7443, 1},
        {"192.0.2.1:22", "192.0.2.1", 0, 22},
        {"[::1]:65535", "::1", 0, 65535},
        {"[::1]", "::1", 7443, 7443},
        {"[fe80::1%eth0.5]:22", "fe80::1%eth0.5", 0, 22},
        {"under_score-1.x:22", "under_score-1.x", 0, 22},
        {LABEL_63 ".x:22", LABEL_63 ".x", 0, 22},
        {"web.example.:22", "web.example", 0, 22},
        {"a.", "a", 7443, 7443},
        {"192.0.2.1.:22", "192.0.2.1", 0, 22},
    };
    static const char *const bad[] = {"",
                                      "host",
                                      "host:",
                                      "host:0",
                                      "host:65536",
                                      "host:22x",
                                      ":22",
                                      "::1:22",
                                      "[::1:22",
                                      "[::1]22",
                                      "[host]:22",
                                      "[127.0.0.1]:22",
                                      "[]:22",
                                      "-host:22",
                                      "ho st:22",
                                      "a..b:22",
                                      ".a:22",
                                      "a..:22",
                                      ".:22",
                                      "127.1:22",
                                      "0x7f.1:22",
                                      "1.2.3.0x7f:22",
                                      "2130706433:22",
                                      "h\xc3\xa9:22",
                                      "host/8:22",
                                      "[fe80::1%]:22",
                                      "[fe80::1%a b]:22",
                                      "user@host:22",
                                      "host:22:22",
                                      LABEL_63 "x:22",
                                      LABEL_63 "x.a:22"};
    struct host_port out;
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_host_port(&out, good[i].text, good[i].default_port, &e));
        assert_string_equal(out.host, good[i].host);
        assert_int_equal(out.port, good[i].port);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_host_port(&out, bad[i], 0, &e));
        e = (struct error){0};
    }
    assert_false(value_host_port(&out, "::1:22", 0, &e));
    assert_usage(&e, "'::1:22' is not HOST:PORT (a name or an address, IPv6 in brackets: "
                     "[2001:db8::1]:22; the port from 1 to 65535)");
    assert_false(value_host_port(&out, "a:0", 7443, &e));
    assert_usage(&e, "'a:0' is not HOST or HOST:PORT (a name or an address, IPv6 in brackets: "
                     "[2001:db8::1]:22; the port from 1 to 65535)");
}

/* A host name of 253 characters is taken, of 254 not, and none overruns its field. */
static void host_names_are_bounded(void **state)
{
    char text[600];
    struct host_port out;
    struct error e = {0};
    (void)state;
    for (size_t len = 200; len < 500; len++) {
        for (size_t i = 0; i < len; i++)
            text[i] = i % 10 == 9 && i + 1 < len ? '.' : 'a';
        strcpy(text + len, ":22");
        assert_int_equal(value_host_port(&out, text, 0, &e), len <= 253);
        e = (struct error){0};
    }
}

static void listening_addresses(void **state)
{
    static const char *const good[][2] = {
        {"7443", "127.0.0.1:7443"},
        {"0", "127.0.0.1:0"},
        {"192.0.2.1:7443", "192.0.2.1:7443"},
        {"[::]:7443", "[::]:7443"},
        {"[::1]:7443", "[::1]:7443"},
        {"*:7443", "[::]:7443"},
        {":7443", "[::]:7443"},
        {"localhost:7443", "127.0.0.1:7443"},
        {"LocalHost:7443", "127.0.0.1:7443"},
    };
    static const char *const bad[] = {"",         "65536", "host:22", "127.0.0.1",
                                      "::1:22",   "[::1]", "[*]:22",  "1:2:3",
                                      "127.1:22", "*",     "[::1]:x", "[127.0.0.1]:22"};
    struct address a;
    struct error e = {0};
    char text[ADDRESS_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_listen(&a, good[i][0], "127.0.0.1", &e));
        address_to_text(text, &a);
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_listen(&a, bad[i], "127.0.0.1", &e));
        e = (struct error){0};
    }
    assert_false(value_listen(&a, "host:22", "127.0.0.1", &e));
    assert_usage(&e, "'host:22' is not an address to listen on: PORT, ADDRESS:PORT, [IPV6]:PORT or "
                     "*:PORT, the address in numbers or localhost");
}

static void targets(void **state)
{
    static const struct {
        const char *text;
        enum target_kind kind;
        const char *host;
        uint16_t port;
    } good[] = {
        {"tcp:host:22", TARGET_TCP, "host", 22},
        {"tcp:[::1]:22", TARGET_TCP, "::1", 22},
        {"udp:192.0.2.1:161", TARGET_UDP, "192.0.2.1", 161},
        {"unix:/run/x:y.sock", TARGET_UNIX, "/run/x:y.sock", 0},
    };
    static const char *const bad[] = {"",         "host:22",   "tcp:host", "TCP:host:22", "tcp:",
                                      "unix:run", "unix:",     "tcp::22",  "sctp:a:1",    "tcp:a:0",
                                      "tcp:*:22", "tcp:a:1-2", " tcp:a:1", "tcp:a:1 "};
    struct target t;
    struct error e = {0};
    char text[TARGET_TEXT_BYTES], longer[200];

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_target(&t, good[i].text, &e));
        assert_int_equal(t.kind, good[i].kind);
        assert_string_equal(t.at.host, good[i].host);
        assert_int_equal(t.at.port, good[i].port);
        target_to_text(text, &t);
        assert_string_equal(text, good[i].text);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_target(&t, bad[i], &e));
        e = (struct error){0};
    }
    snprintf(longer, sizeof longer, "unix:/%0106d", 0);
    assert_true(value_target(&t, longer, &e));
    snprintf(longer, sizeof longer, "unix:/%0107d", 0);
    assert_false(value_target(&t, longer, &e));
    e = (struct error){0};
    assert_false(value_target(&t, "host:22", &e));
    assert_usage(&e, "'host:22' is not a target: tcp:HOST:PORT, udp:HOST:PORT or unix:/PATH (IPv6 "
                     "in brackets, a path under 108 bytes)");
}

static void target_patterns_are_checked(void **state)
{
    static const char *const good[] = {"tcp:*:*",
                                       "tcp:127.0.0.1:22",
                                       "udp:a.b:1-65535",
                                       "tcp:10.0.0.0/8:*",
                                       "tcp:[fd00::]/8:443",
                                       "tcp:[::1]:22-22",
                                       "tcp:0.0.0.0/0:1",
                                       "unix:/run/x",
                                       "tcp:[::]/128:1",
                                       "udp:a:69 any-port",
                                       "udp:10.0.0.0/8:69 \t any-port",
                                       "tcp:a.:1"};
    static const char *const bad[] = {"",
                                      "tcp:",
                                      "tcp:*",
                                      "tcp:a:",
                                      "tcp:a:0",
                                      "tcp:a:2-1",
                                      "tcp:a:1-",
                                      "tcp:a:-1",
                                      "tcp:a:1-2-3",
                                      "tcp:a:65536",
                                      "tcp:10.0.0.0/33:1",
                                      "tcp:10.0.0.0/:1",
                                      "tcp:10.0.0.0/x:1",
                                      "tcp:[::]/129:1",
                                      "tcp:a/8:1",
                                      "tcp:*/8:1",
                                      "tcp:[*]:1",
                                      "tcp:[a]:1",
                                      "tcp:::1:1",
                                      "unix:x",
                                      "unix:*",
                                      "a:1",
                                      "tcp:10.0:22",
                                      "tcp:1.2.3.4/0008:1",
                                      "tcp:a b:1",
                                      "tcp:a:1 any-port",
                                      "unix:/a any-port",
                                      "udp:a:1any-port",
                                      "udp:a:1 any-ports",
                                      "any-port",
                                      " any-port",
                                      "tcp:[127.0.0.1]:1"};
    struct target_pattern p;
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(value_target_pattern(&p, good[i], &e));
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_target_pattern(&p, bad[i], &e));
        e = (struct error){0};
    }
    assert_false(value_target_pattern(&p, "tcp:[fe80::]/10:22", &e));
    assert_usage(&e, "'tcp:[fe80::]/10:22' is link-local and needs an interface, such as "
                     "[fe80::1%eth0]");
    assert_false(value_target_pattern(&p, "udp:[ff02::1]:22", &e));
    assert_usage(&e,
                 "'udp:[ff02::1]:22' is link-local and needs an interface, such as [fe80::1%eth0]");
    assert_false(value_target_pattern(&p, "tcp:a", &e));
    assert_usage(&e, "'tcp:a' is not a target to allow: tcp:HOST:PORTS or udp:HOST:PORTS (HOST a "
                     "name, an address, 10.0.0.0/8, [fd00::]/8 or *; PORTS 22, 8000-8099 or *) or "
                     "unix:/PATH");
}

static void listen_patterns_are_checked(void **state)
{
    static const char *const good[] = {"127.0.0.1:8080", "127.0.0.0/8:1024-65535", "*:*",
                                       "[::1]:80",       "[fd00::]/8:*",           "unix:/run/x"};
    static const char *const bad[] = {"",         "8080",   "127.0.0.1",   "127.0.0.1:0",
                                      "[::1]",    "a:1",    "localhost:1", "tcp:127.0.0.1:1",
                                      "unix:run", "*:2-1",  "::1:80",      "udp:127.0.0.1:1",
                                      "*",        "*/8:80", "127.0.0.1:"};
    struct target_pattern p;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_listen_pattern(&p, good[i], &e));
        assert_int_equal(p.kind, strncmp(good[i], "unix:", 5) == 0 ? TARGET_UNIX : TARGET_TCP);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_listen_pattern(&p, bad[i], &e));
        e = (struct error){0};
    }
    assert_true(value_listen_pattern(&p, "[fe80::1%1]:80", &e));
    assert_false(value_listen_pattern(&p, "[fe80::1]:80", &e));
    assert_usage(&e, "'[fe80::1]:80' is link-local and needs an interface, such as [fe80::1%eth0]");
    assert_true(value_listen_pattern(&p, "10.0.0.0/8:8000-8999", &e));
    assert_true(p.has_prefix && p.prefix_bits == 8);
    assert_int_equal(p.port_first, 8000);
    assert_int_equal(p.port_last, 8999);
}

static void target_patterns_allow(void **state)
{
    static const struct {
        const char *pattern, *target, *address;
        enum permission before;
        bool allows;
    } cases[] = {
        {"tcp:*:*", "tcp:host:22", "192.0.2.1", PERMIT_PERHAPS, true},
        {"tcp:*:*", "udp:host:22", "192.0.2.1", PERMIT_NEVER, false},
        {"tcp:127.0.0.1:22", "tcp:127.0.0.1:22", "127.0.0.1", PERMIT_PERHAPS, true},
        {"tcp:127.0.0.1:22", "tcp:127.0.0.1:23", "127.0.0.1", PERMIT_NEVER, false},
        {"tcp:127.0.0.1:22", "tcp:127.0.0.2:22", "127.0.0.2", PERMIT_NEVER, false},
        {"tcp:127.0.0.1:22", "tcp:localhost:22", "127.0.0.1", PERMIT_KNOWN_HERE, true},
        {"tcp:127.0.0.1:22", "tcp:localhost:22", "::1", PERMIT_KNOWN_HERE, false},
        {"tcp:127.0.0.1:22", "tcp:[::ffff:127.0.0.1]:22", "::ffff:127.0.0.1", PERMIT_PERHAPS, true},
        {"tcp:127.0.0.0/8:22", "tcp:host:22", "127.0.0.9", PERMIT_KNOWN_HERE, true},
        {"tcp:126.0.0.0/7:22", "tcp:host:22", "127.0.0.1", PERMIT_PERHAPS, true},
        {"tcp:127.0.0.1/7:22", "tcp:host:22", "126.0.0.1", PERMIT_PERHAPS, true},
        {"tcp:[::1]/127:22", "tcp:host:22", "::", PERMIT_PERHAPS, true},
        {"tcp:[::ffff:127.0.0.1]/103:22", "tcp:host:22", "126.0.0.1", PERMIT_PERHAPS, true},
        {"tcp:[::1]:22", "tcp:host:22", "::1", PERMIT_KNOWN_HERE, true},
        {"tcp:[::]/127:22", "tcp:host:22", "::1", PERMIT_PERHAPS, true},
        {"tcp:[::ffff:127.0.0.0]/104:22", "tcp:host:22", "127.0.0.1", PERMIT_KNOWN_HERE, true},
        {"tcp:[::1]:22", "tcp:host:23", "::1", PERMIT_NEVER, false},
        {"tcp:10.0.0.0/8:1-9", "tcp:10.2.3.4:9", "10.2.3.4", PERMIT_PERHAPS, true},
        {"tcp:10.0.0.0/8:1-9", "tcp:10.2.3.4:10", "10.2.3.4", PERMIT_NEVER, false},
        {"tcp:10.0.0.0/8:1-9", "tcp:host:1", "11.2.3.4", PERMIT_PERHAPS, false},
        {"tcp:[fe80::1%1]:22", "tcp:[fe80::1%1]:22", "fe80::1%1", PERMIT_PERHAPS, true},
        {"tcp:[fe80::1%1]:22", "tcp:[fe80::1%2]:22", "fe80::1%2", PERMIT_NEVER, false},
        {"tcp:[fe80::1%1]:22", "tcp:[fe80::1]:22", "fe80::1", PERMIT_NEVER, false},
        {"tcp:[fe80::%1]/10:22", "tcp:host:22", "fe80::5%1", PERMIT_PERHAPS, true},
        {"tcp:[fe80::%1]/10:22", "tcp:host:22", "fe80::5%2", PERMIT_PERHAPS, false},
        {"tcp:[::]/0:22", "tcp:[fe80::1%2]:22", "fe80::1%2", PERMIT_PERHAPS, true},
        {"tcp:[fd00::]/8:443", "tcp:[fd01::1]:443", "fd01::1", PERMIT_PERHAPS, true},
        {"tcp:[fd00::]/8:443", "tcp:10.0.0.1:443", "10.0.0.1", PERMIT_NEVER, false},
        {"tcp:db.lab:5432", "tcp:db.lab:5432", "192.0.2.9", PERMIT_PERHAPS, true},
        {"tcp:db.lab:5432", "tcp:DB.Lab:5432", "192.0.2.9", PERMIT_PERHAPS, true},
        {"tcp:db.lab:5432", "tcp:db.lab2:5432", "192.0.2.9", PERMIT_NEVER, false},
        {"tcp:db.lab:5432", "tcp:192.0.2.9:5432", "192.0.2.9", PERMIT_NEVER, false},
        {"unix:/run/x", "unix:/run/x", "::1", PERMIT_PERHAPS, true},
        {"unix:/run/x", "unix:/run/X", "::1", PERMIT_NEVER, false},
        {"tcp:*:*", "unix:/run/x", "::1", PERMIT_NEVER, false},
    };
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target_pattern p;
        struct target t;
        struct address a;
        assert_true(value_target_pattern(&p, cases[i].pattern, &e));
        assert_true(value_target(&t, cases[i].target, &e));
        assert_true(address_from_literal(&a, cases[i].address, t.at.port));
        assert_int_equal(target_pattern_permits(&p, &t), cases[i].before);
        assert_int_equal(target_pattern_allows(&p, &t, &a), cases[i].allows);
    }
}

static void forwards(void **state)
{
    static const struct {
        enum forward_kind kind;
        const char *text, *listen, *target;
    } good[] = {
        {FORWARD_LOCAL, "8022:host:22", "127.0.0.1:8022", "tcp:host:22"},
        {FORWARD_LOCAL, "0:[::1]:22", "127.0.0.1:0", "tcp:[::1]:22"},
        {FORWARD_LOCAL, "192.0.2.1:8022:10.0.0.1:22", "192.0.2.1:8022", "tcp:10.0.0.1:22"},
        {FORWARD_LOCAL, "[::1]:8022:[fd00::1]:22", "[::1]:8022", "tcp:[fd00::1]:22"},
        {FORWARD_LOCAL, "*:8022:host:22", "[::]:8022", "tcp:host:22"},
        {FORWARD_LOCAL, ":8022:host:22", "[::]:8022", "tcp:host:22"},
        {FORWARD_LOCAL, "localhost:8022:host:22", "127.0.0.1:8022", "tcp:host:22"},
        {FORWARD_LOCAL, "/a/b:host:22", "unix:/a/b", "tcp:host:22"},
        {FORWARD_LOCAL, "/a/b:/c d:e", "unix:/a/b", "unix:/c d:e"},
        {FORWARD_LOCAL, "8022:/c", "127.0.0.1:8022", "unix:/c"},
        {FORWARD_LOCAL, "[::1]:8022:/c", "[::1]:8022", "unix:/c"},
        {FORWARD_LOCAL, "*:8022:/c", "[::]:8022", "unix:/c"},
        {FORWARD_REMOTE, "8022:host:22", "127.0.0.1:8022", "tcp:host:22"},
        {FORWARD_LOCAL, "localhost.:8022:host.:22", "127.0.0.1:8022", "tcp:host:22"},
        {FORWARD_REMOTE, "localhost:8022:host:22", "127.0.0.1:8022", "tcp:host:22"},
        {FORWARD_REMOTE, "/a:/b", "unix:/a", "unix:/b"},
        {FORWARD_UDP, "53:host:53", "127.0.0.1:53", "udp:host:53"},
        {FORWARD_UDP, "*:53:[::1]:53", "[::]:53", "udp:[::1]:53"},
        {FORWARD_DYNAMIC, "1080", "127.0.0.1:1080", NULL},
        {FORWARD_DYNAMIC, "localhost:1080", "127.0.0.1:1080", NULL},
        {FORWARD_DYNAMIC, "*:0", "[::]:0", NULL},
        {FORWARD_DYNAMIC, "[::1]:1080", "[::1]:1080", NULL},
    };
    static const struct {
        enum forward_kind kind;
        const char *text;
    } bad[] = {
        {FORWARD_LOCAL, ""},
        {FORWARD_LOCAL, "8022"},
        {FORWARD_LOCAL, "8022:host"},
        {FORWARD_LOCAL, "8022:host:"},
        {FORWARD_LOCAL, "8022::22"},
        {FORWARD_LOCAL, "x:host:22"},
        {FORWARD_LOCAL, "65536:host:22"},
        {FORWARD_LOCAL, "a:1:host:22"},
        {FORWARD_LOCAL, "1:2:host:22"},
        {FORWARD_LOCAL, "::1:1:host:22"},
        {FORWARD_LOCAL, "1:host:22:3"},
        {FORWARD_LOCAL, "1:host:0"},
        {FORWARD_LOCAL, "[::1]:host:22"},
        {FORWARD_LOCAL, "[::1]8022:host:22"},
        {FORWARD_LOCAL, "[::1]:[22]:host:22"},
        {FORWARD_LOCAL, "8022:::1:22"},
        {FORWARD_LOCAL, "/a"},
        {FORWARD_LOCAL, "/a:"},
        {FORWARD_LOCAL, "/a:22"},
        {FORWARD_LOCAL, "1:x/y"},
        {FORWARD_LOCAL, "/a:b:host:22"},
        {FORWARD_UDP, "/a:host:22"},
        {FORWARD_UDP, "1:/a"},
        {FORWARD_DYNAMIC, ""},
        {FORWARD_DYNAMIC, "/a"},
        {FORWARD_DYNAMIC, "1:host:22"},
        {FORWARD_DYNAMIC, "host:1"},
    };
    struct forward f;
    struct error e = {0};
    char listen[ADDRESS_TEXT_BYTES], target[TARGET_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_forward(&f, good[i].kind, good[i].text, &e));
        assert_int_equal(f.kind, good[i].kind);
        assert_int_equal(f.both_loopbacks, strncmp(good[i].text, "localhost", 9) == 0 &&
                                               good[i].kind != FORWARD_REMOTE);
        address_to_text(listen, &f.listen);
        assert_string_equal(listen, good[i].listen);
        target_to_text(target, &f.target);
        if (good[i].target)
            assert_string_equal(target, good[i].target);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_forward(&f, bad[i].kind, bad[i].text, &e));
        e = (struct error){0};
    }
    assert_false(value_forward(&f, FORWARD_LOCAL, "8022", &e));
    assert_usage(&e, "'8022' is not [ADDRESS:]PORT:HOST:PORT (IPv6 in brackets, * or nothing "
                     "before the first colon for all addresses; /PATH of a UNIX socket instead "
                     "of [ADDRESS:]PORT or HOST:PORT)");
    assert_false(value_forward(&f, FORWARD_DYNAMIC, "x", &e));
    assert_usage(&e, "'x' is not [ADDRESS:]PORT (IPv6 in brackets, * or nothing before the first "
                     "colon for all addresses)");
}

/* A path that fits a socket's address, and one that does not. */
static void forward_paths(void **state)
{
    char text[300] = "/";
    struct forward f;
    struct error e = {0};
    (void)state;
    memset(text + 1, 'x', 106);
    memcpy(text + 107, ":h:1", 5);
    assert_true(value_forward(&f, FORWARD_LOCAL, text, &e));
    memset(text + 1, 'x', 107);
    memcpy(text + 108, ":h:1", 5);
    assert_false(value_forward(&f, FORWARD_LOCAL, text, &e));
    memset(text + 1, 'x', 290);
    memcpy(text + 290, ":h:1", 5);
    assert_false(value_forward(&f, FORWARD_LOCAL, text, &e));
}

static void forward_options(void **state)
{
    static const struct {
        const char *text;
        enum forward_kind kind;
    } good[] = {
        {"-L 8022:host:22", FORWARD_LOCAL},  {"-L8022:host:22", FORWARD_LOCAL},
        {"-L  \t 8022:/x", FORWARD_LOCAL},   {"-D 1080", FORWARD_DYNAMIC},
        {"-R 8022:host:22", FORWARD_REMOTE}, {"-U 53:127.0.0.1:53", FORWARD_UDP},
    };
    static const char *const bad[] = {"", "8022:host:22", "-L", "-X 1:h:1", "-D 1:h:1", "- D 1"};
    struct forward f;
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_forward_option(&f, good[i].text, &e));
        assert_int_equal(f.kind, good[i].kind);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_forward_option(&f, bad[i], &e));
        e = (struct error){0};
    }
    assert_false(value_forward_option(&f, "x", &e));
    assert_usage(&e, "'x' is not a forward: -L, -D, -R or -U with its value, such as "
                     "-L 8080:localhost:80");
}

static void names_and_patterns(void **state)
{
    static const char *const good[] = {"a", "0", "boston-vmax-01", "a.b_c-d.", NAME_64};
    static const char *const bad[] = {"",   "A",  ".a",  "-a",  "_a",       "a..b",      "a b",
                                      "a*", "a?", "a/b", "a\n", "\xc3\xa9", NAME_64 "x", "a:b"};
    struct error e = {0};
    char out[NAME_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(value_name(out, good[i], &e));
        assert_string_equal(out, good[i]);
        assert_true(value_name_pattern(out, good[i], &e));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(value_name(out, bad[i], &e));
        e = (struct error){0};
    }
    assert_false(value_name(out, "Boston", &e));
    assert_usage(&e, "'Boston' is not a name: 1 to 64 of a-z 0-9 . _ -, first a letter or digit, "
                     "no two dots in a row");
    assert_true(value_name_pattern(out, "*", &e));
    assert_true(value_name_pattern(out, "?oston-*", &e));
    assert_string_equal(out, "?oston-*");
    assert_false(value_name_pattern(out, "Boston*", &e));
    assert_usage(&e, "'Boston*' is not a pattern of names: 1 to 64 of a-z 0-9 . _ - and * (any "
                     "characters) and ? (any one)");
}

static bool join(void *arg, const char *item, struct error *e)
{
    char *joined = arg;
    if (strcmp(item, "stop") == 0)
        return error_set(e, FAILURE_USAGE, "stopped");
    strcat(joined, "<");
    strcat(joined, item);
    strcat(joined, ">");
    return true;
}

static void lists(void **state)
{
    static const char *const empty[] = {"", " ", "a,", ",a", "a,,b", "a, ,b"};
    struct error e = {0};
    char joined[100] = "";

    (void)state;
    assert_true(value_list("a", join, joined, &e));
    assert_true(value_list(" b c ,\td,e ", join, joined, &e));
    assert_string_equal(joined, "<a><b c><d><e>");
    for (size_t i = 0; i < COUNT(empty); i++) {
        char expected[100];
        assert_false(value_list(empty[i], join, joined, &e));
        snprintf(expected, sizeof expected,
                 "'%s' has an empty item; expected items with commas between them", empty[i]);
        assert_usage(&e, expected);
    }
    joined[0] = '\0';
    assert_false(value_list("a,stop,b", join, joined, &e));
    assert_usage(&e, "stopped");
    assert_string_equal(joined, "<a>");
}

static void patterns_are_written_as_they_are_read(void **state)
{
    static const struct {
        const char *text;
        bool listening, wide;
    } cases[] = {
        {"tcp:127.0.0.1:22", false, false},
        {"udp:host.example.com:8000-8099", false, false},
        {"tcp:10.0.0.0/8:*", false, false},
        {"tcp:[fd00::]/8:443", false, false},
        {"tcp:[::1]:443", false, false},
        {"unix:/run/x", false, false},
        {"tcp:*:*", false, true},
        {"tcp:0.0.0.0/0:22", false, true},
        {"udp:[::]/0:53", false, true},
        {"udp:10.0.0.5:69 any-port", false, false},
        {"127.0.0.0/8:1024-65535", true, false},
        {"[::1]:8080", true, false},
        {"unix:/run/y", true, false},
        {"*:8080", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct target_pattern p;
        struct error e = {0};
        char text[TARGET_TEXT_BYTES];
        assert_true(cases[i].listening ? value_listen_pattern(&p, cases[i].text, &e)
                                       : value_target_pattern(&p, cases[i].text, &e));
        target_pattern_to_text(text, &p, cases[i].listening);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(target_pattern_is_wide(&p), cases[i].wide);
    }
}

/* ---- What two patterns allow together. ---- */

static const char *const joined_patterns[] = {
    "tcp:*:*",           "tcp:*:22",           "tcp:*:1-1023",
    "tcp:10.0.0.0/8:22", "tcp:10.1.0.0/16:*",  "tcp:10.1.2.3:22",
    "tcp:10.2.0.0/16:*", "tcp:127.0.0.0/8:22", "tcp:[::ffff:10.1.0.0]/112:22",
    "tcp:[fd00::]/8:22", "tcp:db.local:22",    "tcp:DB.local:22",
    "tcp:other:22",      "udp:*:22",           "udp:*:22 any-port",
    "unix:/run/a",       "unix:/run/b",
};
static const char *const joined_targets[] = {
    "tcp:10.1.2.3:22", "tcp:10.2.2.3:22",  "tcp:db.local:22", "tcp:db.local:80",
    "tcp:other:22",    "tcp:[fd00::1]:22", "udp:10.1.2.3:22", "unix:/run/a",
};
static const char *const joined_addresses[] = {"10.1.2.3", "10.2.2.3", "127.0.0.1", "fd00::1",
                                               "::ffff:10.1.2.3"};

static struct target_pattern pattern_of(const char *text)
{
    struct target_pattern p;
    struct error e = {0};
    assert_true(value_target_pattern(&p, text, &e));
    return p;
}

static bool allows_at(const struct target_pattern *p, const char *target, const char *at)
{
    struct address a;
    struct target t;
    struct error e = {0};
    assert_true(value_target(&t, target, &e));
    assert_true(address_from_literal(&a, at, t.at.port));
    return target_pattern_allows(p, &t, &a);
}

/* For each target at each address: both allow it, or the one of both does not. */
static void check_joined(const char *one, const char *other)
{
    struct target_pattern a = pattern_of(one), b = pattern_of(other), both;
    bool any = target_pattern_both(&both, &a, &b);
    for (size_t t = 0; t < sizeof joined_targets / sizeof *joined_targets; t++)
        for (size_t i = 0; i < sizeof joined_addresses / sizeof *joined_addresses; i++) {
            const char *target = joined_targets[t], *at = joined_addresses[i];
            bool expected = allows_at(&a, target, at) && allows_at(&b, target, at);
            if ((any && allows_at(&both, target, at)) != expected)
                fail_msg("%s and %s for %s at %s", one, other, target, at);
        }
}

static void patterns_of_both(void **state)
{
    const size_t count = sizeof joined_patterns / sizeof *joined_patterns;
    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            check_joined(joined_patterns[i], joined_patterns[j]);
}

static void a_name_within_a_prefix(void **state)
{
    struct target_pattern name = pattern_of("tcp:db.local:22"),
                          loop = pattern_of("tcp:127.0.0.0/8:*");
    struct target_pattern udp = pattern_of("udp:*:22 any-port"), both;
    struct error e = {0};
    struct target t;
    char text[TARGET_TEXT_BYTES];
    (void)state;
    assert_true(target_pattern_both(&both, &loop, &name));
    target_pattern_to_text(text, &both, false);
    assert_string_equal(text, "tcp:db.local:22");
    assert_true(value_target(&t, "tcp:db.local:22", &e));
    assert_int_equal(target_pattern_permits(&both, &t), PERMIT_KNOWN_HERE);
    assert_true(value_target(&t, "tcp:127.0.0.1:22", &e));
    assert_int_equal(target_pattern_permits(&both, &t), PERMIT_NEVER);
    assert_false(target_pattern_same(&both, &name) && target_pattern_same(&both, &loop));
    assert_true(target_pattern_both(&both, &udp, &udp));
    assert_true(both.any_port);
    assert_false(target_pattern_both(&both, &udp, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(durations),
        cmocka_unit_test(hosts_and_ports),
        cmocka_unit_test(host_names_are_bounded),
        cmocka_unit_test(listening_addresses),
        cmocka_unit_test(targets),
        cmocka_unit_test(target_patterns_are_checked),
        cmocka_unit_test(listen_patterns_are_checked),
        cmocka_unit_test(target_patterns_allow),
        cmocka_unit_test(patterns_of_both),
        cmocka_unit_test(a_name_within_a_prefix),
        cmocka_unit_test(forwards),
        cmocka_unit_test(forward_paths),
        cmocka_unit_test(forward_options),
        cmocka_unit_test(names_and_patterns),
        cmocka_unit_test(lists),
        cmocka_unit_test(patterns_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
