/* The table of users and permissions, as the configuration has them. It decides nothing. */
#include "agent/show.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/guest.h"
#include "agent/rule_words.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/cli.h"
#include "permit/revocations.h"

/* The use that a list of patterns permits, and the words for it. */
struct use {
    const char *verb, *key, *wide;
    bool listening;
};

static const struct use connecting = {
    "connect to", "Allow", "every host that this machine reaches: name the targets one by one",
    false};
static const struct use listening = {
    "listen on", "Listen", "everybody who reaches this machine may connect: name an address", true};

static void print_line(const char *user, const char *verb, const char *what)
{
    printf("%-24s %-11s %s\n", user, verb, what);
}

static void print_patterns(const struct agent_user *u, const struct use *use,
                           const struct target_pattern *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[TARGET_TEXT_BYTES];
        target_pattern_to_text(text, &patterns[i], use->listening);
        print_line(u->name, use->verb, text);
        if (target_pattern_is_wide(&patterns[i]))
            log_warning("user %s: %s = %s: %s", u->name, use->key, text, use->wide);
    }
}

static void print_relay(const struct agent_relay *r)
{
    char name[sizeof r->address.host + 16] = "that dials this agent";
    if (r->has_address)
        snprintf(name, sizeof name, "%s port %u", r->address.host, r->address.port);
    cli_show_peer("relay", name, r->public_key);
}

static void print_parties(const struct agent_config *c)
{
    for (size_t i = 0; i < c->relay_count; i++)
        print_relay(&c->relays[i]);
    for (size_t i = 0; i < c->user_count; i++)
        cli_show_peer("user", c->users[i].name, c->users[i].public_key);
}

/* A line for each rule, and one for what they say now. True if there are any. */
static bool print_rules(const struct agent_config *c, const struct agent_user *u)
{
    const struct rules *r = &u->given.rules;
    struct circumstances now = {
        .zone = &c->time_zone.zone, .wall_s = clock_wall_s(), .built_s = version_built_s()};
    struct ruling ruling = rules_begin(r, &now, true);
    char value[RULE_VALUE_BYTES], text[RULING_TEXT_BYTES];
    if (!rules_are_any(r))
        return false;
    for (unsigned i = 0; i < RULE_WORDS; i++) {
        rule_value(value, i, r, &c->time_zone.zone);
        if (value[0])
            print_line(u->name, rule_verb(i), value);
    }
    ruling_text(text, &ruling, r, &now);
    print_line(u->name, "connect now", ruling.answer == RULING_YES ? "yes" : text);
    return true;
}

static void print_time(const struct agent_config *c)
{
    char now[DATE_TEXT_BYTES];
    date_text(now, &c->time_zone.zone, clock_wall_s());
    printf("time zone %s, where it is %s\n", c->time_zone.name ? c->time_zone.name : "UTC", now);
}

static void print_authorities(const struct agent_config *c)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    for (size_t i = 0; i < c->authority_count; i++) {
        sign_fingerprint(fingerprint, c->authorities[i].public_key);
        printf("authority %s, key %s\n", c->authorities[i].most.name, fingerprint);
    }
    if (c->scope[0])
        printf("scope %s\n", c->scope);
    else if (c->authority_count)
        log_warning("no Scope: only permits that name this agent's key are for it");
}

/* True if there are rules. */
static bool print_user(const struct agent_config *c, const struct agent_user *u)
{
    if (u->allow_count + u->listen_count == 0)
        print_line(u->name, "nothing", "");
    print_patterns(u, &connecting, u->allow, u->allow_count);
    print_patterns(u, &listening, u->listen, u->listen_count);
    return print_rules(c, u);
}

void show_policy(const struct agent_config *c)
{
    bool has_rules = false;
    print_parties(c);
    print_authorities(c);
    if (c->user_count + c->authority_count)
        print_line("USER", "MAY", "WHERE");
    else
        log_warning("no [User]: nobody may have a session");
    for (size_t i = 0; i < c->user_count; i++)
        has_rules |= print_user(c, &c->users[i]);
    for (size_t i = 0; i < c->authority_count; i++) {
        const struct agent_user u = guest_section(&c->authorities[i]);
        has_rules |= print_user(c, &u);
    }
    if (has_rules || c->time_zone.name)
        print_time(c);
}

static void warn_of_revocations(const struct agent_authority *a)
{
    struct revocations r;
    struct error e = {0};
    if (!a->revocations)
        return;
    if (revocations_read(&r, a->revocations, a->public_key, &e))
        revocations_free(&r);
    else
        log_warning("Revocations: %s: the agent does not start without them", e.text);
}

void show_places(const struct agent_config *c)
{
    const char *socket = agent_config_socket(c);
    int fault = socket ? file_directory_fault(socket) : 0;
    if (c->state_directory && access(c->state_directory, W_OK | X_OK) < 0)
        log_warning("StateDirectory: %s: nothing can be kept there: %s", c->state_directory,
                    system_text(errno));
    if (fault)
        log_warning("ControlSocket: %s: cannot be made in its directory: %s", socket,
                    system_text(fault));
    for (size_t i = 0; i < c->authority_count; i++)
        warn_of_revocations(&c->authorities[i]);
}
