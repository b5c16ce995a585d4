// Samples of agents, checked, as JSON to the metrics' writer.
#include "scheduler/shell/agents.h"

#include "common/alloc.h"
#include "common/json.h"

#include <math.h>
#include <string.h>

enum { SAMPLES_MAX = 64, NUMBERS_MAX = 64, NAME_MAX_BYTES = 63, REFUSAL_MAX_BYTES = 255 };

// The shepherd takes no others; but it is the user's process.
static bool is_name(const char *s)
{
    size_t len = strnlen(s, NAME_MAX_BYTES + 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return len > 0 && len <= NAME_MAX_BYTES;
}

static void put_value(struct text *t, const char *name, double v)
{
    put_next(t);
    put_string(t, name, strlen(name));
    text_addc(t, ':');
    if (!isfinite(v))
        text_add(t, "null");
    else if (v == trunc(v) && fabs(v) < 9e15)
        put_number(t, (int64_t)v);
    else
        text_addf(t, "%.9g", v);
}

bool sample_values(const Muster__Sample *m, struct text *t, double *ret_progress)
{
    *ret_progress = NAN;
    text_addc(t, '{');
    if (is_name(m->phase))
        put_str(t, "phase", m->phase);
    for (size_t i = 0; i < m->n_metrics && i < NUMBERS_MAX; i++) {
        const Muster__Metric *v = m->metrics[i];
        bool progress = strcmp(v->name, "progress") == 0;
        if (!is_name(v->name) || strcmp(v->name, "phase") == 0 ||
            (progress && !(v->value >= 0 && v->value <= 1)))
            continue;
        if (progress)
            *ret_progress = v->value;
        put_value(t, v->name, v->value);
    }
    text_addc(t, '}');
    return t->len > 2;
}

static void take(struct server *s, struct node_id node, struct attempt_id id,
                 const Muster__Sample *m, bool repeated)
{
    const struct job *j = cluster_task(s->cluster, id, node, m->rank);
    AUTO(text) struct text values = {0};
    if (!j)
        return;
    AUTO_FREE char *refusal = xstrndup(m->refusal, REFUSAL_MAX_BYTES);
    struct metrics_sample sample = {.job = id.job,
                                    .attempt = id.number,
                                    .rank = m->rank,
                                    .tasks = j->req.tasks,
                                    .at_ms = m->at_ms,
                                    .refused = m->refused > INT64_MAX ? INT64_MAX : m->refused,
                                    .refusal = refusal,
                                    .repeated = repeated};
    if (sample_values(m, &values, &sample.progress))
        sample.values = text_str(&values);
    metrics_add(s->metrics, &sample);
}

void samples_arrived(struct server *s, struct node_id node, const Muster__Samples *m)
{
    if (!m->attempt)
        return;
    struct attempt_id id = {{m->attempt->cluster}, {m->attempt->job_uid}, m->attempt->number};
    for (size_t i = 0; i < m->n_samples && i < SAMPLES_MAX; i++)
        take(s, node, id, m->samples[i], false);
}

void samples_of_end(struct server *s, struct node_id node, const Muster__End *m)
{
    if (!m->attempt)
        return;
    struct attempt_id id = {{m->attempt->cluster}, {m->attempt->job_uid}, m->attempt->number};
    for (size_t i = 0; i < m->n_newest; i++)
        take(s, node, id, m->newest[i], true);
}
