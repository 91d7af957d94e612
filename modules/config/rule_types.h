/* The types of the keys in agent.conf that are rules for sessions, and of TimeZone. */
#ifndef SPX_CONFIG_RULE_TYPES_H
#define SPX_CONFIG_RULE_TYPES_H

#include "config/schema.h"

/* Fields: struct agent_zone; the others struct given_rules. */
extern const struct config_type config_time_zone, config_access, config_hours, config_not_before,
    config_not_after, config_max_session, config_idle_end, config_ask_timeout,
    config_reason_required;

/* Takes over the defaults that a user's section does not give, and where these do not either the
 * program's. */
void given_rules_inherit(struct given_rules *user, const struct given_rules *defaults);

#endif
