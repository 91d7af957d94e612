/* The changes that a reload makes to the relay's users and agents, for the log and the
 * audit. */
#ifndef SPX_RELAY_CHANGES_H
#define SPX_RELAY_CHANGES_H

#include "config/config.h"

struct audit;
struct directory;
struct known_user;
struct known_agent;

/* Before the directory takes it over: a line for each user, agent and permission that comes, and
 * for each permission of a user who stays that goes. */
void changes_log_new(struct audit *audit, const struct directory *d,
                     const struct relay_config *fresh);

/* True if two configurations of a user name other agents. */
bool changes_in_agents(const struct relay_user *before, const struct relay_user *fresh);

/* One that goes, as long as its configuration is there. */
void changes_log_gone_user(struct audit *audit, const struct known_user *u);
void changes_log_gone_agent(struct audit *audit, const struct known_agent *a);

/* A line for each authority that only one of two configurations has. */
void changes_log_authorities(struct audit *audit, const struct relay_config *old,
                             const struct relay_config *fresh);

#endif
