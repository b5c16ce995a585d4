// The data path: who sees which sample, and files that are not what they say.
#include "common/alloc.h"
#include "common/rng.h"
#include "kernels/dataset.h"
#include "kernels/shard.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

// ---- shards ----

static void an_epoch_is_a_permutation_of_seed_and_number(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t a[N], b[N];
    for (size_t n = 0; n <= N; n = n * 2 + 1) {
        bool seen[N] = {0};
        shard_permute(a, n, 7, 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(a[i] < n && !seen[a[i]]);
            seen[a[i]] = true;
        }
    }
    shard_permute(a, N, 7, 3);
    shard_permute(b, N, 7, 3);
    assert_memory_equal(a, b, sizeof a);
    shard_permute(b, N, 7, 4);
    assert_memory_not_equal(a, b, sizeof a);
    shard_permute(b, N, 8, 3);
    assert_memory_not_equal(a, b, sizeof a);
    // The same on every machine, for ever: checkpoints and resumed runs rely on it.
    uint32_t c[8];
    shard_permute(c, 8, 1, 0);
    static const uint32_t want[8] = {4, 1, 7, 5, 3, 0, 6, 2};
    assert_memory_equal(c, want, sizeof c);
}

static void every_place_is_as_likely_as_another(void **state)
{
    (void)state;
    enum { N = 10, EPOCHS = 20000 };
    int count[N][N] = {0};
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint32_t order[N];
        shard_permute(order, N, 42, epoch);
        for (int i = 0; i < N; i++)
            count[i][order[i]]++;
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) // 2000 expected, deviation 42
            assert_in_range(count[i][k], 1780, 2220);
}

static void parts_follow_each_other_and_are_even(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 70; len++)
        for (size_t tasks = 1; tasks <= 20; tasks++) {
            size_t next = 0, least = SIZE_MAX, most = 0;
            for (size_t t = 0; t < tasks; t++) {
                size_t first, n;
                shard_part(len, t, tasks, &first, &n);
                assert_int_equal(first, next);
                next += n;
                least = n < least ? n : least;
                most = n > most ? n : most;
            }
            assert_int_equal(next, len);
            assert_true(most - least <= 1);
        }
    size_t first, n;
    shard_part((size_t)1 << 31, 4095, 4096, &first, &n);
    assert_int_equal(first + n, (size_t)1 << 31);
}

// The samples of each step of an epoch, as `tasks` tasks see them one after the other.
static uint32_t *steps_of(size_t count, size_t batch, size_t tasks)
{
    uint32_t *order = xcalloc(count, sizeof *order), *all = xcalloc(count, sizeof *all);
    size_t at = 0;
    for (size_t from = 0; from < count; from += batch) {
        size_t len = count - from < batch ? count - from : batch;
        for (size_t t = 0; t < tasks; t++) {
            size_t first, n;
            shard_permute(order, count, 5, 2); // each task by itself
            shard_part(len, t, tasks, &first, &n);
            for (size_t i = 0; i < n; i++)
                all[at++] = order[from + first + i];
        }
    }
    assert_int_equal(at, count);
    free(order);
    return all;
}

static void the_samples_of_a_step_do_not_depend_on_the_number_of_tasks(void **state)
{
    (void)state;
    enum { COUNT = 103, BATCH = 16 };
    AUTO_FREE uint32_t *one = steps_of(COUNT, BATCH, 1);
    bool seen[COUNT] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        assert_false(seen[one[i]]);
        seen[one[i]] = true;
    }
    for (size_t tasks = 2; tasks <= 20; tasks++) {
        AUTO_FREE uint32_t *many = steps_of(COUNT, BATCH, tasks);
        assert_memory_equal(many, one, COUNT * sizeof *one);
    }
}

// ---- IDX files ----

static char dir[] = "/tmp/muster-idx-XXXXXX";

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static void put(const char *name, const void *bytes, size_t len, bool gz)
{
    AUTO_FREE char *path = path_of(name);
    if (gz) {
        gzFile f = gzopen(path, "wb9");
        assert_non_null(f);
        assert_int_equal(gzwrite(f, bytes, (unsigned)len), len);
        assert_int_equal(gzclose(f), Z_OK);
    } else {
        FILE *f = fopen(path, "wbe");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, len, f), len);
        fclose(f);
    }
}

static uint8_t *get(const char *name, size_t *ret_len)
{
    AUTO_FREE char *path = path_of(name);
    uint8_t *bytes = xcalloc(1, 4096);
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    *ret_len = fread(bytes, 1, 4096, f);
    fclose(f);
    return bytes;
}

// Three images of 2 by 2 and their labels.
static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 9};

static int read_both(struct dataset *ret, struct err *err)
{
    AUTO_FREE char *i = path_of("images"), *l = path_of("labels");
    return idx_read(i, l, ret, err);
}

static int setup(void **state)
{
    (void)state;
    if (temp_dir_make(dir))
        return -1;
    put("images", images, sizeof images, false);
    put("labels", labels, sizeof labels, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return temp_dir_remove(dir);
}

static void expect_sample(const struct dataset *d)
{
    assert_int_equal(d->count, 3);
    assert_int_equal(d->height, 2);
    assert_int_equal(d->width, 2);
    assert_int_equal(d->classes, 10);
    assert_memory_equal(d->pixels, images + 16, 12);
    for (int i = 0; i < 3; i++)
        assert_int_equal(d->labels[i], labels[8 + i]);
}

static void plain_and_packed_files_are_read(void **state)
{
    (void)state;
    struct dataset d;
    struct err err;
    for (int i = 0; i < 4; i++) {
        put("images", images, sizeof images, i & 1);
        put("labels", labels, sizeof labels, i & 2);
        assert_int_equal(read_both(&d, &err), 0);
        expect_sample(&d);
        dataset_free(&d);
        assert_null(d.pixels);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct dataset d = {.count = 77};
    struct err err;
    size_t len;
    put("images", images, sizeof images, true);
    AUTO_FREE uint8_t *packed = get("images", &len);
    for (size_t cut = 0; cut < sizeof images; cut++) {
        put("images", images, cut, false);
        assert_int_equal(read_both(&d, &err), E_CORRUPT);
        assert_non_null(strstr(err.message, "images"));
    }
    for (size_t cut = 0; cut < len; cut++) {
        struct dataset all;
        put("images", packed, cut, false);
        int rc = read_both(&all, &err);
        assert_true(rc == E_CORRUPT || cut + 12 > len);
        if (rc == 0) { // only the end mark or the checksum is missing
            expect_sample(&all);
            dataset_free(&all);
        }
    }
    put("images", images, sizeof images, false);
    for (size_t cut = 0; cut < sizeof labels; cut++) {
        put("labels", labels, cut, false);
        assert_int_equal(read_both(&d, &err), E_CORRUPT);
        assert_non_null(strstr(err.message, "labels"));
    }
    assert_int_equal(d.count, 77); // untouched
}

static void a_flipped_bit_in_a_packed_file_is_no_other_image(void **state)
{
    (void)state;
    struct dataset d;
    struct err err;
    size_t len;
    put("images", images, sizeof images, true);
    AUTO_FREE uint8_t *packed = get("images", &len);
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            packed[at] ^= (uint8_t)(1 << bit);
            put("images", packed, len, false);
            packed[at] ^= (uint8_t)(1 << bit);
            if (read_both(&d, &err))
                continue;
            expect_sample(&d);
            dataset_free(&d);
        }
}

static void a_flipped_bit_in_a_large_packed_file_is_noticed(void **state)
{
    (void)state;
    enum { COUNT = 3, SIDE = 256, LEN = 16 + COUNT * SIDE * SIDE };
    AUTO_FREE uint8_t *big = xcalloc(1, LEN);
    struct dataset d;
    struct err err;
    memcpy(big, images, 16);
    big[10] = big[14] = SIDE >> 8;
    big[11] = big[15] = 0;
    struct rng rng = {4};
    for (size_t i = 16; i < LEN; i++) // does not compress: a flip stays one pixel
        big[i] = (uint8_t)rng_next(&rng);
    put("images", big, LEN, true);
    assert_int_equal(read_both(&d, &err), 0);
    assert_memory_equal(d.pixels, big + 16, LEN - 16);
    dataset_free(&d);
    AUTO_FREE char *path = path_of("images");
    FILE *f = fopen(path, "r+be");
    assert_non_null(f);
    assert_int_equal(fseek(f, LEN / 2, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, LEN / 2, SEEK_SET), 0);
    fputc(c ^ 4, f);
    fclose(f);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
}

static void what_is_no_idx_file_is_named(void **state)
{
    (void)state;
    struct dataset d;
    struct err err;
    put("images", labels, sizeof labels, false);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "it begins with 0x00000801, not 0x00000803"));
    put("images", images, sizeof images, false);
    put("labels", images, sizeof images, false);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "no IDX file of labels"));
    put("labels", "<html>not found</html>", 22, false);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
    AUTO_FREE char *path = path_of("labels");
    unlink(path);
    assert_int_equal(read_both(&d, &err), E_NOT_FOUND);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(idx_read(dir, dir, &d, &err), E_CORRUPT); // a directory
}

static void sizes_that_lie_are_refused(void **state)
{
    (void)state;
    struct dataset d;
    struct err err;
    uint8_t bytes[sizeof images];
    static const struct {
        uint32_t count, rows, columns;
        int rc;
    } lies[] = {
        {4, 2, 2, E_CORRUPT}, // one more than is there
        {0, 2, 2, E_CORRUPT}, // empty
        {3, 0, 2, E_CORRUPT},
        {3, 2, 0, E_CORRUPT},
        {0xffffffff, 0xffffffff, 0xffffffff, E_TOO_LARGE}, // overflows
        {0x80000000, 2, 1, E_TOO_LARGE},
        {0x10000, 0x10000, 0x10000, E_TOO_LARGE},
        {2, 2, 2, E_CORRUPT}, // fewer images than labels
        {1, 2, 2, E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const uint32_t shape[3] = {lies[i].count, lies[i].rows, lies[i].columns};
        memcpy(bytes, images, sizeof bytes);
        for (int k = 0; k < 12; k++)
            bytes[4 + k] = (uint8_t)(shape[k / 4] >> (24 - 8 * (k % 4)));
        put("images", bytes, sizeof bytes, false);
        int rc = read_both(&d, &err);
        if (rc != lies[i].rc)
            fail_msg("%u x %u x %u: %d", shape[0], shape[1], shape[2], rc);
    }
    put("images", images, sizeof images, false);
    uint8_t few[sizeof labels];
    memcpy(few, labels, sizeof few);
    few[7] = 2;
    put("labels", few, sizeof few, false);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "goes on after the 2 bytes"));
    put("labels", few, sizeof few - 1, false);
    assert_int_equal(read_both(&d, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "do not belong together"));
}

static void the_real_data_set_is_read(void **state)
{
    (void)state;
    static const char images_path[] = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
    static const char labels_path[] = "/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz";
    struct dataset d;
    struct err err;
    size_t each[10] = {0};
    if (access(images_path, R_OK)) {
        print_message("skipped: %s is not there\n", images_path);
        skip();
    }
    assert_int_equal(idx_read(images_path, labels_path, &d, &err), 0);
    assert_int_equal(d.count, 10000);
    assert_int_equal(d.height * d.width, 784);
    assert_int_equal(d.classes, 10);
    for (size_t i = 0; i < d.count; i++)
        each[d.labels[i]]++;
    for (int i = 0; i < 10; i++)
        assert_int_equal(each[i], 1000);
    dataset_free(&d);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_is_a_permutation_of_seed_and_number),
        cmocka_unit_test(every_place_is_as_likely_as_another),
        cmocka_unit_test(parts_follow_each_other_and_are_even),
        cmocka_unit_test(the_samples_of_a_step_do_not_depend_on_the_number_of_tasks),
        STORY(plain_and_packed_files_are_read),
        STORY(a_file_cut_anywhere_is_refused),
        STORY(a_flipped_bit_in_a_packed_file_is_no_other_image),
        STORY(a_flipped_bit_in_a_large_packed_file_is_noticed),
        STORY(what_is_no_idx_file_is_named),
        STORY(sizes_that_lie_are_refused),
        cmocka_unit_test(the_real_data_set_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
