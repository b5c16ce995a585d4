// Labelled texts and their vocabulary: what is read, what is skipped and counted, what is refused.
#include "common/alloc.h"
#include "kernels/corpus.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char dir[] = "/tmp/muster-text-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return temp_dir_make(dir);
}

static int teardown(void **state)
{
    (void)state;
    return temp_dir_remove(dir);
}

static void put_bytes(const char *name, const char *bytes, size_t len)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static int read_one(const char *text, struct textfile *ret, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/one.txt", dir);
    struct class_names none = {0};
    put("one.txt", text);
    return textfile_read(path, &none, ret, err);
}

// ---- UTF-8 ----

static void utf8_is_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } table[] = {
        {"a", 1},
        {"\xc3\xa4", 2},
        {"\xe4\xb8\xad", 3},
        {"\xef\xbf\xbd", 3}, // U+FFFD is a code point like another
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},     // a continuation alone
        {"\xc0\x80", 0}, // overlong
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0},     // a surrogate
        {"\xf4\x90\x80\x80", 0}, // beyond U+10FFFF
        {"\xf5\x80\x80\x80", 0},
        {"\xe4\xb8", 0}, // cut off
        {"\xe4\xb8"
         "a",
         0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (utf8_length(table[i].bytes, strlen(table[i].bytes)) != table[i].length)
            fail_msg("entry %zu", i);
}

// ---- vocabularies ----

static void expect_ids(const struct vocabulary *v, const char *text, size_t n, const int32_t *want)
{
    int32_t ids[32];
    assert_int_equal(vocabulary_ids(v, text, strlen(text), 32, ids), n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != want[i])
            fail_msg("\"%s\": token %zu is %d, not %d", text, i, ids[i], want[i]);
}

static void tokens_are_numbered_by_how_often_they_occur(void **state)
{
    (void)state;
    struct vocabulary v = {0};
    vocabulary_count(&v, "bab\xe4\xb8\xad", 6);
    vocabulary_count(&v,
                     "ab\xe4\xb8\xad"
                     "x",
                     6);
    vocabulary_close(&v, 100); // b 3, a 2, 中 2; x only once
    assert_int_equal(v.size, 5);
    expect_ids(&v,
               "ab\xe4\xb8\xad"
               "xq",
               5, (int32_t[]){3, 2, 4, 1, 1});
    AUTO(text) struct text t = {0};
    vocabulary_text(&v, &t);
    assert_string_equal(text_str(&t), "b\na\n\xe4\xb8\xad\n");
    struct vocabulary again;
    struct err err;
    assert_int_equal(vocabulary_parse(&again, false, t.p, t.len, &err), 0);
    expect_ids(&again,
               "ab\xe4\xb8\xad"
               "xq",
               5, (int32_t[]){3, 2, 4, 1, 1});
    assert_int_equal(again.size, 5);
    vocabulary_free(&again);
    vocabulary_free(&v);
    assert_int_equal(vocabulary_parse(&again, false, "a\n\nb\n", 5, &err), E_CORRUPT);
    assert_int_equal(vocabulary_parse(&again, false, "a\na\n", 4, &err), E_CORRUPT);
    assert_int_equal(vocabulary_parse(&again, false, "a\nb", 3, &err), E_CORRUPT);
}

static void words_stand_between_white_space_and_the_rarest_give_way(void **state)
{
    (void)state;
    struct vocabulary v = {.words = true};
    const char *text = "  the cat\tthe dog the cat a dog a cat ";
    vocabulary_count(&v, text, strlen(text));
    vocabulary_close(&v, 4); // two besides the end and the unknown
    assert_int_equal(v.size, 4);
    expect_ids(&v, " dog the  cat", 3, (int32_t[]){1, 3, 2}); // cat and the occur 3 times
    int32_t ids[2];
    assert_int_equal(vocabulary_ids(&v, text, strlen(text), 2, ids), 2); // cut
    vocabulary_free(&v);
}

// ---- files ----

static void a_line_is_text_tab_label(void **state)
{
    (void)state;
    struct textfile f;
    struct err err;
    assert_int_equal(read_one("one\t0\r\n\ntwo\tt\t1\nthree\t2", &f, &err), 0);
    assert_int_equal(f.count, 3);
    assert_int_equal(f.skipped, 0);
    assert_int_equal(f.lines[1].label, 1);
    assert_memory_equal(f.bytes + f.lines[1].at, "two\tt", f.lines[1].len); // the last tab counts
    assert_int_equal(f.lines[2].label, 2);
    textfile_free(&f);
}

static void lines_that_cannot_be_used_are_skipped_counted_and_refused_if_many(void **state)
{
    (void)state;
    struct textfile f;
    struct err err;
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"no label here", "there is no tab"}, {"text\tx", "out of range"},
        {"text\t-1", "out of range"},         {"text\t1024", "out of range"},
        {"\t1", "there is no text"},          {"a\xff\t1", "invalid UTF-8"},
        {"text\t", "out of range"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTO(text) struct text t = {0};
        for (int k = 0; k < 19; k++)
            text_addf(&t, "line %d\t%d\n", k, k % 3);
        text_addf(&t, "%s\n", bad[i].line);
        assert_int_equal(read_one(text_str(&t), &f, &err), 0);
        assert_int_equal(f.count, 19);
        assert_int_equal(f.skipped, 1);
        assert_non_null(strstr(f.first_skipped, "line 20: "));
        if (!strstr(f.first_skipped, bad[i].words))
            fail_msg("%s: %s", bad[i].line, f.first_skipped);
        textfile_free(&f);
        text_addf(&t, "%s\n", bad[i].line); // 2 of 21
        assert_int_equal(read_one(text_str(&t), &f, &err), E_CORRUPT);
        assert_non_null(strstr(err.message, "2 of 21 lines cannot be used; line 20: "));
    }
    assert_int_equal(read_one("", &f, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "is empty"));
    assert_int_equal(read_one("\n\n", &f, &err), E_CORRUPT);
}

static void packed_files_are_read_and_cut_ones_refused(void **state)
{
    (void)state;
    AUTO_FREE char *path = xasprintf("%s/t.txt.gz", dir);
    struct class_names none = {0};
    struct textfile f;
    struct err err;
    char bytes[4096];
    gzFile gz = gzopen(path, "wb");
    for (int i = 0; i < 500; i++)
        gzprintf(gz, "text %d\t%d\n", i * i, i % 2);
    gzclose(gz);
    assert_int_equal(textfile_read(path, &none, &f, &err), 0);
    assert_int_equal(f.count, 500);
    textfile_free(&f);
    FILE *from = fopen(path, "rbe");
    size_t len = fread(bytes, 1, sizeof bytes, from);
    fclose(from);
    for (size_t cut = 1; cut < len; cut += 97) {
        put_bytes("t.txt.gz", bytes, cut);
        assert_true(textfile_read(path, &none, &f, &err) == E_CORRUPT);
        assert_non_null(strstr(err.message, path));
    }
    unlink(path);
    assert_int_equal(textfile_read(path, &none, &f, &err), E_NOT_FOUND);
}

// ---- the whole ----

static int read_corpus(struct corpus *c, struct err *err)
{
    struct corpus_options o = {.dir = dir, .vocabulary = 100, .steps = 6};
    int rc = corpus_read(&o, c, err);
    if (rc)
        corpus_free(c);
    return rc;
}

static void a_directory_of_texts_is_a_corpus(void **state)
{
    (void)state;
    struct corpus c;
    struct err err;
    put("class.txt", "sports\nfinance\nother\n");
    put("train.txt", "aabb\tsports\nabab\t1\naaaaaaaaaaaaaaa\t0\n");
    put("test.txt", "ab\tfinance\n");
    assert_int_equal(read_corpus(&c, &err), 0);
    assert_int_equal(c.classes, 3); // one of them without a sample
    assert_int_equal(c.train.count, 3);
    assert_int_equal(c.test.count, 1);
    assert_int_equal(c.dev.count, 0);
    assert_int_equal(c.time_max, 8); // whole groups of steps
    assert_int_equal(c.vocabulary.size, 4);
    char number[24];
    assert_string_equal(corpus_class(&c, 1, number), "finance");
    struct feeder f = {0};
    feeder_init(&f, corpus_input(&c), 4, c.time_max);
    struct batch b = feeder_take(&f, &c.train, (uint32_t[]){2, 0}, 0, 2);
    assert_int_equal(b.n, 2);
    assert_int_equal(b.lengths[0], 8); // cut
    assert_int_equal(b.lengths[1], 4);
    assert_int_equal(b.time, 8);
    const int32_t want[] = {2, 2, 3, 3, 0, 0, 0, 0};
    assert_memory_equal(b.ids + 8, want, sizeof want);
    assert_int_equal(f.labels[1], 0);
    b = feeder_take(&f, &c.train, NULL, 1, 1);
    assert_int_equal(b.time, 4);
    assert_int_equal(f.labels[0], 1);
    feeder_fini(&f);
    corpus_free(&c);
}

static void what_does_not_fit_together_is_named(void **state)
{
    (void)state;
    struct corpus c;
    struct err err;
    put("train.txt", "aabb\t0\nabab\t1\n");
    assert_int_equal(read_corpus(&c, &err), E_NOT_FOUND);
    assert_non_null(strstr(err.message, "test.txt"));
    put("test.txt", "ab\t2\n");
    assert_int_equal(read_corpus(&c, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "test labels go up to 2"));
    put("test.txt", "ab\t1\n");
    put("train.txt", "aabb\t0\nabab\t0\n");
    assert_int_equal(read_corpus(&c, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "the same label"));
    put("train.txt", "");
    assert_int_equal(read_corpus(&c, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "train.txt"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_rfc_3629),
        cmocka_unit_test(tokens_are_numbered_by_how_often_they_occur),
        cmocka_unit_test(words_stand_between_white_space_and_the_rarest_give_way),
        STORY(a_line_is_text_tab_label),
        STORY(lines_that_cannot_be_used_are_skipped_counted_and_refused_if_many),
        STORY(packed_files_are_read_and_cut_ones_refused),
        STORY(a_directory_of_texts_is_a_corpus),
        STORY(what_does_not_fit_together_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
