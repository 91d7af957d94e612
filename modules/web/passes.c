/* Secrets of one kind, compared in constant time. */
#include "web/passes.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"

static void make(char out[PASS_BYTES])
{
    uint8_t secret[(PASS_BYTES - 1) / 2];
    random_bytes(secret, sizeof secret);
    text_hex(out, secret, sizeof secret);
    wipe(secret, sizeof secret);
}

static bool is_pass(const char *kept, const char *shown)
{
    return kept[0] && strlen(shown) == PASS_BYTES - 1 &&
           bytes_equal_secret(kept, shown, PASS_BYTES - 1);
}

void passes_issue(struct passes *p, uint64_t now_us, char token[PASS_BYTES])
{
    make(p->token);
    p->token_until_us = now_us + TOKEN_S * CLOCK_US_PER_S;
    memcpy(token, p->token, PASS_BYTES);
}

static uint64_t ends_us(const struct bearer *b)
{
    return b->until_us < b->idle_until_us ? b->until_us : b->idle_until_us;
}

static struct bearer *oldest(struct passes *p)
{
    struct bearer *found = &p->bearers[0];
    for (int i = 1; i < BEARERS_MAX; i++)
        if (ends_us(&p->bearers[i]) < ends_us(found))
            found = &p->bearers[i];
    return found;
}

bool passes_redeem(struct passes *p, uint64_t now_us, const char *token, char bearer[PASS_BYTES])
{
    struct bearer *b = oldest(p);
    if (now_us >= p->token_until_us || !is_pass(p->token, token))
        return false;
    wipe(p->token, sizeof p->token);
    make(b->text);
    b->until_us = now_us + BEARER_S * CLOCK_US_PER_S;
    b->idle_until_us = now_us + BEARER_IDLE_S * CLOCK_US_PER_S;
    memcpy(bearer, b->text, PASS_BYTES);
    return true;
}

bool passes_admit(struct passes *p, uint64_t now_us, const char *bearer)
{
    for (int i = 0; i < BEARERS_MAX; i++) {
        struct bearer *b = &p->bearers[i];
        if (!is_pass(b->text, bearer) || now_us >= ends_us(b))
            continue;
        b->idle_until_us = now_us + BEARER_IDLE_S * CLOCK_US_PER_S;
        return true;
    }
    return false;
}

void passes_end(struct passes *p, const char *bearer)
{
    for (int i = 0; i < BEARERS_MAX; i++)
        if (is_pass(p->bearers[i].text, bearer))
            wipe(&p->bearers[i], sizeof p->bearers[i]);
}
