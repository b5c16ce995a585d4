// Keeps the spool within its bound: looked at on the thread pool once a minute when attempts have
// ended, and rarer where a look takes long.
#include "agent/shell/node.h"

#include "agent/host/spool.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FIRST_MS = 1000, EVERY_MS = 60000, REST = 100, ATTEMPTS_MAX = 100000, YOUNG_S = 60 };

struct look {
    uv_work_t work;
    struct node *node;
    struct spool_limit limit;
    struct attempt_id *held;
    size_t held_count;
    int64_t took_ms;
    struct spool_trimmed result;
    struct err err;
    int rc;
};

static void on_work(uv_work_t *work)
{
    struct look *l = work->data;
    int64_t begin = clock_boot_ms();
    l->rc = spool_trim(l->node->spool_dir, &l->limit, l->held, l->held_count, &l->result, &l->err);
    l->took_ms = clock_boot_ms() - begin;
}

static void on_worked(uv_work_t *work, int status)
{
    struct look *l = work->data;
    struct node *n = l->node;
    (void)status;
    if (l->rc)
        log_error("spool", "retention", "%s", l->err.message);
    else if (l->result.removed)
        log_info("spool", "retention", "removed=%zu left=%zu bytes=%" PRId64, l->result.removed,
                 l->result.attempts, l->result.bytes);
    n->retention.looking = false;
    n->retention.rest_until_ms = clock_boot_ms() + l->took_ms * REST;
    free(l->held);
    free(l);
}

static void on_timer(uv_timer_t *timer)
{
    struct node *n = timer->data;
    struct held *h;
    size_t cap = 0;
    if (!n->retention.wanted || n->retention.looking ||
        clock_boot_ms() < n->retention.rest_until_ms)
        return;
    struct look *l = xcalloc(1, sizeof *l);
    l->work.data = l;
    l->node = n;
    l->limit = (struct spool_limit){n->retention.limit, ATTEMPTS_MAX, YOUNG_S};
    TAILQ_FOREACH(h, &n->held, link)
    {
        VEC_RESERVE(l->held, l->held_count, cap);
        l->held[l->held_count++] = h->id;
    }
    n->retention.wanted = false;
    n->retention.looking = true;
    uv_queue_work(n->loop, &l->work, on_work, on_worked);
}

void retention_start(struct node *n, int64_t limit)
{
    n->retention.limit = limit ? limit : spool_limit_default(n->spool_dir);
    n->retention.wanted = true;
    uv_timer_init(n->loop, &n->retention.timer);
    n->retention.timer.data = n;
    uv_timer_start(&n->retention.timer, on_timer, FIRST_MS, EVERY_MS);
}

void retention_wanted(struct node *n)
{
    n->retention.wanted = true;
}
