// Precision, recall, F1 and the confusion matrix of a small case, by hand.
#include "common/alloc.h"
#include "kernels/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { CLASSES = 3 };

static const char *name_of(const void *arg, size_t k, char number[static 24])
{
    static const char *const names[CLASSES] = {"cat", "dog",
                                               "\xe5\xa8\xb1\xe4\xb9\x90\xe5\xa5\xbd"};
    (void)arg, (void)number;
    return names[k];
}

// 4 cats, of which 3 were called cat and one dog; 2 dogs, called cat and dog; nothing is, and
// nothing was called, the third.
static struct metrics small(void)
{
    struct metrics m;
    metrics_init(&m, CLASSES);
    metrics_add(&m, 1.5, (const int32_t[]){0, 0, 0, 0}, (const int32_t[]){0, 0, 0, 1}, 4);
    metrics_add(&m, 1.5, (const int32_t[]){1, 1}, (const int32_t[]){0, 1}, 2);
    return m;
}

static void expect(double got, double want)
{
    if (!(fabs(got - want) < 1e-12))
        fail_msg("%.15g where %.15g is right", got, want);
}

static void figures_are_as_by_hand(void **state)
{
    (void)state;
    struct metrics m = small();
    struct class_metrics cat = metrics_class(&m, 0), dog = metrics_class(&m, 1),
                         third = metrics_class(&m, 2);
    expect(metrics_loss(&m), 0.5);
    expect(metrics_accuracy(&m), 100 * 4.0 / 6);
    expect(cat.precision, 3.0 / 4);
    expect(cat.recall, 3.0 / 4);
    expect(cat.f1, 3.0 / 4);
    expect(dog.precision, 1.0 / 2);
    expect(dog.recall, 1.0 / 2);
    expect(dog.f1, 1.0 / 2);
    expect(third.precision + third.recall + third.f1 + third.count, 0);
    expect(metrics_macro_f1(&m), (0.75 + 0.5) / 3);
    expect(metrics_count(&m, 0, 1), 1);
    expect(metrics_count(&m, 1, 0), 1);
    metrics_fini(&m);
}

static void a_name_is_cut_between_characters(void **state)
{
    (void)state;
    struct metrics m = small();
    AUTO(text) struct text t = {0};
    metrics_table(&m, name_of, NULL, &t);
    assert_non_null(strstr(text_str(&t), "     dog  \xe5\xa8\xb1\xe4\xb9\x90\n")); // 6 of 9 bytes
    assert_non_null(strstr(text_str(&t), "cat                    3       1       0\n"));
    metrics_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_as_by_hand),
        cmocka_unit_test(a_name_is_cut_between_characters),
    };
    return cmocka_run_group_tests_name("ml_metrics", tests, NULL, NULL);
}
