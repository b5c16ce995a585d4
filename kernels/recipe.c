#include "kernels/recipe.h"

#include "common/alloc.h"
#include "common/units.h"
#include "kernels/network.h"

#include <string.h>

enum { NUMBER_MAX = 1 << 20 };

static const struct layer_kind *const kinds[] = {
    &layer_dense,   &layer_relu,      &layer_sigmoid, &layer_tanh, &layer_conv,
    &layer_maxpool, &layer_embedding, &layer_lstm,    &layer_last, &layer_max,
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct {
    const char *name, *recipe;
} presets[] = {
    {"mlp", "dense:128 relu dense:classes"},
    {"cnn", "conv:16:3 relu maxpool:2 conv:32:3 relu maxpool:2 dense:128 relu dense:classes"},
    {"lstm", "embedding:128 lstm:128 max dense:classes"},
};

const char *network_preset(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].name, name) == 0)
            return presets[i].recipe;
    return NULL;
}

void network_help(struct text *ret)
{
    for (size_t i = 0; i < KINDS; i++)
        text_addf(ret, "  %s\n", kinds[i]->help);
}

static const struct layer_kind *find(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

static int unknown(const char *word, size_t number, struct err *err)
{
    AUTO(text) struct text known = {0};
    for (size_t i = 0; i < KINDS; i++)
        text_addf(&known, "%s%s", i ? ", " : "", kinds[i]->name);
    return fail(err, E_INVALID, "layer %zu: there is no layer \"%s\". There are %s.", number, word,
                text_str(&known));
}

static int take_number(const char *word, size_t classes, size_t *ret, struct err *err)
{
    int64_t v;
    if (strcmp(word, "classes") == 0) {
        *ret = classes;
        return 0;
    }
    int rc = parse_int(word, "the number", 1, NUMBER_MAX, &v, err);
    if (rc == 0)
        *ret = (size_t)v;
    return rc;
}

static int take_layer(char *word, size_t number, size_t classes, struct layer *l, struct err *err)
{
    char *rest = word, *name = strsep(&rest, ":"), *part;
    struct err why;
    size_t count = 0;
    *l = (struct layer){.kind = find(name)};
    if (!l->kind)
        return unknown(name, number, err);
    for (; (part = strsep(&rest, ":")); count++) {
        if (count == l->kind->numbers)
            break;
        if (take_number(part, classes, &l->number[count], &why))
            return fail(err, E_INVALID, "layer %zu (%s): %s", number, name, why.message);
    }
    if (count != l->kind->numbers || part)
        return fail(err, E_INVALID, "layer %zu (%s): it is written %.*s", number, name,
                    (int)strcspn(l->kind->help, " "), l->kind->help);
    return 0;
}

int recipe_parse(const char *recipe, size_t classes, size_t max, struct layer *layers,
                 size_t *ret_count, struct err *err)
{
    AUTO_FREE char *copy = xstrdup(recipe);
    char *rest = copy, *word;
    size_t count = 0;
    while ((word = strsep(&rest, " ,\n\t"))) {
        if (!*word)
            continue;
        if (count == max)
            return fail(err, E_INVALID, "more than %zu layers", max);
        int rc = take_layer(word, count + 1, classes, &layers[count], err);
        if (rc)
            return rc;
        count++;
    }
    if (!count)
        return fail(err, E_INVALID, "no layer is named");
    *ret_count = count;
    return 0;
}
