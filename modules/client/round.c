/* The order in which relays are tried, and what each kind of failure means for the next try. */
#include "client/round.h"

#define RESUME_RETRY_MAX_S 30 /* a relay cannot make a session wait longer */

static void begin(struct round *r)
{
    r->failures = 0;
    r->wait_at = ROUND_NO_RELAY;
    r->patient = r->moved = false;
}

void round_init(struct round *r, size_t count, bool single)
{
    *r = (struct round){.count = count, .single = single};
    begin(r);
}

void round_try(struct round *r, uint64_t now_us)
{
    r->tried_us = now_us;
}

/* At a relay that says that the agent is there, after another one where it may come. */
static bool is_elsewhere(const struct round *r)
{
    return r->moved && r->relay != r->wait_at;
}

bool round_is_impatient(const struct round *r)
{
    return is_elsewhere(r) || r->failures + 1 < r->count;
}

bool round_is_hurried(const struct round *r)
{
    return round_is_impatient(r) || (!r->patient && r->wait_at != ROUND_NO_RELAY);
}

bool round_wants_others(const struct round *r)
{
    return r->count > 1 && !r->moved;
}

void round_move(struct round *r, size_t relay)
{
    r->wait_at = r->relay;
    r->patient = r->moved = true;
    r->relay = relay;
}

/* True if another try cannot help: a refusal is final until there was a session. */
static bool is_final(const struct round *r, enum code code)
{
    if (r->single)
        return true;
    if (code == CODE_NETWORK || code == CODE_TIMEOUT || code == CODE_SHUTDOWN ||
        code == CODE_FULL || code == CODE_INTERNAL)
        return false;
    if (code == CODE_OFFLINE || code == CODE_NO_AGENT || code == CODE_NO_SESSION ||
        code == CODE_ENDED || code == CODE_RESUME_WINDOW || code == CODE_PROTOCOL ||
        code == CODE_REVOKED || code == CODE_UNKNOWN_KEY)
        return !r->had_session;
    return true;
}

/* True if the relay, or who answered through it, has another key for the agent than the client. */
static bool keys_differ(const struct round_failure *f)
{
    return f->answered && (f->code == CODE_UNKNOWN_KEY || f->code == CODE_BAD_HANDSHAKE);
}

/* True if another relay may do better: not if the agent itself has answered, nor if keys differ
 * before there is a session, which the engineer must be told. */
static bool is_the_relays(const struct round_failure *f)
{
    return !f->by_agent && (f->has_session || !keys_differ(f));
}

/* True if this is a relay where the agent may come. */
static bool is_absent(const struct round_failure *f)
{
    return f->answered && (f->code == CODE_OFFLINE || f->code == CODE_TIMEOUT);
}

/* Chooses the relay for the next try; true: at once, false: this one ended the round. */
static bool choose(struct round *r, const struct round_failure *f, uint64_t now_us)
{
    size_t tried = r->relay;
    bool impatient = round_is_impatient(r);
    bool waited = is_absent(f) && f->listed_offline && now_us - r->tried_us >= ROUND_SILENCE_US;
    if (!is_the_relays(f))
        return false;
    if (is_elsewhere(r)) {
        r->relay = r->wait_at;
        return true;
    }
    r->relay = (tried + 1) % r->count;
    if (is_absent(f) && impatient && r->wait_at == ROUND_NO_RELAY)
        r->wait_at = tried;
    if (++r->failures < r->count)
        return true;
    if (r->patient || waited || r->wait_at == ROUND_NO_RELAY)
        return false;
    r->relay = r->wait_at;
    r->patient = true;
    return true;
}

/* A round ends, the next one begins after the pause. */
static struct round_decision pause_round(struct round *r, uint64_t worked_us, uint32_t at_least_s)
{
    uint64_t pause_us = backoff_next(&r->backoff, worked_us);
    uint64_t least_us = at_least_s * CLOCK_US_PER_S;
    begin(r);
    return (struct round_decision){ROUND_PAUSE, pause_us < least_us ? least_us : pause_us};
}

struct round_decision round_failed(struct round *r, const struct round_failure *f, uint64_t now_us)
{
    uint32_t retry_s = f->retry_s;
    if (choose(r, f, now_us))
        return (struct round_decision){ROUND_NEXT, 0};
    if (!f->has_session && (is_final(r, f->code) || keys_differ(f)))
        return (struct round_decision){ROUND_GIVE_UP, 0};
    if (f->has_session && retry_s > RESUME_RETRY_MAX_S)
        retry_s = RESUME_RETRY_MAX_S;
    return pause_round(r, 0, retry_s);
}

void round_reached(struct round *r)
{
    r->had_session = true;
    begin(r);
}

uint64_t round_lost(struct round *r, uint64_t worked_us)
{
    return pause_round(r, worked_us, 0).pause_us;
}

struct round_decision round_session_over(struct round *r, enum code code, uint64_t worked_us)
{
    if (is_final(r, code))
        return (struct round_decision){ROUND_GIVE_UP, 0};
    return pause_round(r, worked_us, 0);
}
