// The times of a reservation: once, or every day or week.
#include "scheduler/core/window.h"

#include <string.h>

static const int64_t DAY_MS = INT64_C(86400000);

struct span reservation_span(const struct reservation_rule *r)
{
    return (struct span){
        .start_ms = r->start_ms,
        .duration_ms = r->duration_ms,
        .period_ms = strcmp(r->repeat, "daily") == 0    ? DAY_MS
                     : strcmp(r->repeat, "weekly") == 0 ? 7 * DAY_MS
                                                        : 0,
    };
}

bool span_next(const struct span *s, int64_t from_ms, int64_t *ret_start, int64_t *ret_end)
{
    int64_t start = s->start_ms;
    if (s->period_ms && from_ms >= start + s->duration_ms)
        start += (from_ms - start - s->duration_ms) / s->period_ms * s->period_ms + s->period_ms;
    if (from_ms >= start + s->duration_ms)
        return false;
    *ret_start = start;
    *ret_end = start + s->duration_ms;
    return true;
}

bool spans_meet(const struct span *a, const struct span *b, int64_t from_ms)
{
    // One window of the one with the longer period stands for all: periods divide each other.
    const struct span *once =
        !a->period_ms || (b->period_ms && a->period_ms >= b->period_ms) ? a : b;
    const struct span *many = once == a ? b : a;
    int64_t start, end, other_start, other_end;
    if (once->period_ms && many->start_ms > from_ms)
        from_ms = many->start_ms;
    if (!span_next(once, from_ms, &start, &end))
        return false;
    if (start < from_ms)
        start = from_ms;
    if (span_next(many, start, &other_start, &other_end) && other_start < end)
        return true;
    // The one that is under way at from_ms is cut: the next one is whole.
    return once->period_ms && span_next(once, end, &start, &end) &&
           span_next(many, start, &other_start, &other_end) && other_start < end;
}
