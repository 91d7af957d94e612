/* libFuzzer: permits and revocations. The first byte chooses a permit as HELLO has it, as a file
 * has it, or as text, or a list; eight bytes after it are the time, the rest is that. */
#include <stdlib.h>

#include "permit/armour.h"
#include "permit/judge.h"
#include "permit/revocations.h"
#include "permit/vouch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static void require_list(const struct permit_list *list, size_t max)
{
    require(list->count <= PERMIT_ITEMS_MAX);
    for (size_t i = 0; i < list->count; i++)
        require(list->items[i].len > 0 && list->items[i].len <= max);
}

static void require_fields(const struct permit *p)
{
    require(p->outer.user.len > 0 && p->outer.user.len <= NAME_MAX_BYTES);
    require(p->outer.issued_s <= p->outer.from_s && p->outer.from_s < p->outer.until_s);
    require_list(&p->outer.patterns, NAME_MAX_BYTES);
    require_list(&p->outer.keys, KEY_BYTES);
    require_list(&p->inner.allow, TARGET_MAX_BYTES);
    require_list(&p->inner.listen, ADDRESS_MAX_BYTES);
    require(p->signature.len == SIGNATURE_BYTES);
}

/* One that may begin may go on, and a later floor never allows more. */
static void judge(const struct permit *p, int64_t at)
{
    static const uint8_t key[KEY_BYTES] = {7};
    struct permit_clock c = {.wall_s = at};
    struct permit_place place = {"boston-1", "acme", key};
    struct error e = {0};
    bool begins = permit_may_begin(p, &c, &e);
    require(begins == (e.failure == FAILURE_NONE));
    require(!begins || permit_may_go_on(p, &c, 1, &e));
    c.floor_s = (int64_t)p->outer.until_s + PERMIT_SKEW_S;
    require(!permit_may_begin(p, &c, &e));
    permit_is_for(p, &place);
}

/* The relay's part of a whole one is one itself. */
static void read_permit(struct view bytes, bool with_inner, int64_t at)
{
    struct permit p, outer;
    struct error e = {0};
    bool good = permit_decode(&p, bytes, with_inner, &e);
    require(good == (e.failure == FAILURE_NONE));
    if (!good)
        return;
    require_fields(&p);
    require(permit_decode(&outer, permit_for_relay(bytes), false, &e));
    require(view_equal(outer.outer_bytes, p.outer_bytes));
    judge(&p, at);
}

static void read_text(struct view text, int64_t at)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct error e = {0};
    size_t len;
    bool good = armour_read(bytes, sizeof bytes, &len, ARMOUR_PERMIT, text, &e);
    require(good == (e.failure == FAILURE_NONE));
    if (!good)
        return;
    require(len <= sizeof bytes);
    read_permit(view_of(bytes, len), true, at);
}

/* Whatever it holds, nobody has signed it. */
static void read_list(struct view bytes)
{
    static const uint8_t authority[SIGN_PUBLIC_BYTES] = {7};
    struct revocations r = {0};
    struct vouch v;
    require(!revocations_decode(&r, bytes, authority));
    require(!vouch_decode(&v, bytes) || (v.agent.len > 0 && v.issued_s < v.until_s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t at;
    if (size < 9)
        return 0;
    at = (int64_t)(load_be64(data + 1) % PERMIT_TIME_MAX_S);
    if (data[0] % 4 == 0)
        read_permit(view_of(data + 9, size - 9), false, at);
    else if (data[0] % 4 == 1)
        read_permit(view_of(data + 9, size - 9), true, at);
    else if (data[0] % 4 == 2)
        read_list(view_of(data + 9, size - 9));
    else
        read_text(view_of(data + 9, size - 9), at);
    return 0;
}
