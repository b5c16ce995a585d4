// Every layer and every loss against a plain reference in double: what comes out, and the gradient
// against central differences of the reference.
#include "common/alloc.h"
#include "common/rng.h"
#include "kernels/loss.h"
#include "kernels/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 3, ROWS = 6, TIME_MAX = 8, VOCABULARY = 9, CHECKED_MAX = 300 };

// ---- the reference: one sample at a time, in double ----

struct ref_shape {
    size_t time, height, width, channels; // time 0: no sequence
};

struct ref {
    struct ref_shape s;
    double *v;
};

static size_t ref_elements(struct ref_shape s)
{
    return (s.time ? s.time : 1) * s.height * s.width * s.channels;
}

static struct ref ref_new(struct ref_shape s)
{
    return (struct ref){s, xcalloc(ref_elements(s) + 1, sizeof(double))};
}

static struct ref ref_dense(struct ref in, size_t n, const double **p)
{
    struct ref out = ref_new((struct ref_shape){0, 1, 1, n});
    size_t k = ref_elements(in.s);
    for (size_t o = 0; o < n; o++) {
        out.v[o] = (*p)[k * n + o];
        for (size_t i = 0; i < k; i++)
            out.v[o] += (*p)[o * k + i] * in.v[i];
    }
    *p += k * n + n;
    return out;
}

static struct ref ref_conv(struct ref in, size_t n, size_t k, const double **p)
{
    struct ref_shape s = in.s;
    size_t c = s.channels, half = k / 2;
    struct ref out = ref_new((struct ref_shape){0, s.height, s.width, n});
    for (size_t y = 0; y < s.height; y++)
        for (size_t x = 0; x < s.width; x++)
            for (size_t o = 0; o < n; o++) {
                double sum = (*p)[n * c * k * k + o];
                for (size_t i = 0; i < c; i++)
                    for (size_t a = 0; a < k; a++)
                        for (size_t b = 0; b < k; b++) {
                            size_t yy = y + a - half, xx = x + b - half; // wraps below 0
                            if (yy < s.height && xx < s.width)
                                sum += (*p)[((o * c + i) * k + a) * k + b] *
                                       in.v[(yy * s.width + xx) * c + i];
                        }
                out.v[(y * s.width + x) * n + o] = sum;
            }
    *p += n * c * k * k + n;
    return out;
}

static struct ref ref_maxpool(struct ref in, size_t k)
{
    struct ref_shape s = in.s;
    struct ref out = ref_new((struct ref_shape){0, s.height / k, s.width / k, s.channels});
    for (size_t y = 0; y < s.height / k; y++)
        for (size_t x = 0; x < s.width / k; x++)
            for (size_t c = 0; c < s.channels; c++) {
                double most = -INFINITY;
                for (size_t a = 0; a < k * k; a++)
                    most = fmax(most,
                                in.v[((y * k + a / k) * s.width + x * k + a % k) * s.channels + c]);
                out.v[(y * (s.width / k) + x) * s.channels + c] = most;
            }
    return out;
}

static struct ref ref_embedding(const int32_t *ids, size_t len, size_t n, const double **p)
{
    struct ref out = ref_new((struct ref_shape){len, 1, 1, n});
    for (size_t t = 0; t < len; t++)
        memcpy(out.v + t * n, *p + (size_t)ids[t] * n, n * sizeof(double));
    *p += VOCABULARY * n;
    return out;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static struct ref ref_lstm(struct ref in, size_t n, const double **p)
{
    size_t c = in.s.channels;
    const double *wx = *p, *wh = wx + c * 4 * n, *bias = wh + n * 4 * n;
    struct ref out = ref_new((struct ref_shape){in.s.time, 1, 1, n});
    AUTO_FREE double *cell = xcalloc(n, sizeof *cell), *gate = xcalloc(4 * n, sizeof *gate);
    for (size_t t = 0; t < in.s.time; t++) {
        for (size_t g = 0; g < 4 * n; g++) {
            gate[g] = bias[g];
            for (size_t i = 0; i < c; i++)
                gate[g] += in.v[t * c + i] * wx[i * 4 * n + g];
            for (size_t i = 0; t && i < n; i++)
                gate[g] += out.v[(t - 1) * n + i] * wh[i * 4 * n + g];
        }
        for (size_t k = 0; k < n; k++) {
            cell[k] = sigmoid(gate[n + k]) * cell[k] + sigmoid(gate[k]) * tanh(gate[2 * n + k]);
            out.v[t * n + k] = sigmoid(gate[3 * n + k]) * tanh(cell[k]);
        }
    }
    *p += (c + n + 1) * 4 * n;
    return out;
}

static struct ref ref_reduce(struct ref in, bool max)
{
    size_t n = in.s.channels;
    struct ref out = ref_new((struct ref_shape){0, 1, 1, n});
    memcpy(out.v, in.v + (in.s.time - 1) * n, n * sizeof(double));
    for (size_t i = 0; max && i < in.s.time * n; i++)
        out.v[i % n] = fmax(out.v[i % n], in.v[i]);
    return out;
}

static struct ref ref_each(struct ref in, double (*f)(double))
{
    struct ref out = ref_new(in.s);
    for (size_t i = 0; i < ref_elements(in.s); i++)
        out.v[i] = f(in.v[i]);
    return out;
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static struct ref ref_layer(const char *word, struct ref in, const int32_t *ids, size_t len,
                            const double **p)
{
    char name[16];
    size_t a = 0, b = 0;
    sscanf(word, "%15[a-z]:%zu:%zu", name, &a, &b);
    if (strcmp(word, "dense:classes") == 0)
        a = CLASSES;
    if (strcmp(name, "dense") == 0)
        return ref_dense(in, a, p);
    if (strcmp(name, "conv") == 0)
        return ref_conv(in, a, b, p);
    if (strcmp(name, "maxpool") == 0)
        return ref_maxpool(in, a);
    if (strcmp(name, "embedding") == 0)
        return ref_embedding(ids, len, a, p);
    if (strcmp(name, "lstm") == 0)
        return ref_lstm(in, a, p);
    if (strcmp(name, "last") == 0 || strcmp(name, "max") == 0)
        return ref_reduce(in, name[0] == 'm');
    return ref_each(in, strcmp(name, "relu") == 0      ? relu
                        : strcmp(name, "sigmoid") == 0 ? sigmoid
                                                       : tanh);
}

// ---- a case ----

struct test_case {
    const char *recipe;
    struct shape input;
    enum loss_kind loss;
    // Made from a seed.
    struct network *net;
    size_t n, pixels;
    float *x;
    int32_t ids[ROWS * TIME_MAX], lengths[ROWS], labels[ROWS];
    double *params;
};

static void ref_logits(const struct test_case *c, size_t sample, double ret[CLASSES])
{
    AUTO_FREE char *copy = xstrdup(c->recipe);
    char *rest = copy, *word;
    const double *p = c->params;
    struct ref at = ref_new((struct ref_shape){0, c->input.height, c->input.width, 1});
    for (size_t i = 0; i < c->pixels; i++)
        at.v[i] = (double)c->x[sample * c->pixels + i];
    while ((word = strsep(&rest, " "))) {
        struct ref next =
            ref_layer(word, at, c->ids + sample * TIME_MAX, (size_t)c->lengths[sample], &p);
        free(at.v);
        at = next;
    }
    assert_int_equal(p - c->params, network_params_count(c->net));
    assert_int_equal(ref_elements(at.s), CLASSES);
    memcpy(ret, at.v, CLASSES * sizeof *ret);
    free(at.v);
}

static double ref_loss(const struct test_case *c)
{
    double total = 0, z[CLASSES];
    for (size_t s = 0; s < c->n; s++) {
        double sum = 0, squares = 0;
        ref_logits(c, s, z);
        for (size_t k = 0; k < CLASSES; k++) {
            double d = z[k] - (k == (size_t)c->labels[s]);
            sum += exp(z[k]);
            squares += d * d;
        }
        total += c->loss == LOSS_MSE ? squares / CLASSES : log(sum) - z[c->labels[s]];
    }
    return total;
}

static float real(struct rng *r)
{
    return (float)((double)(rng_next(r) >> 11) / (double)(1ull << 53) * 2 - 1);
}

static void make(struct test_case *c, size_t n, uint64_t seed)
{
    struct rng rng = {seed};
    struct err err;
    if (network_new(c->recipe, c->input, CLASSES, ROWS, TIME_MAX, &c->net, &err))
        fail_msg("%s: %s", c->recipe, err.message);
    network_init(c->net, seed);
    size_t count = network_params_count(c->net);
    c->n = n;
    c->pixels = c->input.sequence ? 0 : c->input.height * c->input.width;
    c->x = xcalloc(ROWS * c->pixels + 1, sizeof *c->x);
    c->params = xcalloc(count, sizeof *c->params);
    for (size_t i = 0; i < ROWS * c->pixels; i++)
        c->x[i] = real(&rng);
    for (size_t s = 0; s < ROWS; s++) {
        c->labels[s] = (int32_t)rng_below(&rng, CLASSES);
        c->lengths[s] = 1 + (int32_t)rng_below(&rng, TIME_MAX);
        for (int t = 0; t < TIME_MAX; t++)
            c->ids[s * TIME_MAX + (size_t)t] =
                t < c->lengths[s] ? 1 + (int32_t)rng_below(&rng, VOCABULARY - 1) : 0;
    }
    for (size_t i = 0; i < count; i++) {
        network_params(c->net)[i] += 0.2f * real(&rng); // biases too
        c->params[i] = (double)network_params(c->net)[i];
    }
}

static void release(struct test_case *c)
{
    network_free(c->net);
    free(c->x);
    free(c->params);
}

static struct batch batch_of(const struct test_case *c)
{
    return (struct batch){.n = c->n,
                          .rows = ROWS,
                          .x = c->input.sequence ? NULL : c->x,
                          .ids = c->ids,
                          .lengths = c->lengths,
                          .time = TIME_MAX,
                          .time_max = TIME_MAX};
}

#define IMAGE(h, w)                                \
    {                                              \
        .height = (h), .width = (w), .channels = 1 \
    }
#define TEXT                                               \
    {                                                      \
        .sequence = true, .height = VOCABULARY, .width = 1 \
    }

static const struct test_case cases[] = {
    {.recipe = "dense:classes", .input = IMAGE(1, 7)},
    {.recipe = "dense:classes", .input = IMAGE(1, 7), .loss = LOSS_MSE},
    {.recipe = "dense:5 relu dense:4 relu dense:classes", .input = IMAGE(1, 7)},
    {.recipe = "dense:5 sigmoid dense:classes", .input = IMAGE(1, 7)},
    {.recipe = "dense:5 tanh dense:classes", .input = IMAGE(1, 7), .loss = LOSS_MSE},
    {.recipe = "conv:4:3 dense:classes", .input = IMAGE(5, 7)},
    {.recipe = "conv:3:5 tanh conv:5:3 dense:classes", .input = IMAGE(7, 6)},
    {.recipe = "conv:4:1 sigmoid maxpool:2 dense:classes", .input = IMAGE(7, 6)},
    {.recipe = "maxpool:3 dense:classes", .input = IMAGE(7, 6)},
    {.recipe = "conv:1:1 maxpool:2", .input = IMAGE(2, 6)}, // an image of three outputs
    {.recipe = "conv:4:3 relu maxpool:2 conv:6:3 relu maxpool:2 dense:5 relu dense:classes",
     .input = IMAGE(9, 8)},
    {.recipe = "embedding:4 last dense:classes", .input = TEXT},
    {.recipe = "embedding:4 max dense:classes", .input = TEXT},
    {.recipe = "embedding:4 tanh max dense:classes", .input = TEXT},
    {.recipe = "embedding:5 lstm:6 last dense:classes", .input = TEXT},
    {.recipe = "embedding:5 lstm:6 max dense:classes", .input = TEXT, .loss = LOSS_MSE},
    {.recipe = "embedding:5 lstm:6 lstm:4 max dense:7 relu dense:classes", .input = TEXT},
};
enum { CASES = sizeof cases / sizeof *cases };

// ---- the tests ----

static void outputs_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        for (size_t n = 1; n <= ROWS; n += 2) {
            struct test_case c = cases[i];
            make(&c, n, 10 * i + n);
            struct batch b = batch_of(&c);
            const float *z = network_forward(c.net, &b);
            for (size_t s = 0; s < n; s++) {
                double want[CLASSES];
                ref_logits(&c, s, want);
                for (size_t k = 0; k < CLASSES; k++)
                    if (!(fabs((double)z[s * CLASSES + k] - want[k]) <= 1e-5 * (1 + fabs(want[k]))))
                        fail_msg("%s: sample %zu, output %zu: %.9g where %.9g is right", c.recipe,
                                 s, k, (double)z[s * CLASSES + k], want[k]);
            }
            release(&c);
        }
}

struct seen {
    size_t next;
};

static void range_done(void *arg, size_t offset, size_t count)
{
    struct seen *s = arg;
    assert_int_equal(offset + count, s->next); // from the last to the first, without a gap
    s->next = offset;
}

// The loss has a kink where a unit of a relu is 0 or two of a window are equal; there the
// difference says nothing, and is not the same with half the step.
static bool difference(struct test_case *c, size_t i, double *ret)
{
    double slope[2], was = c->params[i];
    for (int k = 0; k < 2; k++) {
        double h = k ? 5e-6 : 1e-5, up, down;
        c->params[i] = was + h;
        up = ref_loss(c);
        c->params[i] = was - h;
        down = ref_loss(c);
        slope[k] = (up - down) / (2 * h);
    }
    c->params[i] = was;
    *ret = slope[0];
    return fabs(slope[0] - slope[1]) <= 1e-6 * (1 + fabs(slope[0]));
}

static void check_gradients(struct test_case *c)
{
    size_t count = network_params_count(c->net), step = count / CHECKED_MAX + 1, checked = 0;
    double most = 0, want;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)network_grads(c->net)[i]));
    for (size_t i = 0; i < count; i += step) {
        if (!difference(c, i, &want))
            continue;
        double got = (double)network_grads(c->net)[i];
        double scale = fmax(fabs(want), 1e-2 * most); // below it, float32 itself is the error
        if (!(fabs(got - want) <= 1e-3 * scale))
            fail_msg("%s: gradient %zu of %zu: %.9g where %.9g is right", c->recipe, i, count, got,
                     want);
        checked++;
    }
    assert_true(checked > count / step * 9 / 10);
    assert_true(most > 1e-3);
}

static void gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        for (size_t n = 1; n <= ROWS; n += ROWS - 1) {
            struct test_case c = cases[i];
            float grad[ROWS * CLASSES];
            make(&c, n, 100 * i + n);
            struct batch b = batch_of(&c);
            // Overwritten, not added to; and what an earlier, larger pass left counts for nothing.
            for (size_t k = 0; k < network_params_count(c.net); k++)
                network_grads(c.net)[k] = 1e9f;
            struct batch full = b;
            full.n = ROWS;
            loss_sum(c.loss, network_forward(c.net, &full), c.labels, ROWS, CLASSES, grad);
            network_backward(c.net, &full, grad, NULL, NULL);
            loss_sum(c.loss, network_forward(c.net, &b), c.labels, n, CLASSES, grad);
            struct seen seen = {network_params_count(c.net)};
            network_backward(c.net, &b, grad, range_done, &seen);
            assert_int_equal(seen.next, 0);
            check_gradients(&c);
            release(&c);
        }
}

static void gradients_are_sums_so_that_parts_of_a_batch_add_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct test_case c = cases[i];
        float grad[ROWS * CLASSES];
        make(&c, ROWS, 7 + i);
        size_t count = network_params_count(c.net);
        AUTO_FREE float *all = xcalloc(count, sizeof *all);
        AUTO_FREE double *sum = xcalloc(count, sizeof *sum);
        struct batch b = batch_of(&c);
        loss_sum(c.loss, network_forward(c.net, &b), c.labels, ROWS, CLASSES, grad);
        network_backward(c.net, &b, grad, NULL, NULL);
        memcpy(all, network_grads(c.net), count * sizeof *all);
        const size_t cut[] = {0, 2, 2, ROWS}; // the second part is empty
        for (int k = 0; k < 3; k++) {
            struct batch part = b;
            part.n = cut[k + 1] - cut[k];
            AUTO_FREE float *x = xcalloc(ROWS * c.pixels + 1, sizeof *x);
            memcpy(x, c.x + cut[k] * c.pixels, part.n * c.pixels * sizeof *x);
            part.x = b.x ? x : NULL;
            part.ids += cut[k] * TIME_MAX;
            part.lengths += cut[k];
            loss_sum(c.loss, network_forward(c.net, &part), c.labels + cut[k], part.n, CLASSES,
                     grad);
            network_backward(c.net, &part, grad, NULL, NULL);
            for (size_t p = 0; p < count; p++)
                sum[p] += (double)network_grads(c.net)[p];
        }
        for (size_t p = 0; p < count; p++)
            if (!(fabs((double)all[p] - sum[p]) <= 1e-5 * (1 + fabs(sum[p]))))
                fail_msg("%s: gradient %zu: %.9g of the whole, %.9g of the parts", c.recipe, p,
                         (double)all[p], sum[p]);
        release(&c);
    }
}

static size_t memory_in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

// An operation is made for each number of steps; with long texts many occur.
static void many_lengths_do_not_fill_the_memory(void **state)
{
    (void)state;
    enum { LONGEST = 1024, BOUND = 100 << 20 };
    const struct shape text = TEXT;
    struct network *net;
    struct err err;
    int32_t *ids = xcalloc(LONGEST, sizeof *ids);
    assert_int_equal(
        network_new("embedding:16 lstm:16 last dense:classes", text, 2, 1, LONGEST, &net, &err), 0);
    network_init(net, 1);
    size_t before = memory_in_use();
    for (int32_t steps = BATCH_STEPS; steps <= LONGEST; steps += BATCH_STEPS) {
        struct batch b = {.n = 1,
                          .rows = 1,
                          .ids = ids,
                          .lengths = &steps,
                          .time = (size_t)steps,
                          .time_max = LONGEST};
        network_forward(net, &b);
    }
    size_t after = memory_in_use();
    if (after > before + BOUND)
        fail_msg("%zu MiB more", (after - before) >> 20);
    network_free(net);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_agree),
        cmocka_unit_test(gradients_agree_with_central_differences),
        cmocka_unit_test(gradients_are_sums_so_that_parts_of_a_batch_add_up),
        cmocka_unit_test(many_lengths_do_not_fill_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
