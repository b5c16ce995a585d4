// The network against plain references: every gradient against finite differences, the loss and the
// optimisers against their formulas in double, the saved file read back.
#include "common/alloc.h"
#include "common/rng.h"
#include "kernels/loss.h"
#include "kernels/network.h"
#include "kernels/optimiser.h"
#include "kernels/safetensors.h"

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

static struct network *build(uint64_t seed)
{
    struct network *net = network_new(BATCH);
    network_add_dense(net, IN, HIDDEN);
    network_add_relu(net);
    network_add_dense(net, HIDDEN, HIDDEN2);
    network_add_relu(net);
    network_add_dense(net, HIDDEN2, OUT);
    network_init(net, seed);
    return net;
}

static double uniform(struct rng *r)
{
    return (double)(rng_next(r) >> 11) / (double)(1ull << 53) * 2 - 1;
}

static void make_batch(struct rng *r, float x[BATCH * IN], uint8_t labels[BATCH])
{
    for (int i = 0; i < BATCH * IN; i++)
        x[i] = (float)uniform(r);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (uint8_t)rng_below(r, OUT);
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

static double loss_of(const double *params, const float *x, const uint8_t *labels, size_t n)
{
    double total = 0, z[OUT];
    for (size_t s = 0; s < n; s++) {
        logits_of(params, x + s * IN, z);
        total += cross_entropy(z, OUT, labels[s]);
    }
    return total;
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
    uint8_t labels[BATCH];
    struct network *net = build(3);
    for (size_t i = 0; i < network_params_count(net); i++) // biases too
        network_params(net)[i] += (float)uniform(&rng) * 0.1f;
    AUTO_FREE double *params = params_of(net);
    for (size_t n = 1; n <= BATCH; n++) {
        make_batch(&rng, x, labels);
        const float *z = network_forward(net, x, n);
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
    struct network *wide = network_new(1);
    network_add_dense(wide, 600, 200);
    network_init(wide, 7);
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
    uint8_t labels[N];
    double want = 0;
    size_t correct, right = 0;
    for (int s = 0; s < N; s++) {
        double d[CLASSES];
        size_t best = 0;
        labels[s] = (uint8_t)rng_below(&rng, CLASSES);
        for (int k = 0; k < CLASSES; k++) {
            z[s * CLASSES + k] = (float)(uniform(&rng) * 5);
            d[k] = (double)z[s * CLASSES + k];
            best = d[k] > d[best] ? (size_t)k : best;
        }
        want += cross_entropy(d, CLASSES, labels[s]);
        right += best == labels[s];
    }
    double got = loss_cross_entropy(z, labels, N, CLASSES, grad, &correct);
    expect_near(got, want, 1e-12, "loss", 0);
    assert_int_equal(correct, right);
    for (size_t s = 0; s < N; s++) { // softmax - onehot
        double sum = 0, total = 0;
        for (int k = 0; k < CLASSES; k++)
            total += exp((double)z[s * CLASSES + (size_t)k]);
        for (size_t k = 0; k < CLASSES; k++) {
            double p = exp((double)z[s * CLASSES + k]) / total;
            expect_near((double)grad[s * CLASSES + k], p - (k == labels[s]), 1e-6, "grad", k);
            sum += (double)grad[s * CLASSES + k];
        }
        assert_true(fabs(sum) < 1e-6);
    }
    assert_true(loss_cross_entropy(z, labels, N, CLASSES, NULL, NULL) == got);
}

static void huge_logits_do_not_overflow(void **state)
{
    (void)state;
    float z[] = {1e30f, 0, -1e30f, 5000, 5001, 4999, 0, 0, 0}, grad[9];
    uint8_t labels[] = {0, 1, 2};
    size_t correct;
    double got = loss_cross_entropy(z, labels, 3, 3, grad, &correct);
    double want = 0 + log(1 + exp(-1) + exp(-2)) + log(3);
    expect_near(got, want, 1e-12, "loss", 0);
    assert_int_equal(correct, 2); // of equals the first counts, and label 2 is the last
    for (int i = 0; i < 9; i++)
        assert_true(isfinite(grad[i]));
    assert_true(loss_cross_entropy(z, labels, 0, 3, grad, &correct) == 0 && correct == 0);
}

// ---- backward ----

struct seen {
    size_t next, times;
    const struct network *net;
};

static void layer_done(void *arg, size_t offset, size_t count)
{
    struct seen *s = arg;
    assert_int_equal(offset + count, s->next); // from the last to the first, without a gap
    s->next = offset;
    s->times++;
}

static void every_gradient_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct rng rng = {5};
    float x[BATCH * IN], grad[BATCH * OUT];
    uint8_t labels[BATCH];
    int rounds = 0;
    for (uint64_t seed = 1; rounds < 20; seed++) {
        struct network *net = build(seed);
        size_t count = network_params_count(net);
        make_batch(&rng, x, labels);
        for (size_t i = 0; i < count; i++)
            network_params(net)[i] += (float)uniform(&rng) * 0.2f;
        AUTO_FREE double *params = params_of(net);
        double kink = 1, z[OUT];
        for (size_t s = 0; s < BATCH; s++)
            kink = fmin(kink, logits_of(params, x + s * IN, z));
        if (kink < 1e-3) { // the difference would step over a kink
            network_free(net);
            continue;
        }
        rounds++;
        for (size_t i = 0; i < count; i++)
            network_grads(net)[i] = 1e9f; // overwritten, not added to
        const float *logits = network_forward(net, x, BATCH);
        loss_cross_entropy(logits, labels, BATCH, OUT, grad, NULL);
        struct seen seen = {.next = count};
        network_backward(net, x, grad, BATCH, layer_done, &seen);
        assert_int_equal(seen.next, 0);
        assert_int_equal(seen.times, 3);
        for (size_t i = 0; i < count; i++) {
            double h = 1e-5, was = params[i];
            params[i] = was + h;
            double up = loss_of(params, x, labels, BATCH);
            params[i] = was - h;
            double down = loss_of(params, x, labels, BATCH);
            params[i] = was;
            expect_near((double)network_grads(net)[i], (up - down) / (2 * h), 2e-5, "gradient", i);
        }
        network_free(net);
    }
}

static void gradients_are_sums_so_that_parts_of_a_batch_add_up(void **state)
{
    (void)state;
    struct rng rng = {6};
    float x[BATCH * IN], grad[BATCH * OUT];
    uint8_t labels[BATCH];
    struct network *net = build(9);
    size_t count = network_params_count(net);
    AUTO_FREE double *sum = xcalloc(count, sizeof *sum);
    make_batch(&rng, x, labels);
    for (int part = 0; part < 2; part++) {
        size_t from = part ? 2 : 0, n = part ? BATCH - 2 : 2;
        const float *z = network_forward(net, x + from * IN, n);
        loss_cross_entropy(z, labels + from, n, OUT, grad, NULL);
        network_backward(net, x + from * IN, grad, n, NULL, NULL);
        for (size_t i = 0; i < count; i++)
            sum[i] += (double)network_grads(net)[i];
    }
    loss_cross_entropy(network_forward(net, x, BATCH), labels, BATCH, OUT, grad, NULL);
    network_backward(net, x, grad, BATCH, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        expect_near((double)network_grads(net)[i], sum[i], 1e-5, "gradient", i);
    // A task without a sample in the last batch adds nothing.
    network_forward(net, x, 0);
    network_backward(net, x, grad, 0, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        assert_true(network_grads(net)[i] == 0);
    network_free(net);
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
        optimiser_step(&o, p, g, 0.25f);
        for (int i = 0; i < 2; i++) {
            v[i] = (double)0.9f * v[i] + (double)g[i] * 0.25;
            want[i] -= 0.5 * v[i];
            expect_near((double)p[i], want[i], 1e-5, "parameter", (size_t)i);
        }
        g[0] = -g[0];
    }
    optimiser_fini(&o);
    optimiser_init(&o, OPTIMISER_SGD, 1, 0, 0);
    assert_true(o.rate == 0.1f);
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
    assert_true(o.rate == 0.001f);
    for (int t = 1; t <= 200; t++) {
        float g = (float)(uniform(&rng) + 0.3);
        optimiser_step(&o, &p, &g, 0.5f);
        double gd = (double)g * 0.5;
        m = 0.9 * m + 0.1 * gd;
        v = 0.999 * v + 0.001 * gd * gd;
        want -= 0.001 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
        expect_near((double)p, want, 1e-5, "parameter after step", (size_t)t);
    }
    optimiser_fini(&o);
}

// ---- the file ----

struct check {
    const char *header;
    struct network *net;
    const float *data;
    size_t tensors, bytes;
};

static void check_tensor(void *arg, const char *name, const size_t *shape, size_t dims,
                         size_t offset)
{
    struct check *c = arg;
    char want[256];
    size_t count = 1;
    int len = snprintf(want, sizeof want, "\"%s\":{\"dtype\":\"F32\",\"shape\":[", name);
    for (size_t i = 0; i < dims; i++) {
        count *= shape[i];
        len += snprintf(want + len, sizeof want - (size_t)len, "%s%zu", i ? "," : "", shape[i]);
    }
    snprintf(want + len, sizeof want - (size_t)len, "],\"data_offsets\":[%zu,%zu]}", offset * 4,
             (offset + count) * 4);
    if (!strstr(c->header, want))
        fail_msg("%s is not in %s", want, c->header);
    assert_int_equal(offset * 4, c->bytes); // without a gap, as the format demands
    assert_memory_equal(c->data + offset, network_params(c->net) + offset, count * 4);
    c->bytes += count * 4;
    c->tensors++;
}

// Balanced, quoted, closed: enough of JSON for a header without strings that need escapes.
static bool well_formed(const char *s, size_t len)
{
    char open[16];
    size_t depth = 0;
    bool quoted = false;
    while (len && s[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        if (s[i] == ',' && (i + 1 == len || strchr("{[,", s[i - 1]) || strchr("}],", s[i + 1])))
            return false;
        if (s[i] == '{' || s[i] == '[')
            open[depth++] = s[i];
        else if ((s[i] == '}' || s[i] == ']') && (!depth || open[--depth] != s[i] - 2))
            return false;
        if (depth > 15 || (depth == 0 && i + 1 < len))
            return false;
    }
    return depth == 0 && !quoted && len;
}

static void a_saved_file_is_safetensors(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-ml-XXXXXX";
    struct err err;
    struct stat st;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct network *net = build(3);
    assert_int_equal(safetensors_save(path, net, &err), 0);
    assert_int_equal(safetensors_save(path, net, &err), 0); // over an older one
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    AUTO_FREE unsigned char *bytes = xcalloc(1, (size_t)st.st_size + 1);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    size_t len = 0;
    for (int i = 7; i >= 0; i--)
        len = len << 8 | bytes[i];
    assert_int_equal(len % 8, 0);
    assert_int_equal(8 + len + network_params_count(net) * 4, st.st_size);
    AUTO_FREE char *header = xstrndup((char *)bytes + 8, len);
    AUTO_FREE float *data = xmemdup(bytes + 8 + len, network_params_count(net) * 4);
    assert_int_equal(header[0], '{');
    assert_true(well_formed(header, len));
    struct check c = {.header = header, .net = net, .data = data};
    network_tensors(net, check_tensor, &c);
    assert_int_equal(c.tensors, 6);
    assert_int_equal(c.bytes, network_params_count(net) * 4);
    assert_non_null(strstr(header, "\"layers.2.bias\""));
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    assert_int_equal(access(temp, F_OK), -1);
    unlink(path);
    network_free(net);
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    (void)state;
    struct err err;
    struct network *net = build(3);
    assert_int_equal(safetensors_save("/nowhere/model", net, &err), E_IO);
    assert_non_null(strstr(err.message, "/nowhere/model"));
    char dir[] = "/tmp/muster-ml-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *path = xasprintf("%s/model", dir);
    AUTO_FREE char *full = xasprintf("%s/model.new", dir);
    FILE *f = fopen(path, "we");
    fputs("old", f);
    fclose(f);
    assert_int_equal(symlink("/dev/full", full), 0);
    assert_int_equal(safetensors_save(path, net, &err), E_IO);
    char old[8] = "";
    f = fopen(path, "re");
    assert_int_equal(fread(old, 1, sizeof old, f), 3);
    fclose(f);
    assert_string_equal(old, "old");
    unlink(full);
    unlink(path);
    rmdir(dir);
    network_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forward_pass_is_the_formula),
        cmocka_unit_test(weights_begin_as_he_says_and_by_seed_alone),
        cmocka_unit_test(the_loss_is_the_formula),
        cmocka_unit_test(huge_logits_do_not_overflow),
        cmocka_unit_test(every_gradient_agrees_with_finite_differences),
        cmocka_unit_test(gradients_are_sums_so_that_parts_of_a_batch_add_up),
        cmocka_unit_test(sgd_is_the_formula),
        cmocka_unit_test(adam_is_the_paper),
        cmocka_unit_test(a_saved_file_is_safetensors),
        cmocka_unit_test(a_file_that_cannot_be_written_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
