/* Control hops of agents that call home: presence, calls for help (docs/PROTOCOL.md section 4). */
#ifndef SPX_RELAY_CONTROL_HOP_H
#define SPX_RELAY_CONTROL_HOP_H

struct peer;
struct known_agent;
struct info;

/* An open hop of role agent: it takes the place of an older one. */
void control_hop_came(struct peer *peer, struct known_agent *a, const struct info *info);

#endif
