// The network, the losses and the optimisers against their formulas in double; recipes that lie.
#include "common/alloc.h"
#include "common/rng.h"
#include "kernels/loss.h"
#include "kernels/network.h"
#include "kernels/optimiser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IN = 7, HIDDEN = 5, HIDDEN2 = 4, OUT = 3, BATCH = 6 };

static struct network *make(const char *recipe, size_t inputs, size_t outputs, size_t rows,
                            uint64_t seed)
{
    struct network *net;
    struct err err;
    if (network_new(recipe, shape_vector(inputs), outputs, rows, 0, &net, &err))
        fail_msg("%s", err.message);
    network_init(net, seed);
    return net;
}

static struct network *build(uint64_t seed)
{
    return make("dense:5 relu dense:4 relu dense:classes", IN, OUT, BATCH, seed);
}

static struct batch batch_of(const float *x, size_t n)
{
    return (struct batch){.n = n, .rows = BATCH, .x = x};
}

static double uniform(struct rng *r)
{
    return (double)(rng_next(r) >> 11) / (double)(1ull << 53) * 2 - 1;
}

static void make_batch(struct rng *r, float x[BATCH * IN], int32_t labels[BATCH])
{
    for (int i = 0; i < BATCH * IN; i++)
        x[i] = (float)uniform(r);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (int32_t)rng_below(r, OUT);
}

// ---- the plain reference, in double ----

static void dense(const double *params, const double *in, size_t ins, size_t outs, double *out)
{
    for (size_t o = 0; o < outs; o++) {
        out[o] = params[ins * outs + o];
        for (size_t i = 0; i < ins; i++)
            out[o] += params[o * ins + i] * in[i];
    }
}

static void relu(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

// Returns the smallest distance of a hidden unit from the kink of its ReLU.
static double logits_of(const double *params, const float *x, double out[OUT])
{
    double in[IN], a[HIDDEN], b[HIDDEN2], kink = 1;
    for (int i = 0; i < IN; i++)
        in[i] = (double)x[i];
    dense(params, in, IN, HIDDEN, a);
    for (int i = 0; i < HIDDEN; i++)
        kink = fmin(kink, fabs(a[i]));
    relu(a, HIDDEN);
    params += IN * HIDDEN + HIDDEN;
    dense(params, a, HIDDEN, HIDDEN2, b);
    for (int i = 0; i < HIDDEN2; i++)
        kink = fmin(kink, fabs(b[i]));
    relu(b, HIDDEN2);
    params += HIDDEN * HIDDEN2 + HIDDEN2;
    dense(params, b, HIDDEN2, OUT, out);
    return kink;
}

static double cross_entropy(const double *z, size_t n, size_t label)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += exp(z[k]);
    return -log(exp(z[label]) / sum);
}

static double *params_of(struct network *net)
{
    size_t n = network_params_count(net);
    double *p = xcalloc(n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (double)network_params(net)[i];
    return p;
}

static void expect_near(double got, double want, double tolerance, const char *what, size_t i)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s %zu: %.9g where %.9g is right", what, i, got, want);
}

// ---- forward ----

static void the_forward_pass_is_the_formula(void **state)
{
    (void)state;
    struct rng rng = {1};
    float x[BATCH * IN];
    int32_t labels[BATCH];
    struct network *net = build(3);
    for (size_t i = 0; i < network_params_count(net); i++) // biases too
        network_params(net)[i] += (float)uniform(&rng) * 0.1f;
    AUTO_FREE double *params = params_of(net);
    for (size_t n = 1; n <= BATCH; n++) {
        make_batch(&rng, x, labels);
        struct batch b = batch_of(x, n);
        const float *z = network_forward(net, &b);
        for (size_t s = 0; s < n; s++) {
            double want[OUT];
            logits_of(params, x + s * IN, want);
            for (size_t k = 0; k < OUT; k++)
                expect_near((double)z[s * OUT + k], want[k], 1e-6, "logit", s * OUT + k);
        }
    }
    network_free(net);
}

static void weights_begin_as_he_says_and_by_seed_alone(void **state)
{
    (void)state;
    struct network *a = build(3), *b = build(3), *c = build(4);
    size_t n = network_params_count(a);
    assert_int_equal(n, IN * HIDDEN + HIDDEN + HIDDEN * HIDDEN2 + HIDDEN2 + HIDDEN2 * OUT + OUT);
    assert_int_equal(network_outputs(a), OUT);
    assert_memory_equal(network_params(a), network_params(b), n * sizeof(float));
    assert_true(memcmp(network_params(a), network_params(c), n * sizeof(float)) != 0);
    for (size_t i = IN * HIDDEN; i < IN * HIDDEN + HIDDEN; i++)
        assert_true(network_params(a)[i] == 0); // a bias
    network_free(a);
    network_free(b);
    network_free(c);
    struct network *wide = make("dense:classes", 600, 200, 1, 7);
    double sum = 0, squares = 0, count = 600 * 200, most = 0;
    for (size_t i = 0; i < 600 * 200; i++) {
        double w = (double)network_params(wide)[i];
        sum += w;
        squares += w * w;
        most = fmax(most, fabs(w));
    }
    assert_true(fabs(sum / count) < 0.001);
    expect_near(squares / count, 2.0 / 600, 1e-4, "variance", 0);
    assert_true(most <= sqrt(6.0 / 600) * 1.000001 && most > sqrt(6.0 / 600) * 0.999);
    network_free(wide);
}

// ---- loss ----

static void the_loss_is_the_formula(void **state)
{
    (void)state;
    struct rng rng = {2};
    enum { CLASSES = 10, N = 40 };
    float z[N * CLASSES], grad[N * CLASSES];
    int32_t labels[N];
    double want = 0;
    int32_t called[N];
    for (int s = 0; s < N; s++) {
        double d[CLASSES];
        labels[s] = (int32_t)rng_below(&rng, CLASSES);
        for (int k = 0; k < CLASSES; k++) {
            z[s * CLASSES + k] = (float)(uniform(&rng) * 5);
            d[k] = (double)z[s * CLASSES + k];
        }
        want += cross_entropy(d, CLASSES, (size_t)labels[s]);
    }
    double got = loss_sum(LOSS_CROSS_ENTROPY, z, labels, N, CLASSES, grad);
    expect_near(got, want, 1e-12, "loss", 0);
    loss_classify(z, N, CLASSES, called);
    for (size_t i = 0; i < N * CLASSES; i++)
        assert_true(z[i] <= z[i / CLASSES * CLASSES + (size_t)called[i / CLASSES]]);
    for (size_t s = 0; s < N; s++) { // softmax - onehot
        double sum = 0, total = 0;
        for (int k = 0; k < CLASSES; k++)
            total += exp((double)z[s * CLASSES + (size_t)k]);
        for (size_t k = 0; k < CLASSES; k++) {
            double p = exp((double)z[s * CLASSES + k]) / total;
            expect_near((double)grad[s * CLASSES + k], p - (k == (size_t)labels[s]), 1e-6, "grad",
                        k);
            sum += (double)grad[s * CLASSES + k];
        }
        assert_true(fabs(sum) < 1e-6);
    }
    assert_true(loss_sum(LOSS_CROSS_ENTROPY, z, labels, N, CLASSES, NULL) == got);
}

static void huge_logits_do_not_overflow(void **state)
{
    (void)state;
    float z[] = {1e30f, 0, -1e30f, 5000, 5001, 4999, 0, 0, 0}, grad[9];
    int32_t labels[] = {0, 1, 2};
    int32_t called[3];
    double got = loss_sum(LOSS_CROSS_ENTROPY, z, labels, 3, 3, grad);
    double want = 0 + log(1 + exp(-1) + exp(-2)) + log(3);
    expect_near(got, want, 1e-12, "loss", 0);
    loss_classify(z, 3, 3, called);
    assert_int_equal(called[0], 0);
    assert_int_equal(called[1], 1);
    assert_int_equal(called[2], 0); // the first of equals
    for (int i = 0; i < 9; i++)
        assert_true(isfinite(grad[i]));
    assert_true(loss_sum(LOSS_CROSS_ENTROPY, z, labels, 0, 3, grad) == 0);
}

// ---- optimisers ----

static void sgd_is_the_formula(void **state)
{
    (void)state;
    struct optimiser o;
    float p[2] = {1, -2}, g[2] = {4, 8};
    double want[2] = {1, -2}, v[2] = {0, 0};
    optimiser_init(&o, OPTIMISER_SGD, 2, 0.5f, 0.9f);
    for (int step = 0; step < 10; step++) {
        optimiser_step(&o, p, g, 0.25f, 1);
        for (int i = 0; i < 2; i++) {
            v[i] = (double)0.9f * v[i] + (double)g[i] * 0.25;
            want[i] -= 0.5 * v[i];
            expect_near((double)p[i], want[i], 1e-5, "parameter", (size_t)i);
        }
        g[0] = -g[0];
    }
    optimiser_fini(&o);
    optimiser_init(&o, OPTIMISER_SGD, 1, 0, 0);
    assert_true(o.rate == 0.02f);
    optimiser_fini(&o);
}

static void adam_is_the_paper(void **state)
{
    (void)state;
    struct rng rng = {8};
    struct optimiser o;
    float p = 0.5f;
    double want = 0.5, m = 0, v = 0;
    optimiser_init(&o, OPTIMISER_ADAM, 1, 0, 0);
    assert_true(o.rate == 0.002f);
    for (int t = 1; t <= 200; t++) {
        float g = (float)(uniform(&rng) + 0.3);
        optimiser_step(&o, &p, &g, 0.5f, 1);
        double gd = (double)g * 0.5;
        m = 0.9 * m + 0.1 * gd;
        v = 0.999 * v + 0.001 * gd * gd;
        want -= 0.002 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
        expect_near((double)p, want, 1e-5, "parameter after step", (size_t)t);
    }
    optimiser_fini(&o);
}

static void the_rate_falls_to_nothing(void **state)
{
    (void)state;
    struct optimiser o;
    float p = 1, g = 1;
    assert_true(schedule_factor(SCHEDULE_CONSTANT, 7, 10) == 1);
    assert_true(schedule_factor(SCHEDULE_LINEAR, 0, 10) == 1);
    assert_true(fabsf(schedule_factor(SCHEDULE_LINEAR, 5, 10) - 0.5f) < 1e-6f);
    optimiser_init(&o, OPTIMISER_SGD, 1, 0.5f, 0);
    optimiser_step(&o, &p, &g, 1, 0.5f);
    assert_true(p == 0.75f);
    optimiser_fini(&o);
}

// ---- recipes ----

static void refuse(const char *recipe, struct shape input, const char *words)
{
    struct network *net = NULL;
    struct err err;
    assert_int_equal(network_new(recipe, input, 3, 4, 8, &net, &err), E_INVALID);
    if (!strstr(err.message, words))
        fail_msg("\"%s\": %s", recipe, err.message);
    assert_null(net);
}

static void a_recipe_is_checked_before_anything_is_made(void **state)
{
    (void)state;
    const struct shape image = {.height = 8, .width = 8, .channels = 1};
    const struct shape text = {.sequence = true, .height = 20, .width = 1};
    refuse("", image, "no layer");
    refuse("dense:5 rellu dense:classes", image, "layer 2: there is no layer \"rellu\"");
    refuse("dense dense:classes", image, "layer 1 (dense): it is written dense:N");
    refuse("dense:5:6 dense:classes", image, "layer 1 (dense): it is written dense:N");
    refuse("relu:5 dense:classes", image, "layer 1 (relu)");
    refuse("dense:0 dense:classes", image, "layer 1 (dense)");
    refuse("dense:x dense:classes", image, "layer 1 (dense)");
    refuse("conv:4:2 dense:classes", image, "layer 1 (conv): needs an odd window");
    refuse("conv:4:9 dense:classes", image, "not larger than the image");
    refuse("maxpool:9 dense:classes", image, "needs an image of at least 9 x 9");
    refuse("dense:6 conv:4:3 dense:classes", image,
           "layer 2 (conv): needs an image. What comes in is 6.");
    refuse("embedding:4 max dense:classes", image,
           "layer 1 (embedding): needs token ids. What comes in is 8 x 8 x 1.");
    refuse("lstm:4 max dense:classes", text, "put embedding before it");
    refuse("relu dense:classes", text, "put embedding before it");
    refuse("embedding:4 dense:classes", text, "put last or max before it");
    refuse("embedding:4 lstm:4", text, "End with dense:classes");
    refuse("dense:1048576 dense:1048576 dense:classes", image,
           "layer 2 (dense): a network of more than 536870912 parameters");
    refuse("conv:1048576:1 maxpool:2 conv:1048576:1 dense:classes", image,
           "layer 3 (conv): a network of more");
    refuse("dense:5", image, "gives 5, not one number for each of 3 classes");
    AUTO(text) struct text many = {0};
    for (int i = 0; i < LAYERS_MAX; i++)
        text_add(&many, "relu ");
    text_add(&many, "dense:classes");
    refuse(text_str(&many), image, "more than 64 layers");
}

static void presets_are_recipes(void **state)
{
    (void)state;
    const struct shape image = {.height = 28, .width = 28, .channels = 1};
    struct network *net;
    struct err err;
    AUTO(text) struct text t = {0};
    assert_null(network_preset("gpt"));
    assert_int_equal(network_new(network_preset("cnn"), image, 10, 2, 0, &net, &err), 0);
    assert_int_equal(network_params_count(net),
                     16 * 9 + 16 + 32 * 16 * 9 + 32 + 128 * 1568 + 128 + 10 * 128 + 10);
    network_summary(net, &t);
    assert_non_null(strstr(text_str(&t), "conv         14 x 14 x 32     4640\n"));
    network_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forward_pass_is_the_formula),
        cmocka_unit_test(weights_begin_as_he_says_and_by_seed_alone),
        cmocka_unit_test(the_loss_is_the_formula),
        cmocka_unit_test(huge_logits_do_not_overflow),
        cmocka_unit_test(sgd_is_the_formula),
        cmocka_unit_test(adam_is_the_paper),
        cmocka_unit_test(the_rate_falls_to_nothing),
        cmocka_unit_test(a_recipe_is_checked_before_anything_is_made),
        cmocka_unit_test(presets_are_recipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
