// The pointer table against a plain array, over random additions and removals.
#include "common/index.h"

#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 5000 };

struct item {
    uint64_t key, crowd; // crowd: the hash, of few values, so that items meet
    bool in;
};

static uint64_t hash_of(const void *item)
{
    return ((const struct item *)item)->crowd;
}

static bool is_key(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const uint64_t *)key;
}

static void walk(uint64_t crowds)
{
    static struct item items[ITEMS];
    struct index ix = {0};
    struct rng rng = {crowds};
    size_t count = 0;
    for (uint64_t i = 0; i < ITEMS; i++)
        items[i] = (struct item){.key = i, .crowd = index_mix(i) % crowds};
    for (int step = 0; step < 60000; step++) {
        // It fills, empties, and fills again.
        bool fill = step / 20000 % 2 == 0;
        struct item *it = &items[rng_below(&rng, ITEMS)];
        if (!it->in && (fill || rng_below(&rng, 4) == 0)) {
            index_add(&ix, it, hash_of);
            it->in = true;
            count++;
        } else if (it->in && (!fill || rng_below(&rng, 4) == 0)) {
            index_remove(&ix, it, hash_of);
            it->in = false;
            count--;
        }
        assert_int_equal(ix.count, count);
        struct item *any = &items[rng_below(&rng, ITEMS)];
        assert_ptr_equal(index_find(&ix, any->crowd, is_key, &any->key), any->in ? any : NULL);
    }
    for (size_t i = 0; i < ITEMS; i++)
        assert_ptr_equal(index_find(&ix, items[i].crowd, is_key, &items[i].key),
                         items[i].in ? &items[i] : NULL);
    index_free(&ix);
}

static void equals_an_array(void **state)
{
    (void)state;
    walk(UINT64_MAX);
    walk(200);
}

static void an_empty_one_finds_nothing(void **state)
{
    (void)state;
    struct index ix = {0};
    uint64_t key = 1;
    assert_null(index_find(&ix, 1, is_key, &key));
    index_free(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_an_array),
                                       cmocka_unit_test(an_empty_one_finds_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
