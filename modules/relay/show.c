/* The table of users and the agents that they may reach, as the configuration has them. It decides
 * nothing. */
#include "relay/show.h"

#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"

static size_t count_agents(const struct relay_config *c, const char *pattern)
{
    size_t count = 0;
    for (size_t i = 0; i < c->agent_count; i++)
        count += text_matches(pattern, c->agents[i].name);
    return count;
}

static void print_user(const struct relay_config *c, const struct relay_user *u)
{
    if (!u->agent_count)
        printf("%-24s nothing\n", u->name);
    for (size_t i = 0; i < u->agent_count; i++) {
        size_t count = count_agents(c, u->agents[i]);
        printf("%-24s %-24s %zu\n", u->name, u->agents[i], count);
        if (!count)
            log_warning("user %s: Agents = %s: no agent of this file has such a name", u->name,
                        u->agents[i]);
    }
}

void show_users(const struct relay_config *c)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    for (size_t i = 0; i < c->user_count; i++)
        cli_show_peer("user", c->users[i].name, c->users[i].public_key);
    for (size_t i = 0; i < c->authority_count; i++) {
        sign_fingerprint(fingerprint, c->authorities[i].public_key);
        printf("authority %s, key %s\n", c->authorities[i].name, fingerprint);
    }
    printf("users: %zu, agents: %zu\n", c->user_count, c->agent_count);
    if (c->user_count)
        printf("%-24s %-24s %s\n", "USER", "MAY REACH", "AGENTS");
    for (size_t i = 0; i < c->user_count; i++)
        print_user(c, &c->users[i]);
}
