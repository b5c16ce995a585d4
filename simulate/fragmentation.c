#include "simulate/fragmentation.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { WHOLE = 1000 };

bool model_named(const char *models, const char *model)
{
    size_t len = strlen(model);
    for (const char *p = models; *p; p += *p == '|') {
        size_t n = strcspn(p, "|");
        if (n == len && strncmp(p, model, n) == 0)
            return true;
        p += n;
    }
    return false;
}

struct counted {
    struct shape shape;
    size_t count, first;
};

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_shape(const void *a, const void *b)
{
    const struct shape *x = &((const struct counted *)a)->shape;
    const struct shape *y = &((const struct counted *)b)->shape;
    int c = compare(x->cpu_milli, y->cpu_milli);
    c = c ? c : compare(x->gpus, y->gpus);
    c = c ? c : compare(x->gpu_milli, y->gpu_milli);
    return c ? c : compare(x->models, y->models);
}

static int by_count(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->first < y->first ? -1 : 1;
}

static bool *models_of(const struct trace *t, const struct node_list *nodes, int32_t models)
{
    if (!models)
        return NULL;
    bool *on = xcalloc(nodes->names.count + 1, sizeof *on);
    for (size_t m = 1; m <= nodes->names.count; m++)
        on[m] =
            model_named(interned_name(&t->names, models), interned_name(&nodes->names, (int32_t)m));
    return on;
}

void shapes_of(const struct trace *t, const struct node_list *nodes, struct shapes *ret)
{
    struct counted *all = xreallocarray(NULL, t->count + 1, sizeof *all);
    size_t tasks = 0, distinct = 0, covered = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct trace_job *j = &t->jobs[i];
        all[i] = (struct counted){.shape = {.cpu_milli = j->cpu_milli,
                                            .gpus = j->gpus,
                                            .gpu_milli = j->gpu_milli,
                                            .models = j->models},
                                  .count = (size_t)j->tasks,
                                  .first = i};
        tasks += (size_t)j->tasks;
    }
    qsort(all, t->count, sizeof *all, by_shape);
    for (size_t i = 0; i < t->count; i++) {
        if (distinct && by_shape(&all[distinct - 1], &all[i]) == 0) {
            struct counted *same = &all[distinct - 1];
            same->count += all[i].count;
            same->first = same->first < all[i].first ? same->first : all[i].first;
        } else {
            all[distinct++] = all[i];
        }
    }
    qsort(all, distinct, sizeof *all, by_count);
    *ret = (struct shapes){.items = xreallocarray(NULL, distinct + 1, sizeof *ret->items)};
    for (size_t i = 0; i < distinct && covered * 100 < tasks * 95; i++) {
        covered += all[i].count;
        ret->items[ret->count] = all[i].shape;
        ret->items[ret->count].on_model = models_of(t, nodes, all[i].shape.models);
        ret->items[ret->count++].weight = (double)all[i].count;
    }
    for (size_t i = 0; i < ret->count; i++)
        ret->items[i].weight /= (double)covered;
    free(all);
}

void shapes_free(struct shapes *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].on_model);
    free(s->items);
    *s = (struct shapes){0};
}

// Thousandths of GPUs on the node that the shape cannot use.
static int64_t fragment(const struct shape *s, const struct sim_node *node,
                        const struct ledger_node *n)
{
    int32_t each = s->gpus ? WHOLE : s->gpu_milli, want = s->gpus ? s->gpus : s->gpu_milli > 0;
    int64_t free_milli = 0, small = 0;
    int32_t fitting = 0;
    for (int32_t g = 0; g < node->gpus; g++) {
        free_milli += n->gpu_milli[g];
        if (n->gpu_milli[g] >= each)
            fitting++;
        else
            small += n->gpu_milli[g];
    }
    bool runs = want && fitting >= want && n->core_milli >= s->cpu_milli &&
                (!s->on_model || s->on_model[node->model]);
    return runs ? small : free_milli;
}

double fragmentation(const struct shapes *s, const struct ledger *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->nodes->count; i++)
        for (size_t k = 0; l->nodes->items[i].gpus && k < s->count; k++)
            sum += s->items[k].weight *
                   (double)fragment(&s->items[k], &l->nodes->items[i], &l->items[i]);
    return sum;
}
