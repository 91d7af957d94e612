/* Decides whether a CONNECT is taken: who may, and how often. */
#include "relay/connect.h"

#include "base/text.h"
#include "relay/desk.h"
#include "relay/peer.h"
#include "relay/pending.h"
#include "relay/ways.h"

#define RETRY_S 1

static bool refuse_at_once(struct peer *client, struct view agent, enum code code, const char *text)
{
    struct refusal m = {.code = code, .text = view_of_string(text), .retry_s = RETRY_S};
    struct relay *r = client->relay;
    char name[NAME_TEXT_BYTES], key[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {.event = "circuit_refused",
                           .user = client->user->config->name,
                           .agent = name,
                           .address = client->address,
                           .code = code,
                           .reason = text};
    text_clean(name, sizeof name, agent);
    log_caused_event(&r->log, client->user->public_key, loop_now(r->loop), LOG_WARNING, &f,
                     "refused user %s from %s to agent %s: %s", f.user, client->address, name,
                     text);
    key_fingerprint(key, client->user->public_key);
    audit_counts_add_like(
        &r->counts, &(struct audit_entry){
                        .event = f.event, .user = f.user, .key = key, .code = code, .by = "relay"});
    pending_send_refused(client, &m);
    return true;
}

bool connect_read(struct peer *client, struct view body)
{
    struct connect m;
    struct relay *r = client->relay;
    if (!connect_decode(&m, body))
        return hop_fail(&client->driver.hop, CODE_PROTOCOL, "malformed CONNECT");
    struct known_agent *a = directory_agent_for(&r->directory, client->user, m.agent);
    if (!a)
        return refuse_at_once(client, m.agent, CODE_NO_AGENT, code_text(CODE_NO_AGENT));
    struct pair *pair = directory_pair(&r->directory, client->user, a);
    if (!pair)
        return refuse_at_once(client, m.agent, CODE_INTERNAL, NO_MEMORY_TEXT);
    if (pair->pending >= PENDING_PER_USER_AGENT)
        return refuse_at_once(client, m.agent, CODE_FULL,
                              "too many connects to this agent are under way");
    if (!rate_take(&pair->connects, loop_now(r->loop), CONNECT_RATE_PER_S, CONNECT_BURST))
        return refuse_at_once(client, m.agent, CODE_FULL,
                              "too many connects to this agent in a short time");
    struct pending *p = pending_new(client, a, pair, m.message1);
    if (!p)
        return refuse_at_once(client, m.agent, CODE_INTERNAL, NO_MEMORY_TEXT);
    p->try_ways = ways_try;
    p->try_ways(p);
    return true;
}
