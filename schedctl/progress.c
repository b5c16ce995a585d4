#include "schedctl/progress.h"

#include "common/alloc.h"
#include "schedctl/present.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { OTHERS_MAX = 4 };

void progress_bar(double part, int bar, struct text *ret)
{
    int full = (int)(part * bar + 0.5);
    text_addc(ret, '[');
    for (int i = 0; i < bar; i++)
        text_addc(ret, i < full ? '#' : '.');
    text_addf(ret, "] %3.0f %%", floor(100 * part)); // 100 only at the end
}

void metric_number(double v, struct text *ret)
{
    bool whole = v == trunc(v) || fabs(v) >= 10000;
    text_addf(ret, whole && fabs(v) < 1e15 ? "%.0f" : "%.4g", v);
}

void metric_value(const json_t *v, struct text *ret)
{
    if (json_is_number(v))
        metric_number(json_number_value(v), ret);
    else if (json_is_null(v))
        text_add(ret, "nan");
}

// "step 41/100" where "steps" tells how many, else "step 41".
static void add_count(const json_t *values, const char *name, const char *of, struct text *ret)
{
    if (!json_is_number(json_object_get(values, name)))
        return;
    text_addf(ret, "  %s ", name);
    metric_value(json_object_get(values, name), ret);
    if (!json_is_number(json_object_get(values, of)))
        return;
    text_addc(ret, '/');
    metric_value(json_object_get(values, of), ret);
}

static bool told_before(const char *name)
{
    static const char *const names[] = {"phase", "progress", "step", "steps", "epoch", "epochs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void progress_text(const json_t *metrics, int bar, struct text *ret)
{
    const json_t *progress = json_object_get(metrics, "progress");
    json_t *values = json_object_get(metrics, "values"), *v;
    AUTO(text) struct text t = {0};
    const char *name;
    int others = 0;
    if (!json_is_object(values))
        return;
    if (json_is_number(progress))
        progress_bar(json_number_value(progress), bar, &t);
    if (*get_str(values, "phase"))
        text_addf(&t, "  %s", get_str(values, "phase"));
    add_count(values, "epoch", "epochs", &t);
    add_count(values, "step", "steps", &t);
    json_object_foreach(values, name, v)
    {
        if (told_before(name) || others++ >= OTHERS_MAX)
            continue;
        text_addf(&t, "  %s ", name);
        metric_value(v, &t);
    }
    text_add(ret, text_str(&t) + strspn(text_str(&t), " "));
}
