/* Dial mode: takes hops that relays open, and answers OFFERs on them. */
#include "agent/inbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "crypto/keys.h"
#include "hop/crowd.h"
#include "hop/driver.h"
#include "hop/seen.h"
#include "net/carriers.h"

#define SWEEP_US (5 * CLOCK_US_PER_S)

struct inbound {
    struct agent *agent;
    struct crowd crowd;
    struct seen *seen; /* ephemeral keys of theirs */
    struct carrier_doors doors;
    struct list visitors;
    struct timer sweep;
};

/* A connection, possibly from a relay. */
struct visitor {
    struct hop_driver driver;
    struct inbound *inbound;
    struct list place;
    struct crowd_member waiting;
    struct answer *answer; /* to the OFFER that arrived on it; NULL: none in progress */
    char address[ADDRESS_TEXT_BYTES];
};

static struct visitor *visitor_of(struct hop *h)
{
    return container_of(hop_driver_of(h), struct visitor, driver);
}

static void visitor_free(struct visitor *v)
{
    if (v->answer)
        answer_cancel(v->answer);
    crowd_failed(&v->inbound->crowd, &v->waiting, loop_now(v->inbound->agent->loop));
    crowd_leave(&v->inbound->crowd, &v->waiting);
    hop_driver_close(&v->driver);
    list_remove(&v->place);
    free(v);
}

static struct visitor *visitor_of_member(struct crowd_member *m)
{
    return container_of(m, struct visitor, waiting);
}

static void make_way(struct crowd_member *m)
{
    if (m)
        visitor_free(visitor_of_member(m));
}

/* Within the crowd's budget the hop reads it at once. */
static bool on_first_message(struct hop *h, struct view message)
{
    struct visitor *v = visitor_of(h);
    struct inbound *in = v->inbound;
    uint64_t now = loop_now(in->agent->loop);
    enum crowd_budget budget = CROWD_NOTHING;
    make_way(crowd_in_the_way(&in->crowd, CROWD_HANDSHAKE, crowd_source(&v->waiting)));
    crowd_advance(&in->crowd, &v->waiting);
    if (!seen_before(in->seen, message.data + HANDSHAKE_HEADER_BYTES, now))
        budget = crowd_budget(&in->crowd, &v->waiting, now);
    h->known_only = budget == CROWD_KNOWN;
    if (budget != CROWD_NOTHING) {
        v->waiting.owed = MULTIPLICATIONS_TO_READ;
        return false;
    }
    hop_hello_read(h, NULL, view_of(NULL, 0));
    return true;
}

static void on_not_authentic(struct hop *h)
{
    struct visitor *v = visitor_of(h);
    struct crowd *crowd = &v->inbound->crowd;
    crowd_failed(crowd, &v->waiting, loop_now(v->inbound->agent->loop));
    make_way(crowd_in_the_way(crowd, CROWD_SILENT, crowd_source(&v->waiting)));
    crowd_retreat(crowd, &v->waiting);
}

/* Whose its lines in the log are: its relay's, or a stranger's. */
static void party_of(const struct visitor *v, uint8_t out[LOG_PARTY_BYTES])
{
    const struct agent *a = v->inbound->agent;
    if (v->driver.hop.opened_us && agent_find_relay(a, v->driver.hop.peer_key))
        memcpy(out, v->driver.hop.peer_key, LOG_PARTY_BYTES);
    else
        crowd_party(out, &v->waiting, loop_now(a->loop));
}

static void log_refused(const struct visitor *v, const struct welcome *welcome)
{
    struct agent *a = v->inbound->agent;
    const struct hop *h = &v->driver.hop;
    char fingerprint[FINGERPRINT_TEXT_BYTES], reason[TEXT_MAX_BYTES + 1];
    struct log_fields f = {.event = "hop_refused",
                           .key = fingerprint,
                           .address = v->address,
                           .code = welcome->code,
                           .reason = reason};
    uint8_t party[LOG_PARTY_BYTES];
    snprintf(reason, sizeof reason, "%.*s", (int)welcome->text.len,
             (const char *)welcome->text.data);
    key_fingerprint(fingerprint, h->peer_key);
    party_of(v, party);
    log_caused_event(&a->log, party, loop_now(a->loop), LOG_WARNING, &f,
                     "refused %s at %s, key %s: %s", role_name(h->peer_role), v->address,
                     fingerprint, reason);
    audit_counts_add(&a->counts, f.event, f.code);
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    struct visitor *v = visitor_of(h);
    uint64_t now = loop_now(v->inbound->agent->loop);
    v->waiting.owed += MULTIPLICATIONS_TO_ANSWER;
    carrier_set_options(v->driver.carrier);
    hop_driver_set_deadline(&v->driver, now + HANDSHAKE_S * CLOCK_US_PER_S);
    if (!agent_find_relay(v->inbound->agent, h->peer_key)) {
        crowd_spend(&v->inbound->crowd, crowd_source(&v->waiting), v->waiting.owed, true, now);
        v->waiting.owed = 0;
        welcome->code = CODE_UNKNOWN_KEY;
        welcome->text = view_of_string("this agent does not know the relay's key");
    } else if (hello->role != ROLE_RELAY) {
        welcome->code = CODE_WRONG_ROLE;
        welcome->text = view_of_string("this agent is dialled by relays only");
    } else {
        welcome->code = CODE_OK;
        welcome->name = view_of_string("relay");
    }
    if (welcome->code != CODE_OK)
        log_refused(v, welcome);
}

/* True if a relay is within its limit of hops, this one included. */
static bool has_room(const struct inbound *in, const uint8_t relay_key[KEY_BYTES])
{
    unsigned count = 0;
    list_each (link, &in->visitors) {
        const struct hop *h = &container_of(link, struct visitor, place)->driver.hop;
        count += h->state == HOP_OPEN && memcmp(h->peer_key, relay_key, KEY_BYTES) == 0;
    }
    return count <= HOPS_PER_RELAY;
}

static void on_open(struct hop *h, const struct info *info)
{
    struct visitor *v = visitor_of(h);
    struct log_fields f = {.event = "hop_connected", .address = v->address};
    (void)info;
    crowd_opened(&v->inbound->crowd, &v->waiting, loop_now(v->inbound->agent->loop));
    hop_driver_set_deadline(&v->driver, CLOCK_NEVER);
    if (!has_room(v->inbound, h->peer_key)) {
        hop_bye(h, CODE_FULL, "too many connections of this relay are open", 1);
        return;
    }
    log_caused_event(&v->inbound->agent->log, h->peer_key, loop_now(v->inbound->agent->loop),
                     LOG_DEBUG, &f, "a relay at %s has connected", v->address);
}

static void on_answered(void *owner, const struct answer_result *result)
{
    struct visitor *v = owner;
    v->answer = NULL;
    if (!answer_tell(v->inbound->agent, &v->driver.hop, result)) {
        hop_driver_update(&v->driver);
        return;
    }
    struct carrier *carrier = hop_driver_take(&v->driver);
    visitor_free(v);
    attachment_attach(result->attachment, carrier);
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct visitor *v = visitor_of(h);
    if (type == MESSAGE_OFFER)
        return answer_take_offer(v->inbound->agent, h, body, &v->answer, on_answered, v);
    return true;
}

static const struct hop_handler handler = {
    .on_first_message = on_first_message,
    .on_not_authentic = on_not_authentic,
    .on_hello = on_hello,
    .on_open = on_open,
    .on_message = on_message,
};

static void on_ended(struct hop_driver *d)
{
    struct visitor *v = container_of(d, struct visitor, driver);
    const struct wire_error *error = hop_error(&d->hop);
    struct log_fields f = {
        .event = "hop_ended", .address = v->address, .code = error->code, .reason = error->text};
    uint8_t party[LOG_PARTY_BYTES];
    party_of(v, party);
    log_caused_event(&v->inbound->agent->log, party, loop_now(v->inbound->agent->loop), LOG_DEBUG,
                     &f, "%s: %s", v->address, error->text);
    visitor_free(v);
}

static void take(void *owner, struct carrier *carrier, const struct address *address)
{
    struct inbound *in = owner;
    struct agent *a = in->agent;
    uint8_t source[9];
    struct visitor *v;
    address_source(source, address);
    make_way(crowd_in_the_way(&in->crowd, CROWD_SILENT, source));
    v = calloc(1, sizeof *v);
    if (!v || !crowd_enter(&in->crowd, &v->waiting, source)) {
        free(v);
        carrier_close(carrier);
        return;
    }
    v->inbound = in;
    list_append(&in->visitors, &v->place);
    address_to_text(v->address, address);
    hop_listen(&v->driver.hop, &a->party, &handler, ROLE_AGENT_CIRCUIT, loop_now(a->loop));
    v->driver.on_ended = on_ended;
    if (!hop_driver_open(&v->driver, a->loop, carrier)) {
        visitor_free(v);
        return;
    }
    hop_driver_set_deadline(&v->driver, loop_now(a->loop) + SILENT_S * CLOCK_US_PER_S);
}

/* Closes the oldest silent connection for its descriptor and memory. Accepting pauses all the same:
 * other work that needs a descriptor goes first. */
static bool on_shortage(void *owner)
{
    static const uint8_t strangers[LOG_PARTY_BYTES];
    struct inbound *in = owner;
    log_caused(&in->agent->log, strangers, loop_now(in->agent->loop), LOG_WARNING,
               "cannot accept connections: %s", system_text(errno));
    make_way(crowd_oldest(&in->crowd, CROWD_SILENT));
    return false;
}

static const struct carrier_doors_events events = {.take = take, .on_shortage = on_shortage};

static void on_sweep(struct timer *timer)
{
    struct inbound *in = container_of(timer, struct inbound, sweep);
    crowd_sweep(&in->crowd, loop_now(in->agent->loop));
    timer_set(in->agent->loop, timer, loop_now(in->agent->loop) + SWEEP_US);
}

struct inbound *inbound_new(struct agent *a, struct error *e)
{
    uint8_t hash_key[16];
    struct inbound *in = calloc(1, sizeof *in);
    struct seen *seen = seen_new();
    if (!in || !seen) {
        free(in);
        seen_free(seen);
        error_no_memory(e);
        return NULL;
    }
    in->agent = a;
    in->sweep.on_fire = on_sweep;
    list_init(&in->visitors);
    random_bytes(hash_key, sizeof hash_key);
    crowd_init(&in->crowd, hash_key);
    in->seen = seen;
    if (!carrier_doors_open(&in->doors, a->loop, a->config.listen.items, a->config.listen.count,
                            &events, in, e)) {
        inbound_free(in);
        return NULL;
    }
    timer_set(a->loop, &in->sweep, loop_now(a->loop) + SWEEP_US);
    return in;
}

void inbound_start(struct inbound *in)
{
    if (in)
        carrier_doors_go(&in->doors);
}

/* One whose first message has not come has no key yet, and is asked for it then. */
static bool is_of_removed_relay(const struct visitor *v)
{
    const struct hop *h = &v->driver.hop;
    return (h->state == HOP_WAIT_FIRST || h->state == HOP_OPEN) &&
           !agent_find_relay(v->inbound->agent, h->peer_key);
}

void inbound_check(struct inbound *in)
{
    if (!in)
        return;
    list_each (link, &in->visitors) {
        struct visitor *v = container_of(link, struct visitor, place);
        if (!is_of_removed_relay(v))
            continue;
        log_info("%s: disconnected: its relay is no longer in the configuration", v->address);
        if (v->answer)
            answer_cancel(v->answer);
        v->answer = NULL;
        hop_bye(&v->driver.hop, CODE_REVOKED, "this agent no longer allows the relay", 0);
        visitor_free(v);
    }
}

bool inbound_is(const struct inbound *in, const struct address *address)
{
    return in && carrier_doors_are_at(&in->doors, address);
}

void inbound_free(struct inbound *in)
{
    if (!in)
        return;
    list_each (link, &in->visitors)
        visitor_free(container_of(link, struct visitor, place));
    carrier_doors_close(&in->doors);
    timer_cancel(in->agent->loop, &in->sweep);
    crowd_free(&in->crowd);
    seen_free(in->seen);
    free(in);
}
