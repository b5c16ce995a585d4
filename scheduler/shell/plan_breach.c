#include "scheduler/shell/plan_breach.h"

#include "common/json.h"

#include <string.h>

void plan_mix(uint64_t *hash, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ p[i]) * UINT64_C(0x100000001b3); // FNV-1a
}

static bool same(const struct breach *a, const struct breach *b)
{
    return strcmp(a->kind, b->kind) == 0 && a->of == b->of && a->sort == b->sort &&
           a->job.v == b->job.v;
}

static bool was_there(const struct breaches *before, const struct breach *b, size_t from)
{
    // Both are found in the same order.
    for (size_t i = 0; i < before->count; i++)
        if (same(&before->items[(from + i) % before->count], b))
            return true;
    return false;
}

void breaches_tell(const struct breaches *now, const struct breaches *before, uint64_t *hash,
                   struct text *ret)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct breach *b = &now->items[i];
        if (was_there(before, b, i))
            continue;
        plan_mix(hash, b->kind, strlen(b->kind));
        plan_mix(hash, &b->of, sizeof b->of);
        plan_mix(hash, &b->sort, sizeof b->sort);
        plan_mix(hash, &b->job.v, sizeof b->job.v);
        put_open(ret, NULL, '{');
        put_str(ret, "kind", b->kind);
        put_int_or_null(ret, "job", (int64_t)b->job.v);
        put_str(ret, "text", b->text);
        text_addc(ret, '}');
    }
}
