/* A short list of what waits, and a table of those who have asked. */
#include "agent/requests.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/text.h"

#define WRONG_MAX 5
#define WRONG_US (60 * CLOCK_US_PER_S)
#define DENIAL_US (300 * CLOCK_US_PER_S) /* longer by this for each */
#define DAY_US (86400 * CLOCK_US_PER_S)
#define ASKERS 64 /* remembered; one that may ask, and was not heard of for longest, gives way */

/* A key that has asked. */
struct asking_key {
    uint8_t key[KEY_BYTES];
    uint64_t heard_us;              /* 0: a free place */
    unsigned asked;                 /* since day_us */
    uint64_t day_us;                /* at most a day ago */
    unsigned denied;                /* in a row */
    uint64_t denied_us, allowed_us; /* the last time; from when on it may ask */
};

struct requests {
    struct list all; /* the oldest first */
    unsigned count;
    uint32_t last; /* number */
    struct spoken_codes codes;
    struct asking_key askers[ASKERS];
    uint64_t wrong_us[WRONG_MAX]; /* when a wrong code came, as a ring */
    unsigned wrong_next;
    uint64_t paused_until_us;
};

struct requests *requests_new(void)
{
    struct requests *r = calloc(1, sizeof *r);
    if (r)
        list_init(&r->all);
    return r;
}

void requests_free(struct requests *r)
{
    free(r);
}

static struct asked_request *request_at(struct list *place)
{
    return container_of(place, struct asked_request, place);
}

static bool is_of(const struct asked_request *q, const uint8_t user_key[KEY_BYTES])
{
    return memcmp(q->user_key, user_key, KEY_BYTES) == 0;
}

/* ---- Who asks. ---- */

static struct asking_key *find_asker(struct requests *r, const uint8_t key[KEY_BYTES])
{
    for (unsigned i = 0; i < ASKERS; i++)
        if (r->askers[i].heard_us && memcmp(r->askers[i].key, key, KEY_BYTES) == 0)
            return &r->askers[i];
    return NULL;
}

static bool gives_way(const struct asking_key *k, const struct asking_key *other, uint64_t now_us)
{
    bool denied = k->allowed_us > now_us, other_denied = other->allowed_us > now_us;
    return denied != other_denied ? other_denied : k->heard_us < other->heard_us;
}

static struct asking_key *asker_of(struct requests *r, const uint8_t key[KEY_BYTES],
                                   uint64_t now_us)
{
    struct asking_key *found = find_asker(r, key);
    if (!found) {
        found = &r->askers[0];
        for (unsigned i = 1; i < ASKERS; i++)
            if (gives_way(&r->askers[i], found, now_us))
                found = &r->askers[i];
        *found = (struct asking_key){.day_us = now_us};
        memcpy(found->key, key, KEY_BYTES);
    }
    if (now_us - found->day_us >= DAY_US) {
        found->day_us = now_us;
        found->asked = 0;
    }
    found->heard_us = now_us ? now_us : 1;
    return found;
}

uint32_t requests_denied(struct requests *r, const uint8_t user_key[KEY_BYTES], uint64_t now_us)
{
    struct asking_key *k = asker_of(r, user_key, now_us);
    if (k->denied && now_us - k->denied_us >= DAY_US)
        k->denied = 0;
    k->denied++;
    k->denied_us = now_us;
    k->allowed_us = now_us + k->denied * DENIAL_US;
    return (uint32_t)(k->denied * DENIAL_US / CLOCK_US_PER_S);
}

void requests_approved(struct requests *r, const uint8_t user_key[KEY_BYTES])
{
    struct asking_key *k = find_asker(r, user_key);
    if (k)
        k->denied = 0;
}

/* ---- Places. ---- */

unsigned requests_count(const struct requests *r)
{
    return r->count;
}

/* no: if there is none, for one more of this key's. */
static void check_room(const struct requests *r, const uint8_t user_key[KEY_BYTES], bool by_permit,
                       struct wire_error *no)
{
    unsigned all = 0, own = 0, guests = 0;
    list_each (link, &r->all) {
        const struct asked_request *q = request_at(link);
        bool is_own = is_of(q, user_key);
        if (is_own && q->is_away)
            continue;
        all++;
        own += is_own;
        guests += q->by_permit;
    }
    if (own >= REQUESTS_PER_USER)
        wire_error_set(no, CODE_FULL, "%d requests of this user wait for approval",
                       REQUESTS_PER_USER);
    else if (all >= REQUESTS_PER_AGENT || (by_permit && guests >= REQUESTS_BY_PERMIT))
        wire_error_set(no, CODE_FULL, "too many requests wait for approval at this agent");
}

bool requests_may_ask(struct requests *r, const uint8_t user_key[KEY_BYTES], bool by_permit,
                      uint64_t now_us, struct wire_error *no)
{
    const struct asking_key *k = find_asker(r, user_key);
    char wait[32];
    if (k && k->denied && k->allowed_us > now_us) {
        text_wait(wait, k->allowed_us - now_us);
        wire_error_set(no, CODE_DENIED, "the request before was denied; ask again %s", wait);
    } else if (k && k->asked >= REQUESTS_PER_DAY && now_us - k->day_us < DAY_US) {
        wire_error_set(no, CODE_FULL, "this user has asked for approval %d times within a day",
                       REQUESTS_PER_DAY);
    } else {
        check_room(r, user_key, by_permit, no);
    }
    return !no->code;
}

bool requests_begin(struct requests *r, struct asked_request *request,
                    const uint8_t user_key[KEY_BYTES], bool by_permit, uint64_t now_us,
                    uint32_t timeout_s)
{
    *request = (struct asked_request){.by_permit = by_permit,
                                      .asked_us = now_us,
                                      .until_us = now_us + timeout_s * CLOCK_US_PER_S};
    if (!spoken_code_new(&r->codes, request->code, now_us))
        return false;
    memcpy(request->user_key, user_key, KEY_BYTES);
    asker_of(r, user_key, now_us)->asked++;
    request->number = ++r->last;
    list_append(&r->all, &request->place);
    r->count++;
    return true;
}

void requests_end(struct requests *r, struct asked_request *request)
{
    if (request->number == 0)
        return;
    list_remove(&request->place);
    r->count--;
    wipe(request, sizeof *request);
}

/* ---- Finding. ---- */

struct asked_request *requests_next(const struct requests *r, uint32_t after)
{
    list_each (link, &r->all)
        if (request_at(link)->number > after)
            return request_at(link);
    return NULL;
}

struct asked_request *requests_away_of(const struct requests *r, const uint8_t user_key[KEY_BYTES])
{
    list_each (link, &r->all)
        if (request_at(link)->is_away && is_of(request_at(link), user_key))
            return request_at(link);
    return NULL;
}

static struct asked_request *find_code(const struct requests *r, const char *typed)
{
    char code[SPOKEN_CODE_BYTES];
    if (!spoken_code_read(code, typed))
        return NULL;
    list_each (link, &r->all)
        if (bytes_equal_secret(request_at(link)->code, code, SPOKEN_CODE_SIGNS))
            return request_at(link);
    return NULL;
}

/* The ring's next place is that of the oldest. */
static void count_wrong(struct requests *r, uint64_t now_us)
{
    r->wrong_us[r->wrong_next] = now_us;
    r->wrong_next = (r->wrong_next + 1) % WRONG_MAX;
    if (r->wrong_us[r->wrong_next] == 0 || now_us - r->wrong_us[r->wrong_next] > WRONG_US)
        return;
    r->paused_until_us = now_us + WRONG_US;
    memset(r->wrong_us, 0, sizeof r->wrong_us);
}

bool requests_take_codes(const struct requests *r, uint64_t now_us)
{
    return now_us >= r->paused_until_us;
}

struct asked_request *requests_by_code(struct requests *r, const char *typed, uint64_t now_us,
                                       struct error *e)
{
    struct asked_request *found = NULL;
    char wait[32];
    if (requests_take_codes(r, now_us)) {
        found = find_code(r, typed);
        if (found)
            return found;
        count_wrong(r, now_us);
    }
    text_wait(wait, now_us < r->paused_until_us ? r->paused_until_us - now_us : 0);
    if (!requests_take_codes(r, now_us))
        error_set(e, FAILURE_OTHER,
                  "too many wrong codes within a minute: nothing is approved now, "
                  "again %s",
                  wait);
    else
        error_set(e, FAILURE_OTHER,
                  "no request waits with this code: it has %d signs of " SPOKEN_SIGNS
                  ", and the user reads it from the client's status line",
                  SPOKEN_CODE_SIGNS);
    return NULL;
}
