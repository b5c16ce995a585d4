#include "kernels/onednn.h"

#include "common/alloc.h"
#include "common/check.h"

#include <dnnl.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DNNL(call) check_status((call), #call)

static void check_status(dnnl_status_t status, const char *what)
{
    CHECKF(status == dnnl_success, "oneDNN: status %d of %s", (int)status, what);
}

// One engine and stream for the process, never released.
static dnnl_engine_t engine(void)
{
    static dnnl_engine_t one;
    if (!one)
        DNNL(dnnl_engine_create(&one, dnnl_cpu, 0));
    return one;
}

static dnnl_stream_t stream(void)
{
    static dnnl_stream_t one;
    if (!one)
        DNNL(dnnl_stream_create(&one, engine(), dnnl_stream_in_order));
    return one;
}

void onednn_set_threads(int threads)
{
    omp_set_num_threads(threads);
}

// ---- an operation and its arguments ----

enum { OP_ARGS_MAX = 20 };

// An argument: the operation's own layout, the caller's plain layout, and the way between them.
struct argument {
    int name;             // DNNL_ARG_...
    dnnl_memory_t plain;  // over the caller's memory; NULL: internal (workspace)
    dnnl_memory_t own;    // as the operation wants it; the same as plain if that will do
    dnnl_primitive_t way; // reorder; NULL: none is needed
    bool output;
};

struct op {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    struct argument args[OP_ARGS_MAX];
    size_t count;
};

static void op_make(struct op *op, const_dnnl_op_desc_t d, const_dnnl_primitive_desc_t hint)
{
    DNNL(dnnl_primitive_desc_create(&op->desc, d, NULL, engine(), hint));
    DNNL(dnnl_primitive_create(&op->primitive, op->desc));
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *md, void *at)
{
    dnnl_memory_t m;
    DNNL(dnnl_memory_create(&m, md, engine(), at));
    return m;
}

static dnnl_primitive_t way_between(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t p;
    DNNL(dnnl_reorder_primitive_desc_create(&desc, from, engine(), to, engine(), NULL));
    DNNL(dnnl_primitive_create(&p, desc));
    DNNL(dnnl_primitive_desc_destroy(desc));
    return p;
}

// The operation's argument `name` comes from, or goes to, the caller's memory of layout `plain`.
static void op_arg(struct op *op, int name, const dnnl_memory_desc_t *plain, bool output)
{
    const dnnl_memory_desc_t *own =
        dnnl_primitive_desc_query_md(op->desc, dnnl_query_exec_arg_md, name);
    CHECK(own && op->count < OP_ARGS_MAX);
    struct argument *a = &op->args[op->count++];
    *a = (struct argument){.name = name, .output = output};
    a->plain = memory_of(plain, DNNL_MEMORY_NONE);
    a->own = a->plain;
    if (!dnnl_memory_desc_equal(plain, own)) {
        a->own = memory_of(own, DNNL_MEMORY_ALLOCATE);
        a->way = output ? way_between(own, plain) : way_between(plain, own);
    }
}

// Memory that only oneDNN reads, shared by a forward and its backward.
static void op_share(struct op *op, int name, dnnl_memory_t m)
{
    CHECK(op->count < OP_ARGS_MAX);
    op->args[op->count++] = (struct argument){.name = name, .own = m};
}

static void reorder(dnnl_primitive_t way, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    DNNL(dnnl_primitive_execute(way, stream(), 2, args));
}

// Runs it over the caller's memory, in the order in which the arguments were declared.
static void op_run(struct op *op, void *const *at)
{
    dnnl_exec_arg_t args[OP_ARGS_MAX];
    for (size_t i = 0, k = 0; i < op->count; i++) {
        struct argument *a = &op->args[i];
        if (a->plain)
            DNNL(dnnl_memory_set_data_handle(a->plain, at[k++]));
        if (a->way && !a->output)
            reorder(a->way, a->plain, a->own);
        args[i] = (dnnl_exec_arg_t){a->name, a->own};
    }
    DNNL(dnnl_primitive_execute(op->primitive, stream(), (int)op->count, args));
    for (size_t i = 0; i < op->count; i++)
        if (op->args[i].way && op->args[i].output)
            reorder(op->args[i].way, op->args[i].own, op->args[i].plain);
    DNNL(dnnl_stream_wait(stream()));
}

static void op_fini(struct op *op)
{
    if (!op->primitive)
        return;
    for (size_t i = 0; i < op->count; i++) {
        struct argument *a = &op->args[i];
        if (a->way) {
            dnnl_primitive_destroy(a->way);
            dnnl_memory_destroy(a->own);
        }
        if (a->plain)
            dnnl_memory_destroy(a->plain);
    }
    dnnl_primitive_destroy(op->primitive);
    dnnl_primitive_desc_destroy(op->desc);
}

static dnnl_memory_desc_t layout(int dims_count, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    DNNL(dnnl_memory_desc_init_by_tag(&md, dims_count, dims, dnnl_f32, tag));
    return md;
}

#define DIM(v) ((dnnl_dim_t)(v))

// ---- convolution ----

struct onednn_conv {
    struct op forward, backward_data, backward_weights;
};

struct conv_layouts {
    dnnl_memory_desc_t x, y, weight, bias, any_weight;
};

static void conv_make_data(struct onednn_conv *c, const struct conv_layouts *l,
                           const dnnl_dims_t stride, const dnnl_dims_t pad)
{
    dnnl_convolution_desc_t d;
    DNNL(dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &l->x,
                                                  &l->any_weight, &l->y, stride, pad, pad));
    op_make(&c->backward_data, &d, c->forward.desc);
    op_arg(&c->backward_data, DNNL_ARG_WEIGHTS, &l->weight, false);
    op_arg(&c->backward_data, DNNL_ARG_DIFF_DST, &l->y, false);
    op_arg(&c->backward_data, DNNL_ARG_DIFF_SRC, &l->x, true);
}

static void conv_make_weights(struct onednn_conv *c, const struct conv_layouts *l,
                              const dnnl_dims_t stride, const dnnl_dims_t pad)
{
    dnnl_convolution_desc_t d;
    DNNL(dnnl_convolution_backward_weights_desc_init(
        &d, dnnl_convolution_direct, &l->x, &l->any_weight, &l->bias, &l->y, stride, pad, pad));
    op_make(&c->backward_weights, &d, c->forward.desc);
    op_arg(&c->backward_weights, DNNL_ARG_SRC, &l->x, false);
    op_arg(&c->backward_weights, DNNL_ARG_DIFF_DST, &l->y, false);
    op_arg(&c->backward_weights, DNNL_ARG_DIFF_WEIGHTS, &l->weight, true);
    op_arg(&c->backward_weights, DNNL_ARG_DIFF_BIAS, &l->bias, true);
}

struct onednn_conv *onednn_conv_new(size_t n, size_t height, size_t width, size_t in, size_t out,
                                    size_t kernel)
{
    struct onednn_conv *c = xcalloc(1, sizeof *c);
    dnnl_dims_t x = {DIM(n), DIM(in), DIM(height), DIM(width)};
    dnnl_dims_t y = {DIM(n), DIM(out), DIM(height), DIM(width)};
    dnnl_dims_t weight = {DIM(out), DIM(in), DIM(kernel), DIM(kernel)}, bias = {DIM(out)};
    dnnl_dims_t stride = {1, 1}, pad = {DIM(kernel / 2), DIM(kernel / 2)};
    struct conv_layouts l = {
        .x = layout(4, x, dnnl_nhwc),
        .y = layout(4, y, dnnl_nhwc),
        .weight = layout(4, weight, dnnl_oihw),
        .any_weight = layout(4, weight, dnnl_format_tag_any),
        .bias = layout(1, bias, dnnl_x),
    };
    dnnl_convolution_desc_t d;
    DNNL(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct,
                                            &l.x, &l.any_weight, &l.bias, &l.y, stride, pad, pad));
    op_make(&c->forward, &d, NULL);
    op_arg(&c->forward, DNNL_ARG_SRC, &l.x, false);
    op_arg(&c->forward, DNNL_ARG_WEIGHTS, &l.weight, false);
    op_arg(&c->forward, DNNL_ARG_BIAS, &l.bias, false);
    op_arg(&c->forward, DNNL_ARG_DST, &l.y, true);
    conv_make_data(c, &l, stride, pad);
    conv_make_weights(c, &l, stride, pad);
    return c;
}

void onednn_conv_free(struct onednn_conv *c)
{
    if (!c)
        return;
    op_fini(&c->backward_weights);
    op_fini(&c->backward_data);
    op_fini(&c->forward);
    free(c);
}

void onednn_conv_forward(struct onednn_conv *c, const float *x, const float *weight,
                         const float *bias, float *y)
{
    op_run(&c->forward, (void *[]){(void *)x, (void *)weight, (void *)bias, y});
}

void onednn_conv_backward(struct onednn_conv *c, const float *x, const float *weight,
                          const float *gy, float *gx, float *gweight, float *gbias)
{
    op_run(&c->backward_weights, (void *[]){(void *)x, (void *)gy, gweight, gbias});
    if (gx)
        op_run(&c->backward_data, (void *[]){(void *)weight, (void *)gy, gx});
}

// ---- pooling ----

struct onednn_pool {
    struct op forward, backward;
    dnnl_memory_t workspace;
};

struct onednn_pool *onednn_pool_new(size_t n, size_t height, size_t width, size_t channels,
                                    size_t size)
{
    struct onednn_pool *p = xcalloc(1, sizeof *p);
    dnnl_dims_t x = {DIM(n), DIM(channels), DIM(height), DIM(width)};
    dnnl_dims_t y = {DIM(n), DIM(channels), DIM(height / size), DIM(width / size)};
    dnnl_dims_t step = {DIM(size), DIM(size)}, none = {0, 0};
    dnnl_memory_desc_t x_md = layout(4, x, dnnl_nhwc), y_md = layout(4, y, dnnl_nhwc);
    dnnl_pooling_desc_t d;
    DNNL(dnnl_pooling_forward_desc_init(&d, dnnl_forward_training, dnnl_pooling_max, &x_md, &y_md,
                                        step, step, none, none));
    op_make(&p->forward, &d, NULL);
    p->workspace =
        memory_of(dnnl_primitive_desc_query_md(p->forward.desc, dnnl_query_workspace_md, 0),
                  DNNL_MEMORY_ALLOCATE);
    op_arg(&p->forward, DNNL_ARG_SRC, &x_md, false);
    op_arg(&p->forward, DNNL_ARG_DST, &y_md, true);
    op_share(&p->forward, DNNL_ARG_WORKSPACE, p->workspace);
    DNNL(dnnl_pooling_backward_desc_init(&d, dnnl_pooling_max, &x_md, &y_md, step, step, none,
                                         none));
    op_make(&p->backward, &d, p->forward.desc);
    op_arg(&p->backward, DNNL_ARG_DIFF_DST, &y_md, false);
    op_arg(&p->backward, DNNL_ARG_DIFF_SRC, &x_md, true);
    op_share(&p->backward, DNNL_ARG_WORKSPACE, p->workspace);
    return p;
}

void onednn_pool_free(struct onednn_pool *p)
{
    if (!p)
        return;
    op_fini(&p->backward);
    op_fini(&p->forward);
    dnnl_memory_destroy(p->workspace);
    free(p);
}

void onednn_pool_forward(struct onednn_pool *p, const float *x, float *y)
{
    op_run(&p->forward, (void *[]){(void *)x, y});
}

void onednn_pool_backward(struct onednn_pool *p, const float *gy, float *gx)
{
    op_run(&p->backward, (void *[]){(void *)gy, gx});
}

// ---- LSTM ----

struct onednn_lstm {
    struct op forward, backward;
    dnnl_memory_t workspace;
    // The state before the first step, zeros, and the gradients of it, which nobody wants: without
    // them oneDNN 2.6 gets the gradient of the recurrent weights wrong.
    dnnl_memory_t h, c, grad_h, grad_c;
    size_t params_x, params_h, params_b; // elements
};

struct lstm_layouts {
    dnnl_memory_desc_t x, y, state, wx, wh, bias, any_wx, any_wh;
};

static void lstm_make_forward(struct onednn_lstm *l, const struct lstm_layouts *m)
{
    dnnl_rnn_desc_t d;
    DNNL(dnnl_lstm_forward_desc_init(&d, dnnl_forward_training, dnnl_unidirectional_left2right,
                                     &m->x, &m->state, &m->state, &m->any_wx, &m->any_wh, &m->bias,
                                     &m->y, NULL, NULL, 0));
    op_make(&l->forward, &d, NULL);
    l->workspace =
        memory_of(dnnl_primitive_desc_query_md(l->forward.desc, dnnl_query_workspace_md, 0),
                  DNNL_MEMORY_ALLOCATE);
    op_arg(&l->forward, DNNL_ARG_SRC_LAYER, &m->x, false);
    op_arg(&l->forward, DNNL_ARG_WEIGHTS_LAYER, &m->wx, false);
    op_arg(&l->forward, DNNL_ARG_WEIGHTS_ITER, &m->wh, false);
    op_arg(&l->forward, DNNL_ARG_BIAS, &m->bias, false);
    op_arg(&l->forward, DNNL_ARG_DST_LAYER, &m->y, true);
    op_share(&l->forward, DNNL_ARG_SRC_ITER, l->h);
    op_share(&l->forward, DNNL_ARG_SRC_ITER_C, l->c);
    op_share(&l->forward, DNNL_ARG_WORKSPACE, l->workspace);
}

static void lstm_make_backward(struct onednn_lstm *l, const struct lstm_layouts *m)
{
    dnnl_rnn_desc_t d;
    DNNL(dnnl_lstm_backward_desc_init(&d, dnnl_backward, dnnl_unidirectional_left2right, &m->x,
                                      &m->state, &m->state, &m->any_wx, &m->any_wh, &m->bias, &m->y,
                                      NULL, NULL, &m->x, &m->state, &m->state, &m->wx, &m->wh,
                                      &m->bias, &m->y, NULL, NULL, 0));
    op_make(&l->backward, &d, l->forward.desc);
    op_arg(&l->backward, DNNL_ARG_SRC_LAYER, &m->x, false);
    op_arg(&l->backward, DNNL_ARG_WEIGHTS_LAYER, &m->wx, false);
    op_arg(&l->backward, DNNL_ARG_WEIGHTS_ITER, &m->wh, false);
    op_arg(&l->backward, DNNL_ARG_BIAS, &m->bias, false);
    op_arg(&l->backward, DNNL_ARG_DST_LAYER, &m->y, false);
    op_arg(&l->backward, DNNL_ARG_DIFF_DST_LAYER, &m->y, false);
    op_arg(&l->backward, DNNL_ARG_DIFF_SRC_LAYER, &m->x, true);
    op_arg(&l->backward, DNNL_ARG_DIFF_WEIGHTS_LAYER, &m->wx, true);
    op_arg(&l->backward, DNNL_ARG_DIFF_WEIGHTS_ITER, &m->wh, true);
    op_arg(&l->backward, DNNL_ARG_DIFF_BIAS, &m->bias, true);
    op_share(&l->backward, DNNL_ARG_SRC_ITER, l->h);
    op_share(&l->backward, DNNL_ARG_SRC_ITER_C, l->c);
    op_share(&l->backward, DNNL_ARG_DIFF_SRC_ITER, l->grad_h);
    op_share(&l->backward, DNNL_ARG_DIFF_SRC_ITER_C, l->grad_c);
    op_share(&l->backward, DNNL_ARG_WORKSPACE, l->workspace);
}

static dnnl_memory_t zeros(const dnnl_memory_desc_t *md)
{
    void *at;
    dnnl_memory_t m = memory_of(md, DNNL_MEMORY_ALLOCATE);
    DNNL(dnnl_memory_get_data_handle(m, &at));
    memset(at, 0, dnnl_memory_desc_get_size(md));
    return m;
}

struct onednn_lstm *onednn_lstm_new(size_t time, size_t n, size_t in, size_t hidden)
{
    struct onednn_lstm *l = xcalloc(1, sizeof *l);
    dnnl_dims_t x = {DIM(time), DIM(n), DIM(in)}, y = {DIM(time), DIM(n), DIM(hidden)};
    dnnl_dims_t wx = {1, 1, DIM(in), 4, DIM(hidden)}, wh = {1, 1, DIM(hidden), 4, DIM(hidden)};
    dnnl_dims_t bias = {1, 1, 4, DIM(hidden)}, state = {1, 1, DIM(n), DIM(hidden)};
    struct lstm_layouts m = {
        .x = layout(3, x, dnnl_tnc),
        .y = layout(3, y, dnnl_tnc),
        .state = layout(4, state, dnnl_ldnc),
        .wx = layout(5, wx, dnnl_ldigo),
        .wh = layout(5, wh, dnnl_ldigo),
        .any_wx = layout(5, wx, dnnl_format_tag_any),
        .any_wh = layout(5, wh, dnnl_format_tag_any),
        .bias = layout(4, bias, dnnl_ldgo),
    };
    l->params_x = in * 4 * hidden;
    l->params_h = hidden * 4 * hidden;
    l->params_b = 4 * hidden;
    l->h = zeros(&m.state);
    l->c = zeros(&m.state);
    l->grad_h = zeros(&m.state);
    l->grad_c = zeros(&m.state);
    lstm_make_forward(l, &m);
    lstm_make_backward(l, &m);
    return l;
}

void onednn_lstm_free(struct onednn_lstm *l)
{
    if (!l)
        return;
    op_fini(&l->backward);
    op_fini(&l->forward);
    dnnl_memory_destroy(l->h);
    dnnl_memory_destroy(l->c);
    dnnl_memory_destroy(l->grad_h);
    dnnl_memory_destroy(l->grad_c);
    dnnl_memory_destroy(l->workspace);
    free(l);
}

void onednn_lstm_forward(struct onednn_lstm *l, const float *x, const float *wx, const float *wh,
                         const float *bias, float *y)
{
    op_run(&l->forward, (void *[]){(void *)x, (void *)wx, (void *)wh, (void *)bias, y});
}

void onednn_lstm_backward(struct onednn_lstm *l, const float *x, const float *wx, const float *wh,
                          const float *bias, const float *y, const float *gy, float *gx, float *gwx,
                          float *gwh, float *gbias)
{
    // oneDNN adds to the gradients of the parameters.
    memset(gwx, 0, l->params_x * sizeof *gwx);
    memset(gwh, 0, l->params_h * sizeof *gwh);
    memset(gbias, 0, l->params_b * sizeof *gbias);
    op_run(&l->backward, (void *[]){(void *)x, (void *)wx, (void *)wh, (void *)bias, (void *)y,
                                    (void *)gy, gx, gwx, gwh, gbias});
}
