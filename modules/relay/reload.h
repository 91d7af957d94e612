/* A configuration takes effect: who is no longer in it, or no longer permitted, is ended
 * (docs/PROTOCOL.md section 4). */
#ifndef SPX_RELAY_RELOAD_H
#define SPX_RELAY_RELOAD_H

struct relay;
struct relay_config;

/* Takes over a configuration, which must live until the next one was taken; the one before lives
 * until this returns. Of users and agents
 * that are not in it every CONNECT, hop and circuit has ended or is about to, and nothing names
 * them when this returns. */
void reload_apply(struct relay *r, const struct relay_config *config);

#endif
