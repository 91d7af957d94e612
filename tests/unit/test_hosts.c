/* Lines of /etc/hosts, and localhost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/hosts.h"

static void lines(void **state)
{
    static const struct {
        const char *line, *name, *address; /* NULL: not of this name */
    } cases[] = {
        {"192.0.2.1 host", "host", "192.0.2.1:0"},
        {"192.0.2.1\tHost.Example\talias \n", "host.example", "192.0.2.1:0"},
        {"192.0.2.1 first second third\r\n", "THIRD", "192.0.2.1:0"},
        {"  2001:db8::1   host  ", "host", "[2001:db8::1]:0"},
        {"192.0.2.1 host.example", "host.example.", "192.0.2.1:0"},
        {"192.0.2.1 host.example.", "host.example", "192.0.2.1:0"},
        {"192.0.2.1 host # other", "other", NULL},
        {"# 192.0.2.1 host", "host", NULL},
        {"192.0.2.1 #host", "#host", NULL},
        {"192.0.2.1 hosts", "host", NULL},
        {"192.0.2.1 host", "host.example", NULL},
        {"192.0.2.1", "192.0.2.1", NULL},
        {"name host", "host", NULL},
        {"", "host", NULL},
        {"\n", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[100], text[ADDRESS_TEXT_BYTES];
        struct address a;
        strcpy(line, cases[i].line);
        assert_int_equal(hosts_line(&a, line, cases[i].name), cases[i].address != NULL);
        if (!cases[i].address)
            continue;
        address_to_text(text, &a);
        assert_string_equal(text, cases[i].address);
    }
}

static void localhost(void **state)
{
    static const char *const names[] = {"localhost", "LOCALHOST.", "app.localhost"};
    struct address found[4];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        unsigned count = hosts_find(found, 4, names[i]);
        assert_in_range(count, 1, 4);
        while (count > 0)
            assert_true(address_is_loopback(&found[--count]));
    }
    assert_int_equal(hosts_find(found, 4, "notlocalhost"), 0);
    assert_int_equal(hosts_find(found, 4, "localhost.example"), 0);
    assert_int_equal(hosts_find(found, 1, "app.localhost"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(localhost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
