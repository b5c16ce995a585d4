#include "kernels/model.h"

#include "common/alloc.h"
#include "common/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "muster-ml 1"

static const char *optimiser_word(enum optimiser_kind k)
{
    return k == OPTIMISER_SGD ? "sgd" : "adam";
}

// ---- packing ----

static void pack_input(struct network *net, struct corpus *c, struct safetensors *s)
{
    struct shape in = network_input(net);
    safetensors_meta(s, "format", FORMAT);
    safetensors_meta(s, "layers", "%s", network_recipe(net));
    safetensors_meta(s, "classes", "%zu", c->classes);
    if (!c->texts) {
        safetensors_meta(s, "input", "image %zu %zu", in.height, in.width);
        safetensors_meta(s, "mean", "%.9g", (double)c->mean);
        safetensors_meta(s, "deviation", "%.9g", (double)c->deviation);
        return;
    }
    safetensors_meta(s, "input", "text %s %zu", c->vocabulary.words ? "word" : "char", c->time_max);
}

// Token texts and class names live in the file's own memory.
static void pack_words(struct corpus *c, struct safetensors *s)
{
    struct text tokens = {0}, all = {0};
    vocabulary_text(&c->vocabulary, &tokens);
    for (size_t i = 0; i < c->names.count; i++)
        text_addf(&all, "%s\n", c->names.names[i]);
    size_t sizes[] = {tokens.len, all.len};
    text_add_bytes(&tokens, text_str(&all), all.len);
    text_free(&all);
    s->owned = text_take(&tokens);
    if (sizes[0])
        safetensors_add(s, "vocabulary", SAFETENSOR_U8, 1, &sizes[0], s->owned);
    if (sizes[1])
        safetensors_add(s, "class_names", SAFETENSOR_U8, 1, &sizes[1], (char *)s->owned + sizes[0]);
}

static void pack_training(const struct optimiser *o, const struct progress *p,
                          const struct corpus *c, struct safetensors *s)
{
    s->checked = true;
    safetensors_meta(s, "data", "%" PRIu32, c->train.sum);
    safetensors_meta(s, "step", "%" PRId64, p->step);
    safetensors_meta(s, "batch", "%" PRId64, p->batch);
    safetensors_meta(s, "seed", "%" PRIu64, p->seed);
    safetensors_meta(s, "optimizer", "%s", optimiser_word(o->kind));
    safetensors_meta(s, "optimizer_step", "%zu", o->step);
    safetensors_add(s, "optimizer.m", SAFETENSOR_F32, 1, &o->count, o->m);
    if (o->v)
        safetensors_add(s, "optimizer.v", SAFETENSOR_F32, 1, &o->count, o->v);
}

void model_pack(struct network *net, struct corpus *c, const struct optimiser *optimiser,
                const struct progress *p, struct safetensors *ret)
{
    struct network_tensor t;
    *ret = (struct safetensors){0};
    pack_input(net, c, ret);
    for (size_t i = 0; network_tensor(net, i, &t); i++)
        safetensors_add(ret, t.name, SAFETENSOR_F32, t.dims, t.shape,
                        network_params(net) + t.offset);
    if (optimiser)
        pack_training(optimiser, p, c, ret);
    pack_words(c, ret); // bytes last, so that the numbers are aligned
}

// ---- reading ----

static int number(const struct safetensors *s, const char *path, const char *key, int64_t min,
                  int64_t max, int64_t *ret, struct err *err)
{
    const char *value = safetensors_value(s, key);
    struct err why;
    if (!value)
        return fail(err, E_CORRUPT, "\"%s\" is no model of muster-ml: \"%s\" is missing", path,
                    key);
    if (parse_int(value, key, min, max, ret, &why))
        return fail(err, E_CORRUPT, "\"%s\" is damaged: %s", path, why.message);
    return 0;
}

static int take_names(const struct safetensors *s, struct corpus *c)
{
    const struct safetensor *t = safetensors_find(s, "class_names");
    const char *p = t ? t->data : NULL, *end = t ? p + t->bytes : NULL;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : 0;
        if (n == 0 || n > CLASS_NAME_MAX || c->names.count == CLASSES_MAX)
            return -1;
        c->names.names = xreallocarray(c->names.names, c->names.count + 1, sizeof *c->names.names);
        memset(c->names.names[c->names.count], 0, sizeof *c->names.names);
        memcpy(c->names.names[c->names.count++], p, n);
        p = stop + 1;
    }
    return 0;
}

static int take_text_input(const struct safetensors *s, const char *path, const char *input,
                           struct corpus *c, struct shape *ret, struct err *err)
{
    char kind[8];
    size_t steps;
    const struct safetensor *t = safetensors_find(s, "vocabulary");
    if (sscanf(input, "text %7s %zu", kind, &steps) != 2 || steps < BATCH_STEPS || steps > 4096 ||
        steps % BATCH_STEPS || take_names(s, c))
        return fail(err, E_CORRUPT, "\"%s\" is damaged: its input is not described", path);
    c->texts = true;
    c->time_max = steps;
    int rc = vocabulary_parse(&c->vocabulary, strcmp(kind, "word") == 0, t ? t->data : "",
                              t ? t->bytes : 0, err); // none: every token is unknown
    *ret = (struct shape){.sequence = true, .height = c->vocabulary.size, .width = 1};
    return rc;
}

static int take_image_input(const struct safetensors *s, const char *path, const char *input,
                            struct corpus *c, struct shape *ret, struct err *err)
{
    const char *mean = safetensors_value(s, "mean"), *deviation = safetensors_value(s, "deviation");
    size_t height, width;
    if (sscanf(input, "image %zu %zu", &height, &width) != 2 || height < 1 || width < 1 ||
        height > 1 << 14 || width > 1 << 14 || !mean || !deviation)
        return fail(err, E_CORRUPT, "\"%s\" is damaged: its input is not described", path);
    c->mean = strtof(mean, NULL);
    c->deviation = strtof(deviation, NULL);
    if (!(c->deviation > 0))
        return fail(err, E_CORRUPT, "\"%s\" is damaged: deviation \"%s\"", path, deviation);
    *ret = (struct shape){.height = height, .width = width, .channels = 1};
    return 0;
}

int model_corpus(const struct safetensors *s, const char *path, struct corpus *c,
                 struct shape *ret_input, const char **ret_recipe, struct err *err)
{
    const char *format = safetensors_value(s, "format"), *input = safetensors_value(s, "input");
    int64_t classes;
    *ret_recipe = safetensors_value(s, "layers");
    if (!format || !input || !*ret_recipe)
        return fail(err, E_CORRUPT, "\"%s\" is no model of muster-ml", path);
    if (strcmp(format, FORMAT) != 0)
        return fail(err, E_VERSION, "\"%s\" is a model of \"%.40s\"; this is " FORMAT, path,
                    format);
    int rc = number(s, path, "classes", 2, CLASSES_MAX, &classes, err);
    if (rc)
        return rc;
    c->classes = (size_t)classes;
    return strncmp(input, "text", 4) == 0 ? take_text_input(s, path, input, c, ret_input, err)
                                          : take_image_input(s, path, input, c, ret_input, err);
}

static void add_shape(struct text *t, size_t dims, const size_t *shape)
{
    for (size_t i = 0; i < dims; i++)
        text_addf(t, "[%zu]", shape[i]);
}

static int restore_tensor(const struct safetensors *s, const char *path, struct network *net,
                          const struct network_tensor *t, struct err *err)
{
    const struct safetensor *from = safetensors_find(s, t->name);
    if (!from)
        return fail(err, E_INVALID, "\"%s\" is of another model: it has no tensor \"%s\"", path,
                    t->name);
    if (from->type != SAFETENSOR_F32 || from->dims != t->dims ||
        memcmp(from->shape, t->shape, t->dims * sizeof *t->shape) != 0) {
        AUTO(text) struct text here = {0}, there = {0};
        add_shape(&here, t->dims, t->shape);
        add_shape(&there, from->dims, from->shape);
        return fail(err, E_INVALID,
                    "\"%s\" is of another model: tensor \"%s\" is %s there, %s here", path, t->name,
                    text_str(&there), text_str(&here));
    }
    memcpy(network_params(net) + t->offset, from->data, from->bytes);
    return 0;
}

int model_restore(const struct safetensors *s, const char *path, struct network *net,
                  struct err *err)
{
    struct network_tensor t;
    int rc = 0;
    for (size_t i = 0; rc == 0 && network_tensor(net, i, &t); i++)
        rc = restore_tensor(s, path, net, &t, err);
    const char *layers = safetensors_value(s, "layers");
    if (rc == 0 && (!layers || !network_is(net, layers)))
        rc = fail(err, E_INVALID, "\"%s\" is of another model: its layers are \"%s\"", path,
                  layers ? layers : "");
    return rc;
}

static int same_vocabulary(const struct safetensors *s, const char *path, struct corpus *c,
                           struct err *err)
{
    const struct safetensor *t = safetensors_find(s, "vocabulary");
    AUTO(text) struct text mine = {0};
    vocabulary_text(&c->vocabulary, &mine);
    size_t len = t ? t->bytes : 0;
    if (len != mine.len || (len && memcmp(t->data, mine.p, len) != 0))
        return fail(err, E_INVALID,
                    "\"%s\" was made from other training texts: its vocabulary differs", path);
    return 0;
}

static int same_data(const struct safetensors *s, const char *path, const struct corpus *c,
                     struct err *err)
{
    int64_t sum;
    int rc = number(s, path, "data", 0, UINT32_MAX, &sum, err);
    if (rc == 0 && sum != c->train.sum)
        rc = fail(err, E_INVALID, "\"%s\" was made from other training data", path);
    return rc;
}

static int take_vector(const struct safetensors *s, const char *path, const char *name, float *to,
                       size_t count, struct err *err)
{
    const struct safetensor *t = safetensors_find(s, name);
    if (!t || t->type != SAFETENSOR_F32 || t->bytes != count * sizeof *to)
        return fail(err, E_INVALID, "\"%s\" is no checkpoint of this training: \"%s\" is missing",
                    path, name);
    memcpy(to, t->data, t->bytes);
    return 0;
}

static int same_number(const struct safetensors *s, const char *path, const char *key, int64_t mine,
                       struct err *err)
{
    int64_t v;
    int rc = number(s, path, key, 0, INT64_MAX, &v, err);
    if (rc == 0 && v != mine)
        rc = fail(err, E_INVALID,
                  "\"%s\" is of a training with --%s %" PRId64 ", this one has %" PRId64, path, key,
                  v, mine);
    return rc;
}

int model_resume(const struct safetensors *s, const char *path, struct corpus *c,
                 struct optimiser *optimiser, struct progress *inout, struct err *err)
{
    const char *kind = safetensors_value(s, "optimizer");
    int64_t steps;
    if (!kind || strcmp(kind, optimiser_word(optimiser->kind)) != 0)
        return fail(err, E_INVALID, "\"%s\" is of a training with --optimizer %s", path,
                    kind ? kind : "(none)");
    int rc = same_number(s, path, "seed", (int64_t)inout->seed, err);
    if (rc == 0)
        rc = same_number(s, path, "batch", inout->batch, err);
    if (rc == 0)
        rc = same_vocabulary(s, path, c, err);
    if (rc == 0)
        rc = same_data(s, path, c, err);
    if (rc == 0)
        rc = number(s, path, "step", 0, INT64_MAX, &inout->step, err);
    if (rc == 0)
        rc = number(s, path, "optimizer_step", 0, INT64_MAX, &steps, err);
    if (rc == 0)
        rc = take_vector(s, path, "optimizer.m", optimiser->m, optimiser->count, err);
    if (rc == 0 && optimiser->v)
        rc = take_vector(s, path, "optimizer.v", optimiser->v, optimiser->count, err);
    if (rc == 0)
        optimiser->step = (size_t)steps;
    return rc;
}
