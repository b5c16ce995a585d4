#include "kernels/metrics.h"

#include "common/alloc.h"
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 2, MATRIX_SHOWN_MAX = 20 };

void metrics_init(struct metrics *m, size_t classes)
{
    m->classes = classes;
    m->sums = xcalloc(HEAD + classes * classes, sizeof *m->sums);
}

void metrics_fini(struct metrics *m)
{
    free(m->sums);
    *m = (struct metrics){0};
}

size_t metrics_sums_count(const struct metrics *m)
{
    return HEAD + m->classes * m->classes;
}

void metrics_reset(struct metrics *m)
{
    memset(m->sums, 0, metrics_sums_count(m) * sizeof *m->sums);
}

void metrics_add(struct metrics *m, double loss_sum, const int32_t *labels, const int32_t *called,
                 size_t n)
{
    m->sums[0] += loss_sum;
    m->sums[1] += (double)n;
    for (size_t i = 0; i < n; i++)
        m->sums[HEAD + (size_t)labels[i] * m->classes + (size_t)called[i]]++;
}

double metrics_count(const struct metrics *m, size_t label, size_t called)
{
    return m->sums[HEAD + label * m->classes + called];
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

double metrics_loss(const struct metrics *m)
{
    return share(m->sums[0], m->sums[1]);
}

double metrics_accuracy(const struct metrics *m)
{
    double right = 0;
    for (size_t k = 0; k < m->classes; k++)
        right += metrics_count(m, k, k);
    return 100 * share(right, m->sums[1]);
}

struct class_metrics metrics_class(const struct metrics *m, size_t k)
{
    double right = metrics_count(m, k, k), is = 0, called = 0;
    for (size_t i = 0; i < m->classes; i++) {
        is += metrics_count(m, k, i);
        called += metrics_count(m, i, k);
    }
    struct class_metrics c = {share(right, called), share(right, is), 0, is};
    c.f1 = share(2 * c.precision * c.recall, c.precision + c.recall);
    return c;
}

double metrics_macro_f1(const struct metrics *m)
{
    double sum = 0;
    for (size_t k = 0; k < m->classes; k++)
        sum += metrics_class(m, k).f1;
    return sum / (double)m->classes;
}

// The name's first bytes, at most max; no character is cut.
static int cut(const char *name, size_t max)
{
    size_t n = strlen(name);
    if (n > max)
        for (n = max; n && ((unsigned char)name[n] & 0xc0) == 0x80; n--)
            ;
    return (int)n;
}

static void add_matrix(const struct metrics *m, metrics_name *name, const void *arg,
                       struct text *ret)
{
    char number[24];
    text_addf(ret, "\n%-16s called\n%-16s", "class", "");
    for (size_t k = 0; k < m->classes; k++)
        text_addf(ret, " %7.*s", cut(name(arg, k, number), 7), name(arg, k, number));
    text_addc(ret, '\n');
    for (size_t k = 0; k < m->classes; k++) {
        text_addf(ret, "%-16.*s", cut(name(arg, k, number), 16), name(arg, k, number));
        for (size_t i = 0; i < m->classes; i++)
            text_addf(ret, " %7.0f", metrics_count(m, k, i));
        text_addc(ret, '\n');
    }
}

void metrics_table(const struct metrics *m, metrics_name *name, const void *arg, struct text *ret)
{
    char number[24];
    text_addf(ret, "%-16s %9s %9s %9s %9s\n", "class", "precision", "recall", "F1", "samples");
    for (size_t k = 0; k < m->classes; k++) {
        struct class_metrics c = metrics_class(m, k);
        const char *label = name(arg, k, number);
        text_addf(ret, "%-16.*s %9.4f %9.4f %9.4f %9.0f\n", cut(label, 16), label, c.precision,
                  c.recall, c.f1, c.count);
    }
    text_addf(ret, "%-16s %9s %9s %9.4f %9.0f\n", "mean", "", "", metrics_macro_f1(m), m->sums[1]);
    if (m->classes <= MATRIX_SHOWN_MAX)
        add_matrix(m, name, arg, ret);
}

void metrics_json(const struct metrics *m, metrics_name *name, const void *arg, struct text *ret)
{
    char number[24];
    text_addf(ret,
              "{\"loss\":%.9g,\"accuracy\":%.4f,\"macro_f1\":%.6f,\"samples\":%.0f,\"classes\":[",
              metrics_loss(m), metrics_accuracy(m), metrics_macro_f1(m), m->sums[1]);
    for (size_t k = 0; k < m->classes; k++) {
        struct class_metrics c = metrics_class(m, k);
        const char *label = name(arg, k, number);
        text_addf(ret, "%s{\"name\":", k ? "," : "");
        put_string(ret, label, strlen(label));
        text_addf(ret, ",\"precision\":%.6f,\"recall\":%.6f,\"f1\":%.6f,\"samples\":%.0f}",
                  c.precision, c.recall, c.f1, c.count);
    }
    text_add(ret, "],\"confusion\":[");
    for (size_t k = 0; k < m->classes; k++) {
        text_add(ret, k ? ",[" : "[");
        for (size_t i = 0; i < m->classes; i++)
            text_addf(ret, "%s%.0f", i ? "," : "", metrics_count(m, k, i));
        text_addc(ret, ']');
    }
    text_add(ret, "]}\n");
}
