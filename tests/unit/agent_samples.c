// What tasks report while the scheduler is away: bounded, the newest is kept.
#include "agent/shell/node.h"
#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { BOUND = 8 << 20 };

static void send_one(struct node *n, struct held *h, uint64_t job, uint32_t rank, char *phase)
{
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__Sample sample = MUSTER__SAMPLE__INIT, *list[] = {&sample};
    Muster__Samples samples = MUSTER__SAMPLES__INIT;
    id.cluster = 1;
    id.job_uid = job;
    id.number = 1;
    sample.rank = rank;
    sample.phase = phase;
    samples.attempt = &id;
    samples.n_samples = 1;
    samples.samples = list;
    samples_send(n, h, &samples);
}

static void kept_while_away(void **state)
{
    static char word[2001];
    struct node n = {.welcomed = false};
    struct held h = {.id = {{1}, {7}, 1}, .reports = {.most = INT64_C(1) << 33}};
    size_t small;
    (void)state;
    TAILQ_INIT(&n.samples);
    send_one(&n, &h, 8, 0, "x"); // says another attempt's name
    assert_int_equal(n.samples_bytes, 0);
    send_one(&n, &h, 7, 0, "x");
    small = n.samples_bytes;
    assert_in_range(small, 256, 512); // counted with what it costs here
    for (uint32_t i = 1; i < 100000; i++)
        send_one(&n, &h, 7, i, "x");
    assert_in_range(n.samples_bytes, BOUND - 512, BOUND);
    memset(word, 'a', sizeof word - 1);
    for (uint32_t i = 0; i < 10000; i++)
        send_one(&n, &h, 7, i, word);
    assert_in_range(n.samples_bytes, BOUND - 4096, BOUND);
    n.welcomed = true;
    samples_flush(&n); // there is no link in this test: all are given away
    assert_int_equal(n.samples_bytes, 0);
    assert_true(TAILQ_EMPTY(&n.samples));
}

// What is kept costs what it is counted with, and no frame is more than the link carries.
static void kept_as_it_costs(void **state)
{
    static char names[64][2], huge[2 << 20];
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__Metric metrics[64], *metrics_list[64];
    Muster__Sample sample = MUSTER__SAMPLE__INIT, *list[] = {&sample};
    Muster__Samples samples = MUSTER__SAMPLES__INIT;
    struct node n = {.welcomed = false};
    struct held h = {.id = {{1}, {7}, 1}, .reports = {.most = INT64_C(1) << 33}};
    (void)state;
    TAILQ_INIT(&n.samples);
    for (int i = 0; i < 64; i++) {
        muster__metric__init(&metrics[i]);
        names[i][0] = (char)('0' + i);
        metrics[i].name = names[i];
        metrics_list[i] = &metrics[i];
    }
    id.cluster = 1;
    id.job_uid = 7;
    id.number = 1;
    sample.metrics = metrics_list;
    sample.n_metrics = 64;
    samples.attempt = &id;
    samples.n_samples = 1;
    samples.samples = list;
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 20000; i++)
        samples_send(&n, &h, &samples);
    assert_in_range(n.samples_bytes, BOUND - 4096, BOUND);
    assert_in_range(mallinfo2().uordblks - before, 0, BOUND);
    n.welcomed = true;
    samples_flush(&n);
    n.welcomed = false;
    Muster__Sample *many[65];
    for (int i = 0; i < 65; i++)
        many[i] = &sample;
    samples.n_samples = 65;
    samples.samples = many;
    samples_send(&n, &h, &samples);
    assert_int_equal(n.samples_bytes, 0);
    memset(huge, 'x', sizeof huge - 1);
    send_one(&n, &h, 7, 0, huge);
    assert_int_equal(n.samples_bytes, 0);
}

// One attempt that says too much loses it; the others do not.
static void paced_by_attempt(void **state)
{
    static char word[64001];
    struct node n = {.welcomed = false};
    struct held loud = {.id = {{1}, {7}, 1}}, other = {.id = {{1}, {8}, 1}};
    (void)state;
    TAILQ_INIT(&n.samples);
    memset(word, 'a', sizeof word - 1);
    for (uint32_t i = 0; i < 1000; i++) // 64 MB at once
        send_one(&n, &loud, 7, i, word);
    assert_in_range(n.samples_bytes, 4 << 20, 6 << 20);
    size_t before = n.samples_bytes;
    send_one(&n, &other, 8, 0, "x");
    assert_true(n.samples_bytes > before);
    n.welcomed = true;
    samples_flush(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kept_while_away),
                                       cmocka_unit_test(kept_as_it_costs),
                                       cmocka_unit_test(paced_by_attempt)};
    return cmocka_run_group_tests_name("agent_samples", tests, NULL, NULL);
}
