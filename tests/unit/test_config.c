/* Unit tests of modules/config: the three configuration files, good ones and bad ones of every kind
 * with the whole text of the error, the walk through an INI text, and the file of known agents. All
 * in a directory of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "config/config.h"
#include "config/ini.h"
#include "config/known_agents.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Public keys: 32 times one byte. */
#define KEY_1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY_2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define KEY_3 "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="
#define KEY_4 "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ="
#define PRIVATE_KEY "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="

#define RELAY "[Relay]\nListen = [::]:7443\nKeyFile = own.key\n" /* lines 1 to 3 */
#define AGENT \
    "[Agent]\nName = lab-1\nKeyFile = own.key\n[Relay]\nAddress = r\nPublicKey = " KEY_1 "\n"
#define CLIENT "[Client]\nKeyFile = own.key\n[Relay]\nAddress = r\nPublicKey = " KEY_1 "\n"

static char directory[64], own_public[KEY_TEXT_BYTES];

static void write_file(const char *name, const char *content, size_t len, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static int enter_directory(void **state)
{
    struct keypair own;
    struct error e = {0};
    (void)state;
    strcpy(directory, "/tmp/spx-test-config-XXXXXX");
    if (!crypto_start(false) || !mkdtemp(directory) || chdir(directory) < 0)
        return -1;
    write_file("own.key", PRIVATE_KEY "\n", strlen(PRIVATE_KEY) + 1, 0600);
    write_file("open.key", PRIVATE_KEY "\n", strlen(PRIVATE_KEY) + 1, 0644);
    if (!keypair_load(&own, "own.key", &e))
        return -1;
    key_to_text(own_public, own.public_key);
    return 0;
}

static int leave_directory(void **state)
{
    static const char *const names[] = {"own.key",     "open.key",     "relay.conf", "agent.conf",
                                        "client.conf", "known_agents", "x/y/known"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        unlink(names[i]);
    rmdir("x/y");
    rmdir("x");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static bool key_is(const uint8_t key[KEY_BYTES], uint8_t byte)
{
    for (size_t i = 0; i < KEY_BYTES; i++)
        if (key[i] != byte)
            return false;
    return true;
}

static void assert_address(const struct address *a, const char *expected)
{
    char text[ADDRESS_TEXT_BYTES];
    address_to_text(text, a);
    assert_string_equal(text, expected);
}

static void assert_config_error(struct error *e, const char *text)
{
    assert_int_equal(e->failure, FAILURE_CONFIG);
    assert_string_equal(e->text, text);
    *e = (struct error){0};
}

/* "OWN" in the content stands for the own public key. */
static void write_config(const char *name, const char *content)
{
    const char *own = strstr(content, "OWN");
    char text[4096];
    assert_true(strlen(content) + KEY_TEXT_BYTES < sizeof text);
    if (own)
        snprintf(text, sizeof text, "%.*s%s%s", (int)(own - content), content, own_public, own + 3);
    else
        snprintf(text, sizeof text, "%s", content);
    write_file(name, text, strlen(text), 0644);
}

/* Files that are refused, with the whole error. */

static void relay_refused(const char *content, const char *error)
{
    struct relay_config c;
    struct error e = {0};
    write_config("relay.conf", content);
    assert_false(relay_config_load(&c, "relay.conf", &e));
    assert_config_error(&e, error);
    assert_true(bytes_are_zero(&c, sizeof c));
}

static void agent_refused(const char *content, const char *error)
{
    struct agent_config c;
    struct error e = {0};
    write_config("agent.conf", content);
    assert_false(agent_config_load(&c, "agent.conf", &e));
    assert_config_error(&e, error);
    assert_true(bytes_are_zero(&c, sizeof c));
}

static void client_refused(const char *content, const char *error)
{
    struct client_config c;
    struct error e = {0};
    write_config("client.conf", content);
    assert_false(client_config_load(&c, "client.conf", &e));
    assert_config_error(&e, error);
    assert_true(bytes_are_zero(&c, sizeof c));
}

static void known_refused(const char *content, const char *error)
{
    uint8_t key[KEY_BYTES];
    struct error e = {0};
    unsigned found = true;
    write_config("known_agents", content);
    assert_false(known_agents_find("known_agents", "lab-1", key, &found, &e));
    assert_false(found);
    assert_config_error(&e, error);
}

/* The walk. */

struct walk {
    char seen[400];
    const char *stop; /* the handler fails at this name */
};

static bool note(struct walk *w, const char *name, const char *value, struct ini_place at,
                 struct error *e)
{
    size_t len = strlen(w->seen);
    if (w->stop && strcmp(name, w->stop) == 0)
        return error_set(e, FAILURE_CONFIG, "stopped at %s:%u", at.file, at.line);
    snprintf(w->seen + len, sizeof w->seen - len, "%u:%s=%s|", at.line, name, value);
    return true;
}

static bool note_section(void *arg, const char *name, struct ini_place at, struct error *e)
{
    return note(arg, name, "[]", at, e);
}

static bool note_key(void *arg, const char *name, const char *value, struct ini_place at,
                     struct error *e)
{
    return note(arg, name, value, at, e);
}

static void walk_finds_sections_and_keys(void **state)
{
    static const char text[] = "\xef\xbb\xbf# comment\r\n"
                               "\n"
                               "  [ One ]   # comment\r\n"
                               "Key=value\n"
                               "\tOther  Key =  a # b = c\t#d\n"
                               "Hash = a#b=c #\n"
                               "#Key = no\n"
                               "[Two]#\n"
                               "K = \xc3\xa9 = ]";
    struct walk w = {0};
    struct ini_handler h = {note_section, note_key, &w};
    struct error e = {0};
    (void)state;
    /* "[Two]#" has no white space before '#': it is no comment, and a bracket is missing at the
     * end. */
    assert_false(ini_walk("f", text, sizeof text - 1, &h, &e));
    assert_config_error(&e, "f:8: '[Two]#' has no ']' at its end; expected [Section]");
    assert_string_equal(w.seen, "3:One=[]|4:Key=value|5:Other  Key=a|6:Hash=a#b=c|");

    w = (struct walk){0};
    assert_true(ini_walk("f", "[S]\nK = \xc3\xa9 = ]", 14, &h, &e));
    assert_string_equal(w.seen, "1:S=[]|2:K=\xc3\xa9 = ]|");
    assert_true(ini_walk("f", "", 0, &h, &e));
    assert_true(ini_walk("f", "# only\n\n", 8, &h, &e));
    w = (struct walk){.stop = "K"};
    assert_false(ini_walk("f", "[S]\n\nK=1\nL=2\n", 13, &h, &e));
    assert_config_error(&e, "stopped at f:3");
    assert_string_equal(w.seen, "1:S=[]|");
}

static void walk_refuses_what_is_no_text(void **state)
{
    struct walk w = {0};
    struct ini_handler h = {note_section, note_key, &w};
    struct error e = {0};
    (void)state;
    assert_false(ini_walk("f", "[S]\nK=a\0b\n", 10, &h, &e));
    assert_config_error(&e, "f:2: not text; expected UTF-8");
    assert_false(ini_walk("f", "\n\n\xff\n", 4, &h, &e));
    assert_config_error(&e, "f:3: not text; expected UTF-8");
    assert_string_equal(w.seen, "");
}

/* Bad files that are bad for every role, shown with the relay's. */
static void relay_files_of_wrong_form(void **state)
{
    struct relay_config c;
    struct error e = {0};
    (void)state;
    relay_refused(RELAY "Foo\n",
                  "relay.conf:4: 'Foo' is not understood; expected [Section] or Key = Value");
    relay_refused(RELAY "[User\n",
                  "relay.conf:4: '[User' has no ']' at its end; expected [Section]");
    relay_refused(RELAY "[ ]\n", "relay.conf:4: '[]' names no section; expected [Section]");
    relay_refused(RELAY "= x\n", "relay.conf:4: there is no key before '='; expected Key = Value");
    relay_refused(RELAY "Keepalive = # none\n",
                  "relay.conf:4: 'Keepalive' has no value; expected Keepalive = Value");
    relay_refused(
        "\nListen = 1\n" RELAY,
        "relay.conf:2: 'Listen' stands before the first section; expected [Section] first");
    relay_refused(
        RELAY "[Users]\n",
        "relay.conf:4: unknown section [Users]; known are [Relay], [User], [Agent], [Authority]");
    relay_refused(RELAY "\n[User]\nFoo = 1\n",
                  "relay.conf:6: unknown key 'Foo' in [User]; known are Name, PublicKey, Agents");
    relay_refused(RELAY "Agents = *\n", "relay.conf:4: unknown key 'Agents' in [Relay]; known are "
                                        "Listen, KeyFile, User, Group, Keepalive, "
                                        "Workers, Audit, AuditSize");
    relay_refused(RELAY "Keepalive = 5\nkeepalive = 5\n",
                  "relay.conf:5: Keepalive is given twice in [Relay], first at line 4");
    relay_refused(RELAY RELAY, "relay.conf:4: [Relay] is given twice, first at line 1");
    relay_refused(RELAY "[User]\nName = a\n\n[Agent]\n",
                  "relay.conf:4: [User] has no PublicKey; expected PublicKey = Value");
    relay_refused(RELAY "[User]\nPublicKey = " KEY_1,
                  "relay.conf:4: [User] has no Name; expected Name = Value");
    relay_refused(RELAY "[Agent]\nName = a",
                  "relay.conf:4: [Agent] has no PublicKey; expected PublicKey = Value");
    relay_refused("[Relay]\nKeyFile = own.key\n",
                  "relay.conf:1: [Relay] has no Listen; expected Listen = Value");
    relay_refused("[Relay]\nListen = 1\n",
                  "relay.conf:1: [Relay] has no KeyFile; expected KeyFile = Value");
    relay_refused("", "relay.conf: there is no section [Relay]; it is required");
    relay_refused("[User]\nName = a\nPublicKey = " KEY_1 "\n",
                  "relay.conf: there is no section [Relay]; it is required");
    relay_refused(RELAY "[User]\nName = a\n\xff\n", "relay.conf:6: not text; expected UTF-8");
    unlink("relay.conf");
    assert_false(relay_config_load(&c, "relay.conf", &e));
    assert_config_error(&e, "cannot open relay.conf: no such file or directory");
}

static void relay_files_of_wrong_values(void **state)
{
    (void)state;
    relay_refused(
        "[Relay]\nListen = host:1\n",
        "relay.conf:2: Listen: 'host:1' is not an address to listen on: PORT, ADDRESS:PORT, "
        "[IPV6]:PORT or *:PORT, the address in numbers or localhost");
    relay_refused("[Relay]\nListen = 1,\n",
                  "relay.conf:2: Listen: '1,' has an empty item; expected "
                  "items with commas between them");
    relay_refused("[Relay]\nKeyFile = none.key\n",
                  "relay.conf:2: KeyFile: no key at none.key: 'spx key new none.key' makes one");
    relay_refused(
        "[Relay]\nKeyFile = open.key\n",
        "relay.conf:2: KeyFile: open.key: its mode 0644 gives others access to a secret; run: "
        "chmod 600 open.key");
    relay_refused(RELAY "Keepalive = 4\n", "relay.conf:4: Keepalive: '4' is not a number of "
                                           "seconds from 5 to 60; s, min, h or d may follow it");
    relay_refused(RELAY "Keepalive = 61\n", "relay.conf:4: Keepalive: '61' is not a number of "
                                            "seconds from 5 to 60; s, min, h or d may follow it");
    relay_refused(RELAY "Workers = 0\n", "relay.conf:4: Workers: '0' is not a number from 1 to 64");
    relay_refused(RELAY "Workers = 65\n",
                  "relay.conf:4: Workers: '65' is not a number from 1 to 64");
    relay_refused(
        RELAY "[User]\nname = Alice\n",
        "relay.conf:5: Name: 'Alice' is not a name: 1 to 64 of a-z 0-9 . _ -, first a letter or "
        "digit, no two dots in a row");
    relay_refused(
        RELAY "[User]\nPublicKey = abc\n",
        "relay.conf:5: PublicKey: 'abc' is not a public key: 44 characters of base64, as 'spx key "
        "public FILE' shows it");
    relay_refused(
        RELAY "[User]\nAgents = lab-1, Boston*\n",
        "relay.conf:5: Agents: 'Boston*' is not a pattern of names: 1 to 64 of a-z 0-9 . _ - and "
        "* (any characters) and ? (any one)");
    relay_refused(
        RELAY "[User]\nAgents = a b\n",
        "relay.conf:5: Agents: 'a b' is not a pattern of names: 1 to 64 of a-z 0-9 . _ - and * "
        "(any characters) and ? (any one)");
    relay_refused(
        RELAY "[Agent]\nDial = host:1\n",
        "relay.conf:5: Dial: 'host:1' is not a target: tcp:HOST:PORT, udp:HOST:PORT or unix:/PATH "
        "(IPv6 in brackets, a path under 108 bytes)");
    relay_refused(RELAY "[Agent]\nDial = udp:host:1\n",
                  "relay.conf:5: Dial: 'udp:host:1' cannot be dialled; expected tcp:HOST:PORT");
    relay_refused(RELAY "[Agent]\nLabels = a\033b\n",
                  "relay.conf:5: Labels: 'a?b' holds control "
                  "characters; expected words such as site=boston");
}

#define PEER(kind, name, key) "[" kind "]\nName = " name "\nPublicKey = " key "\n"

static void relay_peers_are_unique(void **state)
{
    struct relay_config c;
    struct error e = {0};
    (void)state;
    relay_refused(RELAY PEER("User", "a", KEY_1) PEER("User", "b", KEY_2) PEER("User", "a", KEY_3),
                  "relay.conf:10: [User] with the name 'a' is given twice, first at line 4");
    relay_refused(RELAY PEER("Agent", "a", KEY_1) PEER("Agent", "a", KEY_2),
                  "relay.conf:7: [Agent] with the name 'a' is given twice, first at line 4");
    relay_refused(
        RELAY PEER("User", "a", KEY_1) PEER("User", "b", KEY_2) PEER("User", "c", KEY_1),
        "relay.conf:10: the PublicKey of this [User] is that of the [User] at line 4; expected "
        "one key for each");
    relay_refused(
        RELAY PEER("User", "a", KEY_1) PEER("Agent", "b", KEY_1),
        "relay.conf:7: the PublicKey of this [Agent] is that of the [User] at line 4; expected "
        "one key for each");
    relay_refused(
        RELAY PEER("User", "b", KEY_1) PEER("User", "a", "OWN"),
        "relay.conf:7: the PublicKey of this [User] is the key of this relay itself; expected "
        "the other party's");
    relay_refused(
        PEER("Agent", "a", "OWN") RELAY,
        "relay.conf:1: the PublicKey of this [Agent] is the key of this relay itself; expected "
        "the other party's");
    /* A user and an agent may have one name. */
    write_config("relay.conf", RELAY PEER("User", "a", KEY_1) PEER("Agent", "a", KEY_2));
    assert_true(relay_config_load(&c, "relay.conf", &e));
    relay_config_free(&c);
}

static void relay_file_is_read(void **state)
{
    struct relay_config c;
    struct error e = {0};
    (void)state;
    write_config("relay.conf", "# the relay of the laboratory\n"
                               "[User]\nName = alice\nPublicKey = " KEY_1 "\n"
                               "Agents = boston-*, lab-1\n"
                               "[relay]\n"
                               "LISTEN = [::1]:7443, 7444   # two\n"
                               "Listen = 127.0.0.1:7445\n"
                               "KeyFile = own.key\nKeepalive = 20\nWorkers = 3\n"
                               "[User]\nName = bob\nPublicKey = " KEY_2 "\n"
                               "[Agent]\nName = boston-vmax-01\nPublicKey = " KEY_3 "\n"
                               "Labels = site=boston model=vmax\nDial = tcp:10.1.2.3:7444\n"
                               "[Agent]\nName = lab-1\nPublicKey = " KEY_4 "\n");
    assert_true(relay_config_load(&c, "relay.conf", &e));
    assert_int_equal(c.listen.count, 3);
    assert_address(&c.listen.items[0], "[::1]:7443");
    assert_address(&c.listen.items[1], "[::]:7444");
    assert_address(&c.listen.items[2], "127.0.0.1:7445");
    assert_true(key_is(c.key.private_key, 9));
    assert_int_equal(c.keepalive_s, 20);
    assert_int_equal(c.workers, 3);

    assert_int_equal(c.user_count, 2);
    assert_string_equal(c.users[0].name, "alice");
    assert_true(key_is(c.users[0].public_key, 1));
    assert_int_equal(c.users[0].agent_count, 2);
    assert_string_equal(c.users[0].agents[0], "boston-*");
    assert_string_equal(c.users[0].agents[1], "lab-1");
    assert_string_equal(c.users[1].name, "bob");
    assert_true(key_is(c.users[1].public_key, 2));
    assert_int_equal(c.users[1].agent_count, 0);

    assert_int_equal(c.agent_count, 2);
    assert_string_equal(c.agents[0].name, "boston-vmax-01");
    assert_true(key_is(c.agents[0].public_key, 3));
    assert_string_equal(c.agents[0].labels, "site=boston model=vmax");
    assert_true(c.agents[0].has_dial);
    assert_string_equal(c.agents[0].dial.host, "10.1.2.3");
    assert_int_equal(c.agents[0].dial.port, 7444);
    assert_null(c.agents[1].labels);
    assert_false(c.agents[1].has_dial);
    relay_config_free(&c);
    assert_true(bytes_are_zero(&c, sizeof c));

    write_config("relay.conf", RELAY);
    assert_true(relay_config_load(&c, "relay.conf", &e));
    assert_int_equal(c.keepalive_s, 15);
    assert_int_equal(c.user_count + c.agent_count, 0);
    relay_config_free(&c);
}

static void relay_labels_are_bounded(void **state)
{
    char text[3000];
    struct relay_config c;
    struct error e = {0};
    (void)state;
    int len =
        snprintf(text, sizeof text, "%s[Agent]\nName = a\nPublicKey = %s\nLabels = ", RELAY, KEY_1);
    memset(text + len, 'x', LABELS_BYTES);
    write_file("relay.conf", text, (size_t)len + LABELS_BYTES - 1, 0644);
    assert_true(relay_config_load(&c, "relay.conf", &e));
    assert_int_equal(strlen(c.agents[0].labels), LABELS_BYTES - 1);
    relay_config_free(&c);
    write_file("relay.conf", text, (size_t)len + LABELS_BYTES, 0644);
    assert_false(relay_config_load(&c, "relay.conf", &e));
    assert_config_error(&e, "relay.conf:7: Labels: too long: 2048 bytes; expected at most 2047");
}

/* The point of RFC 6979's key, A.2.5, and another. */
#define AUTHORITY_1 \
    "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ=="

static void relay_authorities_are_read(void **state)
{
    struct relay_config c;
    struct error e = {0};
    char text[1024];
    (void)state;
    snprintf(text, sizeof text,
             RELAY "[Authority]\nName = support\nPublicKey = " AUTHORITY_1
                   "\nMaxSession = 2 h\nRevocations = /r\n");
    write_config("relay.conf", text);
    assert_true(relay_config_load(&c, "relay.conf", &e));
    assert_int_equal(c.authority_count, 1);
    assert_string_equal(c.authorities[0].name, "support");
    assert_int_equal(c.authorities[0].public_key[0], 0x60);
    assert_int_equal(c.authorities[0].max_session_s, 7200);
    assert_string_equal(c.authorities[0].revocations, "/r");
    relay_config_free(&c);
    snprintf(text, sizeof text,
             RELAY "[Authority]\nName = a\nPublicKey = " AUTHORITY_1
                   "\n[Authority]\nName = b\nPublicKey = " AUTHORITY_1 "\n");
    relay_refused(text, "relay.conf:7: authority a has the same PublicKey");
}

static void rules_are_inherited(void **state)
{
    struct agent_config c;
    struct error e = {0};
    (void)state;
    write_config("agent.conf", "[User]\nName = alice\nPublicKey = " KEY_3 "\n"
                               "Access = Always\nHours = Mon 10:00-11:00\nNotBefore = 2026-01-02\n"
                               "NotAfter = 2026-01-03\nMaxSession = 0\nIdleEnd = 1 min\n"
                               "AskTimeout = 1 h\nReasonRequired = No\n"
                               "[User]\nName = bob\nPublicKey = " KEY_4 "\n"
                               "[Relay]\nAddress = r\nPublicKey = " KEY_1 "\n"
                               "[Agent]\nName = lab-1\nKeyFile = own.key\n"
                               "TimeZone = CET-1CEST,M3.5.0,M10.5.0/3\n"
                               "Access = Never\nHours = 08:00-18:00\nNotBefore = 2026-02-02\n"
                               "NotAfter = 2026-02-03\nMaxSession = 8 h\nIdleEnd = 10 min\n"
                               "ReasonRequired = Yes\n");
    assert_true(agent_config_load(&c, "agent.conf", &e));
    const struct rules *alice = &c.users[0].given.rules, *bob = &c.users[1].given.rules;
    assert_string_equal(c.time_zone.name, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(zone_offset(&c.time_zone.zone, 0), 3600);
    assert_int_equal(alice->access, ACCESS_ALWAYS);
    assert_string_equal(alice->hours.text, "Mon 10:00-11:00");
    assert_int_equal(alice->not_before.at_s, 1767312000);
    assert_int_equal(alice->not_after.at_s, 1767398400);
    assert_int_equal(alice->max_session_s, 0);
    assert_int_equal(alice->idle_end_s, 60);
    assert_int_equal(alice->ask_timeout_s, 3600);
    assert_false(alice->needs_reason);
    assert_true(bob->needs_reason);
    assert_int_equal(bob->ask_timeout_s, ASK_TIMEOUT_DEFAULT_S);
    assert_int_equal(bob->access, ACCESS_NEVER);
    assert_string_equal(bob->hours.text, "08:00-18:00");
    assert_int_equal(bob->not_before.at_s, 1769990400);
    assert_int_equal(bob->not_after.at_s, 1770076800);
    assert_int_equal(bob->max_session_s, 28800);
    assert_int_equal(bob->idle_end_s, 600);
    agent_config_free(&c);
}

static void authorities_are_read(void **state)
{
    struct agent_config c;
    struct error e = {0};
    (void)state;
    write_config("agent.conf",
                 "[Agent]\nName = lab-1\nKeyFile = own.key\nScope = acme\nMaxSession = 8 h\n"
                 "[Relay]\nAddress = r\nPublicKey = " KEY_1 "\n"
                 "[Authority]\nName = support\nPublicKey = " AUTHORITY_1 "\n"
                 "Allow = tcp:127.0.0.1:22, udp:*:53\nListen = default\n"
                 "Access = ask\nMaxPermit = 2 h\nRevocations = /r\n");
    assert_true(agent_config_load(&c, "agent.conf", &e));
    assert_string_equal(c.scope, "acme");
    assert_int_equal(c.authority_count, 1);
    const struct agent_authority *a = &c.authorities[0];
    assert_string_equal(a->most.name, "support");
    assert_int_equal(a->public_key[0], 0x60);
    assert_int_equal(a->public_key[63], 0x99);
    assert_int_equal(a->most.allow_count, 2);
    assert_int_equal(a->most.listen_count, 2);
    assert_int_equal(a->most.listeners, LISTENERS_DEFAULT);
    assert_int_equal(a->most.given.rules.access, ACCESS_ASK);
    assert_int_equal(a->most.given.rules.max_session_s, 28800);
    assert_int_equal(a->max_permit_s, 7200);
    assert_string_equal(a->revocations, "/r");
    agent_config_free(&c);
}

static void refuse_authorities(const char *sections, const char *why)
{
    struct agent_config c;
    struct error e = {0};
    char text[1024];
    snprintf(text, sizeof text,
             "[Agent]\nName = lab-1\nKeyFile = own.key\n"
             "[Relay]\nAddress = r\nPublicKey = " KEY_1 "\n%s",
             sections);
    write_config("agent.conf", text);
    assert_false(agent_config_load(&c, "agent.conf", &e));
    if (!strstr(e.text, why))
        fail_msg("%s", e.text);
}

static void bad_authorities(void **state)
{
    (void)state;
    refuse_authorities("[Authority]\nName = a\n", "PublicKey");
    refuse_authorities("[Authority]\nName = a\nPublicKey = " KEY_2 "\n",
                       "is not an authority's public key: 88 characters of base64");
    refuse_authorities("[Authority]\nName = a\nPublicKey = " AUTHORITY_1 "\nMaxPermit = 0\n",
                       "MaxPermit: '0'");
    refuse_authorities("[Authority]\nName = a\nPublicKey = " AUTHORITY_1
                       "\n[Authority]\nName = b\nPublicKey = " AUTHORITY_1 "\n",
                       "authority a has the same PublicKey");
}

static void agent_file_is_read(void **state)
{
    struct agent_config c;
    struct error e = {0};
    (void)state;
    write_config("agent.conf", "[Agent]\nName = boston-vmax-01\nKeyFile = own.key\n"
                               "User = root\nGroup = 54321\n"
                               "Labels = site=boston\nCallSocket = /run/spx/call\n"
                               "ControlSocket = control\nControlGroup = root\n"
                               "RemoteAccess = Locked\n"
                               "[Relay]\nAddress = relay.example.com\nPublicKey = " KEY_1 "\n"
                               "[Relay]\nAddress = [::1]:444\nPublicKey = " KEY_2 "\n"
                               "[User]\nName = alice\nPublicKey = " KEY_3 "\n"
                               "Allow = tcp:127.0.0.1:22, tcp:127.0.0.1:443\n"
                               "Listen = 127.0.0.1:8000-8999, Default, unix:/run/a\n"
                               "Listeners = 256\nStreams = 16384\n"
                               "[User]\nName = bob\nPublicKey = " KEY_4 "\n");
    assert_true(agent_config_load(&c, "agent.conf", &e));
    assert_string_equal(c.name, "boston-vmax-01");
    assert_true(key_is(c.key.private_key, 9));
    assert_int_equal(c.listen.count, 0);
    assert_string_equal(c.labels, "site=boston");
    assert_string_equal(c.call_socket, "/run/spx/call");
    assert_string_equal(c.control_socket, "control"); /* beside the file */
    assert_string_equal(c.control_group, "root");
    assert_true(c.starts_locked);
    assert_string_equal(c.user, "root");
    assert_string_equal(c.group, "54321");

    assert_int_equal(c.relay_count, 2);
    assert_true(c.relays[0].has_address);
    assert_string_equal(c.relays[0].address.host, "relay.example.com");
    assert_int_equal(c.relays[0].address.port, 7443);
    assert_true(key_is(c.relays[0].public_key, 1));
    assert_int_equal(c.relays[1].address.port, 444);
    assert_true(key_is(c.relays[1].public_key, 2));

    assert_int_equal(c.user_count, 2);
    assert_string_equal(c.users[0].name, "alice");
    assert_int_equal(c.users[0].allow_count, 2);
    assert_int_equal(c.users[0].allow[0].port_first, 22);
    assert_int_equal(c.users[0].allow[1].port_last, 443);
    assert_int_equal(c.users[0].listen_count, 4);
    assert_int_equal(c.users[0].listen[0].port_last, 8999);
    for (int i = 1; i < 3; i++) { /* "default" */
        const struct target_pattern *p = &c.users[0].listen[i];
        assert_address(&p->prefix, i == 1 ? "127.0.0.0:0" : "[::1]:0");
        assert_int_equal(p->prefix_bits, i == 1 ? 8 : 128);
        assert_int_equal(p->port_first, 1024);
        assert_int_equal(p->port_last, 65535);
    }
    assert_string_equal(c.users[0].listen[3].name, "/run/a");
    assert_int_equal(c.users[1].allow_count, 0);
    assert_int_equal(c.users[0].listeners, 256);
    assert_int_equal(c.users[1].listen_count, 0);
    assert_int_equal(c.users[1].listeners, 16);
    agent_config_free(&c);
    assert_true(bytes_are_zero(&c, sizeof c));
}

static void agent_that_is_dialled_needs_no_address(void **state)
{
    struct agent_config c;
    struct error e = {0};
    (void)state;
    write_config("agent.conf", "[Relay]\nPublicKey = " KEY_1 "\n"
                               "[Agent]\nName = a\nKeyFile = own.key\nListen = *:7444\n");
    assert_true(agent_config_load(&c, "agent.conf", &e));
    assert_int_equal(c.listen.count, 1);
    assert_address(&c.listen.items[0], "[::]:7444");
    assert_int_equal(c.relay_count, 1);
    assert_false(c.relays[0].has_address);
    assert_null(c.call_socket);
    assert_null(c.control_socket);
    assert_false(c.starts_locked);
    assert_null(c.control_group);
    agent_config_free(&c);
}

static void bad_agent_files(void **state)
{
    (void)state;
    agent_refused("", "agent.conf: there is no section [Agent]; it is required");
    agent_refused("[Agent]\nName = a\nKeyFile = own.key\n",
                  "agent.conf: there is no section [Relay]; it is required");
    agent_refused("[Agent]\nKeyFile = own.key\n",
                  "agent.conf:1: [Agent] has no Name; expected Name = "
                  "Value");
    agent_refused("[Agent]\nName = a\n", "agent.conf:1: [Agent] has no KeyFile; expected KeyFile = "
                                         "Value");
    agent_refused(
        AGENT "[Relay]\nPublicKey = " KEY_2 "\n",
        "agent.conf:7: [Relay] has no Address; expected Address = HOST:PORT, or Listen in "
        "[Agent] for a relay that dials this agent");
    agent_refused(AGENT "[Relay]\nAddress = r:1\n",
                  "agent.conf:7: [Relay] has no PublicKey; expected PublicKey = Value");
    agent_refused(
        AGENT "[Relay]\nAddress = ::1\n",
        "agent.conf:8: Address: '::1' is not HOST or HOST:PORT (a name or an address, IPv6 in "
        "brackets: [2001:db8::1]:22; the port from 1 to 65535)");
    agent_refused(
        AGENT "[User]\nAllow = tcp:127.0.0.1\n",
        "agent.conf:8: Allow: 'tcp:127.0.0.1' is not a target to allow: tcp:HOST:PORTS or "
        "udp:HOST:PORTS (HOST a name, an address, 10.0.0.0/8, [fd00::]/8 or *; PORTS 22, "
        "8000-8099 or *) or unix:/PATH");
    agent_refused(AGENT "[User]\nListen = default, 8080\n",
                  "agent.conf:8: Listen: '8080' is not where listening can be allowed: "
                  "ADDRESS:PORTS (ADDRESS in numbers, 127.0.0.0/8, [fd00::]/8 or *; PORTS 8080, "
                  "8000-8099 or *) or unix:/PATH");
    agent_refused("[Agent]\nRemoteAccess = shut\n",
                  "agent.conf:2: RemoteAccess: 'shut' is not open or locked");
    agent_refused("[Agent]\nControlGroup = no such\n",
                  "agent.conf:2: ControlGroup: no group 'no such' on this system");
    agent_refused("[Agent]\nUser = no such\n",
                  "agent.conf:2: User: no user 'no such' on this system");
    agent_refused("[Agent]\nGroup = 4294967295\n",
                  "agent.conf:2: Group: no group '4294967295' on this system");
    agent_refused(AGENT "[User]\nAccess = sometimes\n",
                  "agent.conf:8: Access: 'sometimes' is not always, ask or never");
    agent_refused(AGENT "[User]\nAskTimeout = 9\n",
                  "agent.conf:8: AskTimeout: '9' is not a number of seconds from 10 to 86400; s, "
                  "min, h or d may follow it");
    agent_refused(AGENT "[User]\nReasonRequired = 1\n",
                  "agent.conf:8: ReasonRequired: '1' is not yes or no");
    agent_refused(AGENT "[User]\nListeners = 0\n",
                  "agent.conf:8: Listeners: '0' is not a number from 1 to 256");
    agent_refused(AGENT "[User]\nListeners = 257\n",
                  "agent.conf:8: Listeners: '257' is not a number from 1 to 256");
    agent_refused(AGENT "[User]\nListeners = 1\nListeners = 1\n",
                  "agent.conf:9: Listeners is given twice in [User], first at line 8");
    agent_refused(AGENT "[User]\nStreams = 0\n",
                  "agent.conf:8: Streams: '0' is not a number from 1 to 16384");
    agent_refused(AGENT "[User]\nStreams = 16385\n",
                  "agent.conf:8: Streams: '16385' is not a number from 1 to 16384");
    agent_refused(AGENT "[User]\nAgents = *\n",
                  "agent.conf:8: unknown key 'Agents' in [User]; known are Name, PublicKey, Allow, "
                  "Listen, Listeners, Streams, Access, Hours, NotBefore, NotAfter, "
                  "MaxSession, IdleEnd, AskTimeout, ReasonRequired");
    agent_refused(
        AGENT "[Client]\n",
        "agent.conf:7: unknown section [Client]; known are [Agent], [Relay], [User], [Authority]");
    agent_refused(AGENT PEER("User", "a", KEY_2) PEER("User", "a", KEY_3),
                  "agent.conf:10: [User] with the name 'a' is given twice, first at line 7");
    agent_refused(
        AGENT PEER("User", "a", KEY_1),
        "agent.conf:7: the PublicKey of this [User] is that of the [Relay] at line 4; expected "
        "one key for each");
    agent_refused(
        AGENT PEER("User", "a", "OWN"),
        "agent.conf:7: the PublicKey of this [User] is the key of this agent itself; expected "
        "the other party's");
    agent_refused("[Agent]\nCallSocket = "
                  "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
                  "agent.conf:2: CallSocket: '"
                  "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is too long for a socket; expected "
                  "under 108 bytes");
}

static void client_file_is_read(void **state)
{
    char path[128];
    struct client_config c;
    struct error e = {0};
    (void)state;
    /* One relay with two addresses, and a second one. */
    write_config("client.conf", "[Client]\nKeyFile = own.key\n"
                                "[Relay]\nAddress = a.example.com\nPublicKey = " KEY_1 "\n"
                                "[Relay]\nAddress = b.example.com:1\nPublicKey = " KEY_1 "\n"
                                "[Relay]\nAddress = c.example.com:2\nPublicKey = " KEY_2 "\n"
                                "[Agent]\nName = lab-1\nPublicKey = " KEY_3 "\n");
    snprintf(path, sizeof path, "%s/client.conf", directory);
    assert_int_equal(chdir("/"), 0); /* relative paths are from the file's directory */
    assert_true(client_config_load(&c, path, &e));
    assert_int_equal(chdir(directory), 0);
    assert_true(key_is(c.key.private_key, 9));
    assert_int_equal(c.relay_count, 3);
    assert_string_equal(c.relays[0].address.host, "a.example.com");
    assert_int_equal(c.relays[0].address.port, 7443);
    assert_int_equal(c.relays[1].address.port, 1);
    assert_true(key_is(c.relays[2].public_key, 2));
    assert_int_equal(c.agent_count, 1);
    assert_string_equal(c.agents[0].name, "lab-1");
    assert_true(key_is(c.agents[0].public_key, 3));
    snprintf(path, sizeof path, "%s/known_agents", directory);
    assert_string_equal(c.known_agents, path);
    client_config_free(&c);
    assert_true(bytes_are_zero(&c, sizeof c));
}

/* An agent without a key, and what is forwarded to agents. */
static void client_forwards(void **state)
{
    struct client_config c;
    struct error e = {0};
    (void)state;
    write_config("client.conf", CLIENT "[Agent]\nName = a\nForward = -L 8022:host:22\n"
                                       "Forward = -D 1080\nforward = -U 53:dns:53\n"
                                       "[Agent]\nName = b\n"
                                       "[Agent]\nName = c\nPublicKey = " KEY_2 "\n");
    assert_true(client_config_load(&c, "client.conf", &e));
    assert_int_equal(c.agent_count, 3);
    assert_false(c.agents[0].has_key);
    assert_int_equal(c.agents[0].forward_count, 3);
    assert_int_equal(c.agents[0].forwards[0].kind, FORWARD_LOCAL);
    assert_int_equal(c.agents[0].forwards[0].target.at.port, 22);
    assert_int_equal(c.agents[0].forwards[1].kind, FORWARD_DYNAMIC);
    assert_int_equal(c.agents[0].forwards[2].kind, FORWARD_UDP);
    assert_false(c.agents[1].has_key);
    assert_int_equal(c.agents[1].forward_count, 0);
    assert_true(c.agents[2].has_key);
    client_config_free(&c);
}

static void client_paths_are_expanded(void **state)
{
    char path[128];
    struct client_config c;
    struct error e = {0};
    (void)state;
    setenv("HOME", directory, 1);
    write_config("client.conf", "[Client]\nKeyFile = ~/own.key\nKnownAgents = /a/b\n"
                                "[Relay]\nAddress = a\nPublicKey = " KEY_1 "\n");
    snprintf(path, sizeof path, "%s/client.conf", directory);
    assert_true(client_config_load(&c, path, &e));
    assert_true(key_is(c.key.private_key, 9));
    assert_string_equal(c.known_agents, "/a/b");
    client_config_free(&c);
    write_config("client.conf", CLIENT);
    assert_true(client_config_load(&c, "client.conf", &e));
    assert_string_equal(c.known_agents, "known_agents");
    client_config_free(&c);
}

static void bad_client_files(void **state)
{
    (void)state;
    client_refused("", "client.conf: there is no section [Client]; it is required");
    client_refused("[Client]\nKeyFile = own.key\n",
                   "client.conf: there is no section [Relay]; it is required");
    client_refused("[Client]\nKnownAgents = x\n",
                   "client.conf:1: [Client] has no KeyFile; expected KeyFile = Value");
    client_refused(CLIENT "[Relay]\nPublicKey = " KEY_2 "\n",
                   "client.conf:6: [Relay] has no Address; expected Address = Value");
    client_refused(
        CLIENT "[Relay]\nAddress = x\nPublicKey = OWN\n",
        "client.conf:6: the PublicKey of this [Relay] is the key of this client itself; expected "
        "the other party's");
    client_refused(CLIENT "[Client]\n", "client.conf:6: [Client] is given twice, first at line 1");
    client_refused(
        CLIENT PEER("Agent", "a", KEY_2) PEER("Agent", "b", KEY_2),
        "client.conf:9: the PublicKey of this [Agent] is that of the [Agent] at line 6; expected "
        "one key for each");
    client_refused(
        CLIENT "[User]\n",
        "client.conf:6: unknown section [User]; known are [Client], [Relay], [Agent], [Authority]");
    client_refused(
        CLIENT "[Agent]\nAllow = *\n",
        "client.conf:7: unknown key 'Allow' in [Agent]; known are Name, PublicKey, Forward");
    client_refused(CLIENT "[Agent]\nName = a\nForward = -D 1\nForward = -D x\n",
                   "client.conf:9: Forward: 'x' is not [ADDRESS:]PORT (IPv6 in brackets, * or "
                   "nothing before the first colon for all addresses)");
    client_refused(CLIENT "[Agent]\nName = a\n[Agent]\nName = a\n",
                   "client.conf:8: [Agent] with the name 'a' is given twice, first at line 6");
}

/* Every file cut anywhere is read or refused with a text, and nothing is left allocated. */
static void cut_files_are_read_or_refused(void **state)
{
    static const char whole[] = RELAY PEER("User", "a", KEY_1) "Agents = a, b*\n" PEER(
        "Agent", "b", KEY_2) "Labels = x\nDial = tcp:a:1\n";
    struct relay_config c;
    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        struct error e = {0};
        write_file("relay.conf", whole, len, 0644);
        if (relay_config_load(&c, "relay.conf", &e))
            relay_config_free(&c);
        else
            assert_int_equal(strncmp(e.text, "relay.conf:", 11), 0);
    }
}

static void default_places(void **state)
{
    static const struct {
        const char *role, *xdg, *path;
    } cases[] = {
        {"relay", "/xdg", "/etc/spx/relay.conf"},
        {"agent", NULL, "/etc/spx/agent.conf"},
        {"client", "/xdg", "/xdg/spx/client.conf"},
        {"client", NULL, "/home/alice/.config/spx/client.conf"},
        {"client", "", "/home/alice/.config/spx/client.conf"},
        {"client", "relative", "/home/alice/.config/spx/client.conf"},
    };

    (void)state;
    setenv("HOME", "/home/alice", 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].xdg)
            setenv("XDG_CONFIG_HOME", cases[i].xdg, 1);
        else
            unsetenv("XDG_CONFIG_HOME");
        char *path = config_default_path(cases[i].role);
        assert_string_equal(path, cases[i].path);
        free(path);
    }
}

/* Known agents. */

static void known_agents_are_kept(void **state)
{
    uint8_t key[KEY_BYTES], key_1[KEY_BYTES], key_2[KEY_BYTES];
    struct error e = {0};
    struct stat st;
    unsigned found = true;
    (void)state;
    memset(key_1, 1, sizeof key_1);
    memset(key_2, 2, sizeof key_2);
    assert_true(known_agents_find("x/y/known", "lab-1", key, &found, &e));
    assert_false(found);
    assert_true(known_agents_add("x/y/known", "lab-1", key_1, &e));
    assert_true(known_agents_add("x/y/known", "lab-2", key_2, &e));
    assert_int_equal(stat("x/y", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat("x/y/known", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(known_agents_find("x/y/known", "lab-2", key, &found, &e) && found);
    assert_true(key_is(key, 2));
    assert_true(known_agents_find("x/y/known", "lab-1", key, &found, &e) && found);
    assert_true(key_is(key, 1));
    assert_true(known_agents_find("x/y/known", "lab", key, &found, &e));
    assert_false(found);
    assert_false(known_agents_add("own.key/known", "a", key, &e));
    assert_int_equal(e.failure, FAILURE_OTHER);
    assert_string_equal(e.text, "cannot open own.key/known for writing: not a directory");
}

static void known_agents_by_hand(void **state)
{
    uint8_t key[KEY_BYTES];
    struct error e = {0};
    unsigned found;
    (void)state;
    write_config("known_agents", "# mine\n\n  lab-1 \t " KEY_1 "  # the first\r\n");
    assert_true(known_agents_find("known_agents", "lab-1", key, &found, &e) && found);
    assert_true(key_is(key, 1));
}

static void bad_known_agents(void **state)
{
    (void)state;
    known_refused("lab-1\n", "known_agents:1: 'lab-1' is not understood; expected NAME KEY");
    known_refused(
        "\nLab-1 " KEY_1 "\n",
        "known_agents:2: 'Lab-1' is not a name: 1 to 64 of a-z 0-9 . _ -, first a letter or "
        "digit, no two dots in a row");
    known_refused("lab-1 abc\n",
                  "known_agents:1: 'abc' is not a public key: 44 characters of base64");
    known_refused("lab-1 " KEY_1 " x\n",
                  "known_agents:1: '" KEY_1 " x' is not a public key: 44 characters "
                  "of base64");
    known_refused(
        "lab-1 " KEY_1 "\nlab-2 " KEY_2 "\nlab-1 " KEY_1 "\n",
        "known_agents:3: 'lab-1' is given twice, first at line 1; expected one line for each "
        "agent");
    known_refused("lab-1 " KEY_1 "\nlab-2 \xff\n", "known_agents:2: not text; expected UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_finds_sections_and_keys),
        cmocka_unit_test(walk_refuses_what_is_no_text),
        cmocka_unit_test(relay_files_of_wrong_form),
        cmocka_unit_test(relay_files_of_wrong_values),
        cmocka_unit_test(relay_peers_are_unique),
        cmocka_unit_test(relay_file_is_read),
        cmocka_unit_test(relay_labels_are_bounded),
        cmocka_unit_test(rules_are_inherited),
        cmocka_unit_test(agent_file_is_read),
        cmocka_unit_test(authorities_are_read),
        cmocka_unit_test(relay_authorities_are_read),
        cmocka_unit_test(bad_authorities),
        cmocka_unit_test(agent_that_is_dialled_needs_no_address),
        cmocka_unit_test(bad_agent_files),
        cmocka_unit_test(client_file_is_read),
        cmocka_unit_test(client_forwards),
        cmocka_unit_test(client_paths_are_expanded),
        cmocka_unit_test(bad_client_files),
        cmocka_unit_test(cut_files_are_read_or_refused),
        cmocka_unit_test(default_places),
        cmocka_unit_test(known_agents_are_kept),
        cmocka_unit_test(known_agents_by_hand),
        cmocka_unit_test(bad_known_agents),
    };
    return cmocka_run_group_tests_name("config", tests, enter_directory, leave_directory);
}
