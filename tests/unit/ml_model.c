// Model files: what is written is read back, damage and strangers are named; and the directory of a
// checkpoint is fenced by attempt.
#include "common/alloc.h"
#include "kernels/keeper.h"
#include "kernels/model.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/muster-model-XXXXXX";
static char *path;

static int setup(void **state)
{
    (void)state;
    if (temp_dir_make(dir))
        return -1;
    path = xasprintf("%s/model.safetensors", dir);
    unsetenv("MUSTER_ATTEMPT");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(path);
    return temp_dir_remove(dir);
}

// ---- a small training ----

struct training {
    struct corpus corpus;
    struct network *net;
    struct optimiser optimiser;
    struct progress progress;
};

static struct training make(const char *recipe, uint64_t seed)
{
    struct training t = {.corpus = {.classes = 3, .mean = 72.94f, .deviation = 90.02f},
                         .progress = {.step = 17, .batch = 64, .seed = 5}};
    const struct shape input = {.height = 6, .width = 5, .channels = 1};
    struct err err;
    if (network_new(recipe, input, 3, 4, 0, &t.net, &err))
        fail_msg("%s", err.message);
    network_init(t.net, seed);
    optimiser_init(&t.optimiser, OPTIMISER_ADAM, network_params_count(t.net), 0, 0);
    t.optimiser.step = 17;
    for (size_t i = 0; i < t.optimiser.count; i++) {
        t.optimiser.m[i] = (float)i * 0.5f;
        t.optimiser.v[i] = (float)i * 0.25f;
    }
    return t;
}

static void release(struct training *t)
{
    network_free(t->net);
    optimiser_fini(&t->optimiser);
    corpus_free(&t->corpus);
}

static void write_training(struct training *t)
{
    struct safetensors s;
    struct err err;
    model_pack(t->net, &t->corpus, &t->optimiser, &t->progress, &s);
    if (safetensors_write(path, &s, &err))
        fail_msg("%s", err.message);
    safetensors_free(&s);
}

static const char RECIPE[] = "conv:2:3 relu maxpool:2 dense:classes";

// ---- the file ----

static void a_checkpoint_brings_everything_back(void **state)
{
    (void)state;
    struct training a = make(RECIPE, 1), b = make(RECIPE, 2);
    struct safetensors s;
    struct shape input;
    const char *recipe;
    struct err err;
    size_t bytes = network_params_count(a.net) * sizeof(float);
    write_training(&a);
    write_training(&a); // over an older one
    assert_int_equal(safetensors_read(path, &s, &err), 0);
    struct corpus c = {0};
    assert_int_equal(model_corpus(&s, path, &c, &input, &recipe, &err), 0);
    assert_string_equal(recipe, RECIPE);
    assert_int_equal(c.classes, 3);
    assert_true(c.mean == a.corpus.mean && c.deviation == a.corpus.deviation); // exactly
    assert_int_equal(input.height, 6);
    assert_int_equal(input.width, 5);
    b.progress.step = 0;
    b.optimiser.step = 0;
    memset(b.optimiser.m, 0, bytes);
    memset(b.optimiser.v, 0, bytes);
    assert_int_equal(model_restore(&s, path, b.net, &err), 0);
    assert_int_equal(model_resume(&s, path, &b.corpus, &b.optimiser, &b.progress, &err), 0);
    assert_memory_equal(network_params(a.net), network_params(b.net), bytes);
    assert_memory_equal(a.optimiser.m, b.optimiser.m, bytes);
    assert_memory_equal(a.optimiser.v, b.optimiser.v, bytes);
    assert_int_equal(b.optimiser.step, 17);
    assert_int_equal(b.progress.step, 17);
    safetensors_free(&s);
    release(&a);
    release(&b);
}

// Whatever precedes the numbers in the file.
static void numbers_need_no_alignment(void **state)
{
    (void)state;
    struct safetensors s = {0}, back;
    struct err err;
    const float want[] = {1.5f, -2};
    safetensors_add(&s, "bytes", SAFETENSOR_U8, 1, (size_t[]){3}, "abc");
    safetensors_add(&s, "numbers", SAFETENSOR_F32, 1, (size_t[]){2}, want);
    assert_int_equal(safetensors_write(path, &s, &err), 0);
    if (safetensors_read(path, &back, &err))
        fail_msg("%s", err.message);
    assert_memory_equal(safetensors_find(&back, "numbers")->data, want, sizeof want);
    safetensors_free(&back);
    safetensors_free(&s);
}

static void words_come_after_the_numbers(void **state)
{
    (void)state;
    struct training a = make(RECIPE, 1);
    struct safetensors s;
    a.corpus.names.names = xcalloc(1, sizeof *a.corpus.names.names);
    a.corpus.names.names[a.corpus.names.count++][0] = 'k';
    model_pack(a.net, &a.corpus, &a.optimiser, &a.progress, &s);
    assert_string_equal(s.list[s.count - 1].name, "class_names");
    safetensors_free(&s);
    release(&a);
}

static void the_file_is_what_the_format_says(void **state)
{
    (void)state;
    struct training a = make(RECIPE, 1);
    unsigned char length[8];
    write_training(&a);
    FILE *f = fopen(path, "rbe");
    assert_int_equal(fread(length, 1, 8, f), 8);
    size_t len = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16;
    assert_int_equal(len % 8, 0);
    AUTO_FREE char *header = xcalloc(1, len + 1);
    assert_int_equal(fread(header, 1, len, f), len);
    json_t *all = json_loads(header, 0, NULL), *one, *offsets;
    assert_non_null(all);
    const char *name;
    size_t tensors = 0, sum = 0, end = 0;
    json_object_foreach(all, name, one)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        assert_string_equal(json_string_value(json_object_get(one, "dtype")), "F32");
        offsets = json_object_get(one, "data_offsets");
        size_t from = (size_t)json_integer_value(json_array_get(offsets, 0));
        size_t to = (size_t)json_integer_value(json_array_get(offsets, 1));
        sum += to - from;
        end = to > end ? to : end;
        tensors++;
    }
    assert_int_equal(tensors, 6); // two layers' weights and biases, the optimiser's m and v
    assert_int_equal(sum, end);   // without a gap
    assert_int_equal(sum, 3 * network_params_count(a.net) * sizeof(float));
    one = json_object_get(all, "layers.0.weight");
    AUTO_FREE char *shape = json_dumps(json_object_get(one, "shape"), JSON_COMPACT);
    assert_string_equal(shape, "[2,1,3,3]");
    fseek(f, 0, SEEK_END);
    assert_int_equal((size_t)ftell(f), 8 + len + sum);
    fclose(f);
    json_decref(all);
    release(&a);
}

static void a_file_cut_or_flipped_is_no_model(void **state)
{
    (void)state;
    struct training a = make(RECIPE, 1);
    struct err err;
    static char bytes[1 << 16];
    write_training(&a);
    FILE *f = fopen(path, "rbe");
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t cut = 0; cut < len; cut += cut < 600 ? 1 : 37) {
        struct safetensors s;
        f = fopen(path, "wbe");
        fwrite(bytes, 1, cut, f);
        fclose(f);
        assert_int_equal(safetensors_read(path, &s, &err), E_CORRUPT);
        assert_non_null(strstr(err.message, path));
    }
    for (size_t at = 0; at < 700; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            struct safetensors s;
            struct corpus c = {0};
            struct shape input;
            const char *recipe;
            bytes[at] ^= (char)(1 << bit);
            f = fopen(path, "wbe");
            fwrite(bytes, 1, len, f);
            fclose(f);
            bytes[at] ^= (char)(1 << bit);
            if (safetensors_read(path, &s, &err)) // refused, or something that can be looked at
                continue;
            if (model_corpus(&s, path, &c, &input, &recipe, &err) == 0)
                model_restore(&s, path, a.net, &err);
            corpus_free(&c);
            safetensors_free(&s);
        }
    release(&a);
}

static void refuse(struct training *t, const char *words)
{
    struct safetensors s;
    struct err err;
    assert_int_equal(safetensors_read(path, &s, &err), 0);
    int rc = model_restore(&s, path, t->net, &err);
    if (rc == 0)
        rc = model_resume(&s, path, &t->corpus, &t->optimiser, &t->progress, &err);
    assert_int_equal(rc, E_INVALID);
    if (!strstr(err.message, words))
        fail_msg("%s", err.message);
    safetensors_free(&s);
}

static void a_checkpoint_of_another_training_is_named(void **state)
{
    (void)state;
    struct training a = make(RECIPE, 1), wide = make("conv:3:3 relu maxpool:2 dense:classes", 1),
                    other = make("dense:classes", 1), same = make(RECIPE, 2),
                    curved = make("conv:2:3 tanh maxpool:2 dense:classes", 1),
                    spelt = make("conv:2:3,relu,maxpool:2,dense:3", 1);
    write_training(&a);
    refuse(&wide, "tensor \"layers.0.weight\" is [2][1][3][3] there, [3][1][3][3] here");
    refuse(&other, "tensor \"layers.0.weight\" is [2][1][3][3] there, [3][30] here");
    refuse(&curved, "its layers are \"conv:2:3 relu maxpool:2 dense:classes\"");
    spelt.progress.batch = 32; // the first that differs
    refuse(&spelt, "--batch 64, this one has 32");
    same.progress.batch = 32;
    refuse(&same, "--batch 64, this one has 32");
    same.progress.batch = 64;
    same.progress.seed = 6;
    refuse(&same, "--seed 5, this one has 6");
    same.progress.seed = 5;
    same.optimiser.kind = OPTIMISER_SGD;
    refuse(&same, "--optimizer adam");
    same.optimiser.kind = OPTIMISER_ADAM;
    same.corpus.train.sum++;
    refuse(&same, "other training data");
    release(&a);
    release(&wide);
    release(&other);
    release(&same);
    release(&curved);
    release(&spelt);
}

static void what_cannot_be_written_leaves_the_old_one(void **state)
{
    (void)state;
    struct safetensors s = {0};
    struct err err;
    float one = 1;
    safetensors_add(&s, "x", SAFETENSOR_F32, 1, (size_t[]){1}, &one);
    assert_int_equal(safetensors_write(path, &s, &err), 0);
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    assert_int_equal(symlink("/dev/full", temp), 0);
    one = 2;
    assert_int_equal(safetensors_write(path, &s, &err), E_NO_SPACE);
    assert_int_equal(access(temp, F_OK), -1);
    struct safetensors old;
    assert_int_equal(safetensors_read(path, &old, &err), 0);
    assert_true(*(const float *)safetensors_find(&old, "x")->data == 1);
    safetensors_free(&old);
    assert_int_equal(safetensors_write("/nowhere/x", &s, &err), E_IO);
    assert_non_null(strstr(err.message, "/nowhere/x"));
    safetensors_free(&s);
}

// ---- the directory ----

static void as_attempt(const char *job, int number)
{
    AUTO_FREE char *token = xasprintf("00000000000000aa-%s-%d", job, number);
    setenv("MUSTER_ATTEMPT", token, 1);
}

static int save(struct keeper *k, float value, int64_t step)
{
    struct safetensors s = {0};
    struct err err;
    safetensors_add(&s, "x", SAFETENSOR_F32, 1, (size_t[]){1}, &value);
    int rc = keeper_save(k, &s, step, &err);
    safetensors_free(&s);
    return rc;
}

static float saved(const struct keeper *k)
{
    struct safetensors s;
    struct err err;
    assert_int_equal(safetensors_read(k->path, &s, &err), 0);
    float value = *(const float *)safetensors_find(&s, "x")->data;
    safetensors_free(&s);
    return value;
}

static void the_next_attempt_fences_the_last(void **state)
{
    (void)state;
    AUTO_FREE char *where = xasprintf("%s/run", dir);
    struct keeper first, second, stale;
    struct err err;
    as_attempt("0000000000000001", 1);
    assert_int_equal(keeper_open(&first, where, false, &err), 0);
    assert_false(first.there);
    assert_int_equal(save(&first, 1, 100), 0);
    as_attempt("0000000000000001", 2);
    assert_int_equal(keeper_open(&second, where, false, &err), 0); // its own job's: no --resume
    assert_true(second.there && second.ours);
    assert_int_equal(save(&first, 7, 200), E_REFUSED); // before the second has written anything
    assert_true(saved(&second) == 1);
    assert_int_equal(save(&second, 2, 150), 0);
    assert_true(saved(&second) == 2);
    as_attempt("0000000000000001", 1);
    assert_int_equal(keeper_open(&stale, where, false, &err), E_REFUSED);
    assert_non_null(strstr(err.message, "attempt 2 of this job"));
    keeper_close(&first);
    keeper_close(&second);
    keeper_close(&stale);
}

static void another_training_is_taken_over_on_request_only(void **state)
{
    (void)state;
    AUTO_FREE char *where = xasprintf("%s/run", dir);
    struct keeper a, b;
    struct err err;
    assert_int_equal(keeper_open(&a, where, false, &err), 0); // outside of a job
    assert_int_equal(save(&a, 1, 10), 0);
    as_attempt("0000000000000002", 1);
    assert_int_equal(keeper_open(&b, where, false, &err), E_EXISTS);
    assert_non_null(strstr(err.message, "--resume"));
    keeper_close(&b);
    assert_int_equal(save(&a, 2, 20), 0); // it is not fenced by that
    assert_int_equal(keeper_open(&b, where, true, &err), 0);
    assert_true(b.there && !b.ours);
    assert_int_equal(save(&a, 3, 30), E_REFUSED);
    assert_int_equal(save(&b, 4, 20),
                     0); // a step that another host has written is not written again
    assert_true(saved(&b) == 2);
    assert_int_equal(save(&b, 5, 25), 0);
    assert_true(saved(&b) == 5);
    keeper_close(&a);
    keeper_close(&b);
}

static void of_two_trainings_without_a_job_the_last_has_it(void **state)
{
    (void)state;
    AUTO_FREE char *where = xasprintf("%s/run", dir);
    struct keeper first, last, beside;
    struct err err;
    unsetenv("PMIX_NAMESPACE");
    assert_int_equal(keeper_open(&first, where, false, &err), 0);
    assert_int_equal(save(&first, 1, 10), 0);
    setenv("PMIX_NAMESPACE", "of another mpirun", 1);
    assert_int_equal(keeper_open(&last, where, true, &err), 0);
    assert_int_equal(keeper_open(&beside, where, true, &err), 0); // on another host
    assert_int_equal(save(&first, 2, 20), E_REFUSED);
    assert_int_equal(save(&last, 3, 30), 0);
    assert_int_equal(save(&beside, 4, 40), 0);
    assert_true(saved(&last) == 4);
    keeper_close(&first);
    keeper_close(&last);
    keeper_close(&beside);
    unsetenv("PMIX_NAMESPACE");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_checkpoint_brings_everything_back),
        STORY(numbers_need_no_alignment),
        STORY(words_come_after_the_numbers),
        STORY(the_file_is_what_the_format_says),
        STORY(a_file_cut_or_flipped_is_no_model),
        STORY(a_checkpoint_of_another_training_is_named),
        STORY(what_cannot_be_written_leaves_the_old_one),
        STORY(the_next_attempt_fences_the_last),
        STORY(another_training_is_taken_over_on_request_only),
        STORY(of_two_trainings_without_a_job_the_last_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
