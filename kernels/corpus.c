#include "kernels/corpus.h"

#include "common/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

// DIR/NAME or DIR/NAME.gz, whichever is there (the first if neither is); the caller's to free.
static char *path_of(const char *dir, const char *name)
{
    char *packed = xasprintf("%s/%s.gz", dir, name), *plain = xasprintf("%s/%s", dir, name);
    bool is_packed = access(packed, F_OK) == 0 && access(plain, F_OK) != 0;
    free(is_packed ? plain : packed);
    return is_packed ? packed : plain;
}

static bool has(const char *dir, const char *name)
{
    AUTO_FREE char *path = path_of(dir, name);
    return access(path, F_OK) == 0;
}

// ---- images ----

static int read_images(const char *dir, const char *part, struct dataset *ret, struct err *err)
{
    AUTO_FREE char *images = xasprintf("%s-images-idx3-ubyte", part);
    AUTO_FREE char *labels = xasprintf("%s-labels-idx1-ubyte", part);
    AUTO_FREE char *images_path = path_of(dir, images), *labels_path = path_of(dir, labels);
    return idx_read(images_path, labels_path, ret, err);
}

static void measure_pixels(struct corpus *c)
{
    const struct dataset *d = &c->train;
    uint64_t sum = 0, squares = 0;
    size_t n = d->count * d->height * d->width;
    for (size_t i = 0; i < n; i++) {
        sum += d->pixels[i];
        squares += (uint64_t)d->pixels[i] * d->pixels[i];
    }
    double mean = (double)sum / (double)n;
    double variance = (double)squares / (double)n - mean * mean;
    c->mean = (float)mean;
    c->deviation = variance > 0 ? (float)sqrt(variance) : 1.0f;
}

// ---- texts ----

static void take_ids(const struct corpus *c, const struct textfile *f, struct dataset *ret)
{
    struct dataset d = {.count = f->count, .skipped = f->skipped};
    snprintf(d.first_skipped, sizeof d.first_skipped, "%s", f->first_skipped);
    size_t used = 0, cap = 0;
    d.labels = xcalloc(f->count, sizeof *d.labels);
    d.starts = xcalloc(f->count + 1, sizeof *d.starts);
    for (size_t i = 0; i < f->count; i++) {
        if (cap - used < c->time_max) {
            cap = cap * 2 + c->time_max;
            d.ids = xreallocarray(d.ids, cap, sizeof *d.ids);
        }
        used += vocabulary_ids(&c->vocabulary, f->bytes + f->lines[i].at, f->lines[i].len,
                               c->time_max, d.ids + used);
        d.starts[i + 1] = used;
        d.labels[i] = f->lines[i].label;
        if ((size_t)d.labels[i] >= d.classes)
            d.classes = (size_t)d.labels[i] + 1;
    }
    *ret = d;
}

static int read_texts(struct corpus *c, const char *dir, const char *part, bool learn,
                      size_t vocabulary_max, struct dataset *ret, struct err *err)
{
    AUTO_FREE char *path = path_of(dir, part);
    AUTO(textfile) struct textfile f = {0};
    int rc = textfile_read(path, &c->names, &f, err);
    if (rc)
        return rc;
    for (size_t i = 0; learn && i < f.count; i++)
        vocabulary_count(&c->vocabulary, f.bytes + f.lines[i].at, f.lines[i].len);
    if (learn)
        vocabulary_close(&c->vocabulary, vocabulary_max);
    take_ids(c, &f, ret);
    return 0;
}

static int read_names(struct corpus *c, const char *dir, struct err *err)
{
    AUTO_FREE char *path = path_of(dir, "class.txt");
    return access(path, F_OK) ? 0 : class_names_read(path, &c->names, err);
}

static int read_all_texts(const struct corpus_options *o, struct corpus *c, struct err *err)
{
    c->texts = true;
    c->vocabulary.words = o->words;
    c->time_max = (o->steps + BATCH_STEPS - 1) / BATCH_STEPS * BATCH_STEPS;
    int rc = read_names(c, o->dir, err);
    if (rc == 0)
        rc = read_texts(c, o->dir, "train.txt", true, o->vocabulary, &c->train, err);
    if (rc == 0)
        rc = read_texts(c, o->dir, "test.txt", false, 0, &c->test, err);
    if (rc == 0 && has(o->dir, "dev.txt"))
        rc = read_texts(c, o->dir, "dev.txt", false, 0, &c->dev, err);
    return rc;
}

static int read_all_images(const struct corpus_options *o, struct corpus *c, struct err *err)
{
    int rc = read_images(o->dir, "train", &c->train, err);
    if (rc == 0)
        rc = read_images(o->dir, "t10k", &c->test, err);
    if (rc == 0)
        measure_pixels(c);
    return rc;
}

// ---- all ----

static int check_part(const struct corpus *c, const struct dataset *d, const char *dir,
                      const char *name, struct err *err)
{
    if (d->classes > c->classes)
        return fail(err, E_CORRUPT,
                    "\"%s\": the %s labels go up to %zu, the training labels only to %zu: label "
                    "out of range",
                    dir, name, d->classes - 1, c->classes - 1);
    return 0;
}

static void sum_parts(struct corpus *c)
{
    dataset_sum(&c->train);
    dataset_sum(&c->dev);
    dataset_sum(&c->test);
}

int corpus_read(const struct corpus_options *o, struct corpus *ret, struct err *err)
{
    struct corpus *c = ret;
    *c = (struct corpus){.deviation = 1};
    int rc = has(o->dir, "train.txt") ? read_all_texts(o, c, err) : read_all_images(o, c, err);
    if (rc)
        return rc;
    c->classes = c->names.count > c->train.classes ? c->names.count : c->train.classes;
    if (c->classes < 2)
        return fail(err, E_CORRUPT, "\"%s\": every training sample has the same label", o->dir);
    if (!c->texts && (c->test.height != c->train.height || c->test.width != c->train.width))
        return fail(err, E_CORRUPT,
                    "\"%s\": training images have %zu x %zu pixels and test images %zu x %zu",
                    o->dir, c->train.height, c->train.width, c->test.height, c->test.width);
    rc = check_part(c, &c->test, o->dir, "test", err);
    if (rc == 0)
        rc = check_part(c, &c->dev, o->dir, "dev", err);
    sum_parts(c);
    return rc;
}

// The labels of a directory are numbers of its own list.
static int check_names(const struct corpus *c, const char *dir, struct err *err)
{
    struct corpus other = {0};
    int rc = read_names(&other, dir, err);
    size_t count = other.names.count;
    if (rc == 0 && count &&
        (count != c->names.count ||
         memcmp(other.names.names, c->names.names, count * sizeof *other.names.names) != 0))
        rc = fail(err, E_CORRUPT,
                  "\"%s/class.txt\" lists other classes than the model was trained with", dir);
    corpus_free(&other);
    return rc;
}

int corpus_read_test(const struct corpus_options *o, struct corpus *c, struct err *err)
{
    int rc;
    if (c->texts) {
        rc = c->names.count ? check_names(c, o->dir, err) : read_names(c, o->dir, err);
        if (rc == 0)
            rc = read_texts(c, o->dir, "test.txt", false, 0, &c->test, err);
    } else {
        rc = read_images(o->dir, "t10k", &c->test, err);
    }
    sum_parts(c);
    return rc ? rc : check_part(c, &c->test, o->dir, "test", err);
}

void corpus_free(struct corpus *c)
{
    dataset_free(&c->train);
    dataset_free(&c->dev);
    dataset_free(&c->test);
    vocabulary_free(&c->vocabulary);
    class_names_free(&c->names);
}

struct shape corpus_input(const struct corpus *c)
{
    if (c->texts)
        return (struct shape){.sequence = true, .height = c->vocabulary.size, .width = 1};
    const struct dataset *d = c->train.pixels ? &c->train : &c->test;
    return (struct shape){.height = d->height, .width = d->width, .channels = 1};
}

uint32_t corpus_sum(const struct corpus *c)
{
    uint32_t parts[] = {c->train.sum, c->dev.sum, c->test.sum, (uint32_t)c->classes};
    return (uint32_t)crc32_z(0, (const Bytef *)parts, sizeof parts);
}

const char *corpus_class(const struct corpus *c, size_t k, char number[static 24])
{
    if (k < c->names.count)
        return c->names.names[k];
    snprintf(number, 24, "%zu", k);
    return number;
}

// A label that no training sample has is more often a mistake than meant.
static void unused_labels(const struct corpus *c, struct text *ret)
{
    AUTO_FREE bool *used = xcalloc(c->classes, sizeof *used);
    size_t count = 0, first = 0;
    for (size_t i = 0; i < c->train.count; i++)
        used[c->train.labels[i]] = true;
    for (size_t k = c->classes; k-- > 0;)
        if (!used[k]) {
            count++;
            first = k;
        }
    if (count && c->train.count)
        text_addf(ret, "train: %zu of %zu classes have no sample; the first is %zu\n", count,
                  c->classes, first);
}

void corpus_remarks(const struct corpus *c, struct text *ret)
{
    const struct {
        const char *name;
        const struct dataset *d;
    } parts[] = {{"train", &c->train}, {"dev", &c->dev}, {"test", &c->test}};
    for (size_t i = 0; i < 3; i++)
        if (parts[i].d->skipped)
            text_addf(ret, "%s: %zu of %zu lines skipped; the first: %s\n", parts[i].name,
                      parts[i].d->skipped, parts[i].d->skipped + parts[i].d->count,
                      parts[i].d->first_skipped);
    unused_labels(c, ret);
}
