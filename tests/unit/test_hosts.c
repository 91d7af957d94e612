/* The table of a file such as /etc/hosts, and localhost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/hosts.h"

#define FOUND_MAX 4

struct fixture {
    char path[40];
    FILE *file; /* open for writing */
    struct hosts *hosts;
    struct address found[FOUND_MAX];
    uint64_t now_us;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int fd;
    strcpy(f->path, "/tmp/test_hosts.XXXXXX");
    fd = mkstemp(f->path);
    f->file = fd >= 0 ? fdopen(fd, "w+") : NULL;
    f->hosts = hosts_new(f->path);
    *state = f;
    return f->file && f->hosts ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hosts_free(f->hosts);
    fclose(f->file);
    unlink(f->path);
    free(f);
    return 0;
}

static void write_file(struct fixture *f, const char *text)
{
    rewind(f->file);
    assert_int_equal(ftruncate(fileno(f->file), 0), 0);
    fputs(text, f->file);
    fflush(f->file);
}

/* In how many portions. */
static unsigned read_all(struct fixture *f)
{
    unsigned portions = 1;
    hosts_check(f->hosts);
    while (!hosts_read(f->hosts, ++f->now_us))
        portions++;
    return portions;
}

static unsigned find(struct fixture *f, const char *name)
{
    read_all(f);
    return hosts_find(f->hosts, f->found, FOUND_MAX, name);
}

static void assert_found(struct fixture *f, unsigned i, const char *address)
{
    char text[ADDRESS_TEXT_BYTES];
    address_to_text(text, &f->found[i]);
    assert_string_equal(text, address);
}

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
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(f, cases[i].line);
        assert_int_equal(find(f, cases[i].name), cases[i].address != NULL);
        if (cases[i].address)
            assert_found(f, 0, cases[i].address);
    }
}

static void several_lines(void **state)
{
    struct fixture *f = *state;
    write_file(f, "192.0.2.1 a b A\n192.0.2.2 b\n\n192.0.2.3 c\n192.0.2.4 a");
    assert_int_equal(find(f, "a"), 2);
    assert_found(f, 0, "192.0.2.1:0");
    assert_found(f, 1, "192.0.2.4:0");
    assert_int_equal(find(f, "b"), 2);
    assert_int_equal(find(f, "c"), 1);
    assert_int_equal(hosts_find(f->hosts, f->found, 1, "b"), 1);
}

/* Also to another file of the same length, at once, and to none. */
static void changes(void **state)
{
    struct fixture *f = *state;
    write_file(f, "192.0.2.1 a\n");
    assert_int_equal(find(f, "a"), 1);
    write_file(f, "192.0.2.1 b\n");
    assert_int_equal(find(f, "a"), 0);
    assert_int_equal(find(f, "b"), 1);
    unlink(f->path);
    assert_int_equal(find(f, "b"), 0);
}

#define MANY 150000

static void write_many(struct fixture *f, unsigned count)
{
    write_file(f, "");
    for (unsigned i = 0; i < count; i++)
        fprintf(f->file, "192.0.2.1 name-%u.example\n", i);
    fflush(f->file);
}

/* The most names that any of many look-ups is compared with, and with all of them together. */
static uint64_t most_compared(struct fixture *f, uint64_t *all)
{
    uint64_t most = 0, begun = hosts_compared(f->hosts);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t before = hosts_compared(f->hosts);
        char name[40];
        snprintf(name, sizeof name, "Name-%u.example", i * (i % 2 ? MANY : 1));
        hosts_find(f->hosts, f->found, FOUND_MAX, name);
        if (hosts_compared(f->hosts) - before > most)
            most = hosts_compared(f->hosts) - before;
    }
    *all = hosts_compared(f->hosts) - begun;
    return most;
}

/* A look-up in a long file costs what it does in a short one, and the file is read once. */
static void long_file(void **state)
{
    struct fixture *f = *state;
    uint64_t all;
    unsigned portions, last;
    write_many(f, 100);
    read_all(f);
    assert_in_range(most_compared(f, &all), 1, 20);
    write_many(f, MANY);
    portions = last = read_all(f);
    assert_in_range(portions, 100, 1000); /* many rounds, of not much each */
    while (last > 1) {                    /* one that has just changed is read again */
        assert_int_equal(last, portions);
        last = read_all(f);
    }
    assert_in_range(most_compared(f, &all), 1, 20);
    assert_in_range(all, 100, 600);
    assert_int_equal(find(f, "name-149999.example"), 1);
}

/* No more than one portion for each time, however many look-ups wait. */
static void portions(void **state)
{
    struct fixture *f = *state;
    write_many(f, 2000);
    hosts_check(f->hosts);
    for (int i = 0; i < 100; i++)
        assert_false(hosts_read(f->hosts, 1));
    f->now_us = 1;
    assert_int_equal(find(f, "name-1999.example"), 1);
}

static void long_lines(void **state)
{
    struct fixture *f = *state;
    write_file(f, "192.0.2.1 a\n192.0.2.2");
    for (unsigned i = 0; i < HOSTS_LINE_BYTES; i++)
        fputs(" b", f->file);
    fputs("\n192.0.2.3 c\n", f->file);
    fflush(f->file);
    assert_int_equal(find(f, "b"), 0);
    assert_int_equal(find(f, "a"), 1);
    assert_int_equal(find(f, "c"), 1);
}

/* No more is read than may be. */
static void endless(void **state)
{
    struct fixture *f = *state;
    write_file(f, "192.0.2.1 a\n");
    assert_int_equal(ftruncate(fileno(f->file), 2L * HOSTS_BYTES_MAX), 0);
    assert_int_equal(find(f, "a"), 1);
    assert_in_range(read_all(f), 1, HOSTS_BYTES_MAX / HOSTS_LINE_BYTES + 1);
}

static void localhost(void **state)
{
    static const char *const names[] = {"localhost", "LOCALHOST.", "app.localhost"};
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        unsigned count = find(f, names[i]);
        assert_int_equal(count, 2);
        while (count > 0)
            assert_true(address_is_loopback(&f->found[--count]));
    }
    assert_int_equal(find(f, "notlocalhost"), 0);
    assert_int_equal(find(f, "localhost.example"), 0);
    assert_int_equal(hosts_find(f->hosts, f->found, 1, "app.localhost"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines),    TEST(several_lines), TEST(changes), TEST(long_file),
        TEST(portions), TEST(long_lines),    TEST(endless), TEST(localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
