/* The rules of a user as people read them: for --check and for what a reload changes. */
#ifndef SPX_AGENT_RULE_WORDS_H
#define SPX_AGENT_RULE_WORDS_H

#include "policy/rules.h"

#define RULE_WORDS 8
#define RULE_VALUE_BYTES HOURS_TEXT_BYTES

/* The key of a rule, 0 to RULE_WORDS - 1, and what it lets a user do, as "until". */
const char *rule_key(unsigned i);
const char *rule_verb(unsigned i);

/* Counts while it is not set, as "always". */
const char *rule_unset(unsigned i);

/* Its value; "": it is not set. */
void rule_value(char out[RULE_VALUE_BYTES], unsigned i, const struct rules *r,
                const struct zone *z);

#endif
