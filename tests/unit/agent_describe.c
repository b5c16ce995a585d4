// What an agent tells of the GPUs and domains that it gives out.
#include "agent/shell/machine.h"

#include "common/alloc.h"
#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORES = 8, GPUS = 4 };

// Two domains of four cores, numbered 0 and 2; two GPUs of one model beside each.
static struct inventory_core cores[CORES];
static struct inventory_gpu gpus[GPUS];

static struct machine begin(const char *resources)
{
    struct machine m = {.has = {.cores = cores,
                                .cores_count = CORES,
                                .gpus = gpus,
                                .gpus_count = GPUS,
                                .memory_mib = 65536,
                                .memory_limit_mib = -1}};
    struct err err;
    for (int i = 0; i < CORES; i++)
        cores[i] = (struct inventory_core){.numa = i < 4 ? 0 : 2};
    for (int i = 0; i < GPUS; i++) {
        gpus[i] = (struct inventory_gpu){.memory_mib = 40960, .pci = {.numa = i < 2 ? 2 : 0}};
        snprintf(gpus[i].model, sizeof gpus[i].model, "NVIDIA A100-SXM4-40GB");
    }
    if (machine_declare(&m, resources, &err))
        fail_msg("%s", err.message);
    return m;
}

static struct machine_description end(struct machine *m)
{
    struct machine_description d;
    machine_describe(m, &d);
    free(m->core_map);
    free(m->gpu_map);
    return d;
}

static void alike_gpus_have_a_model(void **state)
{
    (void)state;
    struct machine m = begin(NULL);
    struct machine_description d = end(&m);
    assert_string_equal(d.gpu_model, "A100-SXM4-40GB");
    assert_int_equal(d.gpu_memory_mib, 40960);
    assert_string_equal(d.numa_cores, "4,4");
    assert_string_equal(d.gpu_numa, "1100");
}

static void unlike_gpus_have_none_and_the_least_memory(void **state)
{
    (void)state;
    struct machine m = begin(NULL);
    snprintf(gpus[2].model, sizeof gpus[2].model, "Tesla V100");
    gpus[2].memory_mib = 16384;
    struct machine_description d = end(&m);
    assert_string_equal(d.gpu_model, "");
    assert_int_equal(d.gpu_memory_mib, 16384);
    m = begin("gpu-list=0-1,cores=2-5");
    snprintf(gpus[2].model, sizeof gpus[2].model, "Tesla V100");
    d = end(&m); // of those that are given out
    assert_string_equal(d.gpu_model, "A100-SXM4-40GB");
    assert_string_equal(d.numa_cores, "2,2");
    assert_string_equal(d.gpu_numa, "11");
    m = begin(NULL);
    gpus[3].memory_mib = -1;
    gpus[3].model[0] = 0;
    d = end(&m);
    assert_string_equal(d.gpu_model, "");
    assert_int_equal(d.gpu_memory_mib, 0);
}

static void what_is_declared_is_told(void **state)
{
    (void)state;
    struct machine m = begin("cores=0-99,gpus=6,gpu.model=V100M16,gpu.memory=16GiB");
    struct machine_description d = end(&m);
    assert_string_equal(d.gpu_model, "V100M16");
    assert_int_equal(d.gpu_memory_mib, 16384);
    assert_string_equal(d.numa_cores, ""); // these cores are not there
    assert_string_equal(d.gpu_numa, "");
    m = begin("gpus=6");
    d = end(&m); // of two nothing is known
    assert_string_equal(d.gpu_model, "");
    assert_int_equal(d.gpu_memory_mib, 0);
    assert_string_equal(d.gpu_numa, "1100--");
    m = begin("gpus=0");
    d = end(&m);
    assert_string_equal(d.gpu_model, "");
}

static void domains_that_lie_between_others_are_not_told(void **state)
{
    (void)state;
    struct machine m = begin(NULL);
    cores[1].numa = 2;
    struct machine_description d = end(&m);
    assert_string_equal(d.numa_cores, "");
    assert_string_equal(d.gpu_numa, "");
    m = begin("cores=4-7");
    d = end(&m); // there is one
    assert_string_equal(d.numa_cores, "");
}

static void a_model_becomes_a_word(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"},
        {"Tesla V100-SXM2-16GB", "Tesla-V100-SXM2-16GB"},
        {"AMD Instinct MI250X", "Instinct-MI250X"},
        {"GeForce (TM) RTX, 2", "GeForce--TM--RTX--2"},
        {"", ""},
    };
    char word[64];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        machine_model_word(words[i][0], word, sizeof word);
        assert_string_equal(word, words[i][1]);
    }
    machine_model_word("0123456789", word, 4);
    assert_string_equal(word, "012");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alike_gpus_have_a_model),
        cmocka_unit_test(unlike_gpus_have_none_and_the_least_memory),
        cmocka_unit_test(what_is_declared_is_told),
        cmocka_unit_test(domains_that_lie_between_others_are_not_told),
        cmocka_unit_test(a_model_becomes_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
