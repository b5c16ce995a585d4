// Usage that fades: the clock that all tallies share, and 2^-x without floating point.
#include "scheduler/core/state.h"

// 2^(-2^-k) in 2^-63, k = 1 .. 32.
static const uint64_t roots[32] = {
    UINT64_C(0x5a827999fcef3242), UINT64_C(0x6ba27e656b4eb57a), UINT64_C(0x75606373ee921c97),
    UINT64_C(0x7a92be8a92436616), UINT64_C(0x7d41d96db915019d), UINT64_C(0x7e9f06067a4360ba),
    UINT64_C(0x7f4f08ae3dc7c426), UINT64_C(0x7fa765aca88f6453), UINT64_C(0x7fd3ab290e46d769),
    UINT64_C(0x7fe9d3a8e07bf086), UINT64_C(0x7ff4e9597bed93ab), UINT64_C(0x7ffa748dff8dc61f),
    UINT64_C(0x7ffd3a3f50020332), UINT64_C(0x7ffe9d1dbc0a75aa), UINT64_C(0x7fff4e8e6306ed59),
    UINT64_C(0x7fffa74712c3cdfd), UINT64_C(0x7fffd3a381b1fa29), UINT64_C(0x7fffe9d1beed018a),
    UINT64_C(0x7ffff4e8defb81d7), UINT64_C(0x7ffffa746f5f012f), UINT64_C(0x7ffffd3a37a7d0a8),
    UINT64_C(0x7ffffe9d1bd1fc58), UINT64_C(0x7fffff4e8de8832d), UINT64_C(0x7fffffa746f422d7),
    UINT64_C(0x7fffffd3a37a09bb), UINT64_C(0x7fffffe9d1bd02f2), UINT64_C(0x7ffffff4e8de80fe),
    UINT64_C(0x7ffffffa746f4060), UINT64_C(0x7ffffffd3a37a028), UINT64_C(0x7ffffffe9d1bd012),
    UINT64_C(0x7fffffff4e8de809), UINT64_C(0x7fffffffa746f404),
};

enum { SPAN_MAX_MS = INT32_MAX };
static const uint64_t one_by_ln2_q60 = UINT64_C(0x171547652b82fe17);
static const uint64_t ln2_q63 = UINT64_C(0x58b90bfbe8e7bcd6);

static uint64_t times(uint64_t a_q63, uint64_t b_q63)
{
    return (uint64_t)((unsigned __int128)a_q63 * b_q63 >> 63);
}

// The exponent's fraction in 2^-64: one factor for each of its upper 32 bits, and for the lower
// ones 1 - x ln 2, whose next term is below 2^-65. Each product loses less than 2^-63.
uint64_t usage_half(int64_t numerator, int64_t denominator)
{
    int64_t whole = numerator / denominator;
    uint64_t fraction =
        (uint64_t)(((unsigned __int128)(numerator % denominator) << 64) / (uint64_t)denominator);
    uint64_t r = UINT64_C(1) << 63;
    if (whole > 62)
        return 0;
    for (int k = 1; k <= 32; k++)
        if (fraction >> (64 - k) & 1)
            r = times(r, roots[k - 1]);
    uint64_t low = fraction & UINT32_MAX;
    r -= times(r, (uint64_t)((unsigned __int128)low * ln2_q63 >> 64));
    return r >> whole;
}

static int64_t saturate(__int128 v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

// H / ln 2 x q, q in 2^-63.
static int64_t span_of(int64_t half_life_ms, uint64_t q)
{
    uint64_t k_q16 = (uint64_t)((unsigned __int128)half_life_ms * one_by_ln2_q60 >> 44);
    return saturate((__int128)((unsigned __int128)k_q16 * q >> 79));
}

// Time that neither a reboot nor a clock that is set takes back by more than it must.
static int64_t usage_time(const struct cluster *c)
{
    return c->now.boot_ms + c->rules.settings->row->settings.usage_offset_ms;
}

int64_t usage_clock(const struct cluster *c)
{
    return usage_time(c);
}

// S as of t ms after the epoch, below one half-life.
static int64_t span(const struct settings_rule *s, int64_t t)
{
    if (!s->half_life_ms)
        return t;
    uint64_t up = usage_half(s->half_life_ms - t, s->half_life_ms) << 1; // 2^(t/H), 1 .. 2
    return span_of(s->half_life_ms, up - (UINT64_C(1) << 63));
}

// What the base is at t ms after the epoch, which then is the new one.
static int64_t rebased(const struct settings_rule *s, int64_t base, int64_t rate, int64_t t)
{
    if (!s->half_life_ms)
        return saturate((__int128)base + (__int128)rate * t);
    uint64_t left = usage_half(t, s->half_life_ms);
    int64_t grown = span_of(s->half_life_ms, (UINT64_C(1) << 63) - left);
    int64_t v = saturate(((__int128)base * left >> 63) + (__int128)rate * grown);
    return v > 0 ? v : 0;
}

void usage_rebase(struct cluster *c, int64_t at_ms, bool forget)
{
    struct rules *p = &c->rules;
    struct settings_rule *s = &p->settings->row->settings;
    int64_t t = at_ms > s->usage_epoch_ms ? at_ms - s->usage_epoch_ms : 0;
    for (struct tally *y = p->tallies; y; y = y->by_id.next)
        for (int u = 0; u < TALLY_USES; u++) {
            int64_t base = forget ? 0 : rebased(s, y->base[u], y->rate[u], t);
            if (base == y->base[u])
                continue;
            y->base[u] = base;
            tally_mark(c, y);
        }
    s->usage_epoch_ms += t;
    rule_mark(c, p->settings);
    p->span_known = false;
}

int64_t usage_span(struct cluster *c)
{
    struct rules *p = &c->rules;
    const struct settings_rule *s = &p->settings->row->settings;
    int64_t at_ms = usage_time(c);
    if (p->span_known && p->span_at_ms == at_ms)
        return p->span_ms;
    int64_t period = s->usage_period_ms;
    if (period && at_ms > s->usage_epoch_ms && at_ms / period != s->usage_epoch_ms / period)
        usage_rebase(c, at_ms / period * period, true);
    int64_t most = s->half_life_ms ? s->half_life_ms : SPAN_MAX_MS;
    if (at_ms - s->usage_epoch_ms >= most)
        usage_rebase(c, at_ms, false);
    int64_t t = at_ms > s->usage_epoch_ms ? at_ms - s->usage_epoch_ms : 0;
    p->span_known = true;
    p->span_at_ms = at_ms;
    p->span_ms = span(s, t);
    return p->span_ms;
}

// At the end of what stands in the tally; nothing is changed.
int64_t usage_of(const struct cluster *c, const struct tally *t, enum tally_use use)
{
    const struct settings_rule *s = rule_settings(c);
    int64_t at_ms = usage_time(c), from_ms = s->usage_epoch_ms, base = t->base[use];
    if (at_ms < from_ms)
        at_ms = from_ms;
    if (s->usage_period_ms && at_ms / s->usage_period_ms != from_ms / s->usage_period_ms) {
        from_ms = at_ms / s->usage_period_ms * s->usage_period_ms;
        base = 0;
    }
    int64_t v = rebased(s, base, t->rate[use], at_ms - from_ms) / tally_units(use);
    return v > 0 ? v : 0;
}

static __int128 weighed(const struct tally *t, enum tally_use use, int64_t span_ms, int64_t weight)
{
    __int128 v = (__int128)t->base[use] + (__int128)t->rate[use] * span_ms;
    return v > 0 ? v * weight * 1000 / tally_units(use) : 0;
}

int64_t usage_cost(struct cluster *c, const struct tally *t)
{
    const struct settings_rule *s = rule_settings(c);
    int64_t span_ms = usage_span(c);
    __int128 v = weighed(t, USE_CORES, span_ms, s->core_weight) +
                 weighed(t, USE_GPUS, span_ms, s->gpu_weight) +
                 weighed(t, USE_MEMORY, span_ms, s->memory_weight);
    return saturate(v / 4096); // only compared
}
