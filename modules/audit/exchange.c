/* Two halves: the thread's, which waits for disk and arithmetic, and the loop's. */
#include "audit/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "audit/queue.h"
#include "audit/state.h"
#include "base/clock.h"
#include "base/rate.h"
#include "base/text.h"
#include "crypto/circuit_label.h"

#define HEADS_MAX 64   /* that wait to be judged */
#define HEADS_PER_S 20 /* that are received, in the long run, of all peers */
#define SIGN_PAUSE_US (CLOCK_US_PER_S / 4)

/* ---- Heads, in the thread. ---- */

#define RECEIVED_NAME_BYTES 129

/* A head of a peer's, and the entry about it. */
struct received {
    struct list link;
    struct signed_head head;
    char signer[FINGERPRINT_TEXT_BYTES];
    char session[HASH_NAME_BYTES], circuit[HASH_NAME_BYTES], user[RECEIVED_NAME_BYTES],
        key[FINGERPRINT_TEXT_BYTES], agent[RECEIVED_NAME_BYTES], relay[FINGERPRINT_TEXT_BYTES];
};

static void head_text(char out[SIGNED_HEAD_TEXT_BYTES], const struct signed_head *head)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    signed_head_encode(bytes, head);
    text_hex(out, bytes, sizeof bytes);
}

static void note_trouble(struct audit *a, const struct error *e)
{
    a->head_trouble = *e;
}

/* The entry about a head that was judged, under the lock. reason: or NULL. */
static void add_received(struct audit *a, const struct received *r, const char *event,
                         const char *reason)
{
    char text[SIGNED_HEAD_TEXT_BYTES];
    head_text(text, &r->head);
    audit_queue_entry(a, &(struct audit_entry){.event = event,
                                               .session = r->session,
                                               .circuit = r->circuit,
                                               .user = r->user,
                                               .key = r->key,
                                               .agent = r->agent[0] ? r->agent : NULL,
                                               .relay = r->relay,
                                               .reason = reason,
                                               .by = audit_role_name(r->head.role),
                                               .head = text});
}

static void add_foreign(struct audit *a, const struct received *r, const char *pinned)
{
    char other[FINGERPRINT_TEXT_BYTES], reason[3 * FINGERPRINT_TEXT_BYTES];
    struct error e = {0};
    sign_fingerprint(other, r->head.key);
    snprintf(reason, sizeof reason, "signed with audit key %s, but %s was seen first", other,
             pinned);
    add_received(a, r, "head_refused", reason);
    error_set(&e, FAILURE_OTHER, "%s %s signs its audit with another key than before: %s",
              audit_role_name(r->head.role), r->signer, reason);
    note_trouble(a, &e);
}

static void add_judged(struct audit *a, const struct received *r, enum head_worth worth,
                       const char *pinned)
{
    char reason[2 * FINGERPRINT_TEXT_BYTES];
    snprintf(reason, sizeof reason, "the first one: audit key %s", pinned);
    if (worth == HEAD_FOREIGN)
        add_foreign(a, r, pinned);
    else if (worth == HEAD_FORGED)
        add_received(a, r, "head_refused", "the signature is wrong");
    else
        add_received(a, r, "head_received", worth == HEAD_PINNED ? reason : NULL);
}

static void judge(struct audit *a, struct received *r)
{
    struct error e = {0};
    enum head_worth worth;
    char pinned[FINGERPRINT_TEXT_BYTES] = "";
    bool judged;
    list_remove(&r->link);
    a->head_count--;
    pthread_mutex_unlock(&a->lock);
    judged = audit_heads_judge(&a->keys, &r->head, r->signer, &worth, pinned, &e);
    pthread_mutex_lock(&a->lock);
    if (judged && !a->no_heads)
        add_judged(a, r, worth, pinned);
    else if (!judged)
        note_trouble(a, &e);
    free(r);
}

void audit_exchange_drop(struct audit *a)
{
    list_each (link, &a->heads) {
        list_remove(link);
        free(container_of(link, struct received, link));
    }
    a->head_count = 0;
}

/* Those that came until now become entries; not behind the last one, of the program's end. */
void audit_exchange_judge(struct audit *a)
{
    if (a->no_heads)
        audit_exchange_drop(a);
    for (unsigned left = a->head_count; left > 0 && !list_empty(&a->heads); left--)
        judge(a, container_of(a->heads.next, struct received, link));
}

/* An entry of the own, signed head; its object, for the file or the queue. */
static size_t encode_signed(const struct audit *a, char object[AUDIT_LINE_MAX],
                            const struct signed_head *head)
{
    char text[SIGNED_HEAD_TEXT_BYTES];
    head_text(text, head);
    return audit_queue_encode(
        a, object, &(struct audit_entry){.event = "head_signed", .key = a->own, .head = text});
}

/* For the file, from inside a commit: without the lock. */
static size_t checkpoint(void *owner, const struct audit_head *head, char object[AUDIT_LINE_MAX])
{
    struct audit *a = owner;
    struct signed_head signed_head;
    struct error e = {0};
    if (a->own[0] && audit_heads_sign(&a->keys, head, &signed_head, &e))
        return encode_signed(a, object, &signed_head);
    return 0;
}

/* Nothing has been written since the last one but the entry about it. */
static bool is_signed(const struct audit *a)
{
    const struct audit_head *now = &a->file.head, *then = &a->signed_head.head;
    return a->has_signed && strcmp(now->chain, then->chain) == 0 && now->number <= then->number + 1;
}

static void keep_signed(struct audit *a, const struct signed_head *head)
{
    char object[AUDIT_LINE_MAX];
    size_t len = encode_signed(a, object, head);
    a->signed_head = *head;
    a->has_signed = true;
    if (audit_queue_has_room(a, AUDIT_QUEUE_MAX))
        audit_queue_add(a, object, len, false);
}

/* The head of what is on disk. */
void audit_exchange_sign(struct audit *a)
{
    struct signed_head head;
    struct error e = {0}, untold = {0}; /* the next commit tells it */
    bool good;
    a->head_wanted = false;
    a->next_sign_us = clock_now_us() + SIGN_PAUSE_US;
    if (!is_signed(a)) {
        pthread_mutex_unlock(&a->lock);
        good = (a->file.head.number || audit_file_look(&a->file, &untold)) && a->file.head.number &&
               audit_heads_sign(&a->keys, &a->file.head, &head, &e);
        pthread_mutex_lock(&a->lock);
        if (e.failure)
            note_trouble(a, &e);
        if (good && !a->no_heads)
            keep_signed(a, &head);
    }
    a->news = a->has_signed;
    eventfd_write(a->io.fd, 1);
}

bool audit_exchange_must_sign(const struct audit *a)
{
    return a->head_wanted && a->head_ticket <= a->written && !a->no_heads;
}

/* The head that is in the file is signed at once, for those who connect to somebody then. */
bool audit_exchange_begin(struct audit *a, const uint8_t own_key[KEY_BYTES])
{
    key_fingerprint(a->own, own_key);
    a->file.checkpoint = checkpoint;
    a->file.owner = a;
    a->head_wanted = true;
    return audit_heads_init(&a->keys, audit_role_of(a->role), a->path);
}

/* Gives the owner a head that was signed since. */
void audit_exchange_tell(struct audit *a)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    bool news;
    pthread_mutex_lock(&a->lock);
    news = a->news;
    a->news = false;
    signed_head_encode(bytes, &a->signed_head);
    pthread_mutex_unlock(&a->lock);
    if (news && a->on_head)
        a->on_head(a->arg, view_of(bytes, sizeof bytes));
}

/* ---- Heads, in the loop. ---- */

void audit_want_head(struct audit *a)
{
    if (!a || !a->own[0])
        return;
    pthread_mutex_lock(&a->lock);
    a->head_wanted = true;
    a->head_ticket = a->issued;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void audit_end_heads(struct audit *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->no_heads = true;
    pthread_mutex_unlock(&a->lock);
}

bool audit_last_head(struct audit *a, uint8_t out[SIGNED_HEAD_BYTES])
{
    bool there;
    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    there = a->has_signed;
    signed_head_encode(out, &a->signed_head);
    pthread_mutex_unlock(&a->lock);
    return there;
}

static void keep_name(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s", name ? name : "");
}

static void fill_received(struct received *r, const struct audit_entry *of,
                          const uint8_t signer[KEY_BYTES])
{
    list_init(&r->link);
    key_fingerprint(r->signer, signer);
    keep_name(r->session, sizeof r->session, of->session);
    keep_name(r->circuit, sizeof r->circuit, of->circuit);
    keep_name(r->user, sizeof r->user, of->user);
    keep_name(r->key, sizeof r->key, of->key);
    keep_name(r->agent, sizeof r->agent, of->agent);
    keep_name(r->relay, sizeof r->relay, of->relay);
}

static bool queue_received(struct audit *a, struct received *r)
{
    bool room;
    pthread_mutex_lock(&a->lock);
    room = a->head_count < HEADS_MAX;
    if (room) {
        list_append(&a->heads, &r->link);
        a->head_count++;
        pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
    return room;
}

/* True if the peer, and all peers, may have one more judged. */
static bool may_be_judged(struct audit *a, struct rate *rate)
{
    uint64_t now = clock_now_us();
    return rate_charge(rate, now, 1, AUDIT_HEAD_BURST * AUDIT_HEAD_S, AUDIT_HEAD_S) &&
           rate_take(&a->heads_rate, now, HEADS_PER_S, HEADS_MAX);
}

bool audit_take_head(struct audit *a, struct rate *rate, const struct audit_entry *of,
                     const uint8_t signer[KEY_BYTES], struct view head)
{
    struct signed_head decoded;
    struct received *r;
    if (!a || !a->own[0] || !signed_head_decode(&decoded, head) ||
        strcmp(audit_role_name(decoded.role), of->by) != 0 || !may_be_judged(a, rate) ||
        !(r = malloc(sizeof *r)))
        return false;
    r->head = decoded;
    fill_received(r, of, signer);
    if (queue_received(a, r))
        return true;
    free(r);
    return false;
}
