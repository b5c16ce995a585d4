// The simulation and its measures against values computed by hand.
#include "common/alloc.h"
#include "simulate/fragmentation.h"
#include "simulate/measures.h"
#include "simulate/svg.h"
#include "simulate/workload.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void parse(const char *text, const char *nodes, struct trace *t, struct node_list *n)
{
    struct err err;
    *t = (struct trace){0};
    *n = (struct node_list){0};
    if (trace_parse("t", text, strlen(text), t, &err) || nodes_parse(nodes, n, &err))
        fail_msg("%s", err.message);
}

static struct measures measure(const struct trace *t, const struct node_list *n,
                               const struct sim_options *o, struct sim_result *r)
{
    struct measures m;
    sim_run(t, n, o, r);
    measures_of(t, n, o, r, 0.5, 0.25, &m);
    return m;
}

// a on one processor, b on both, c on one: c would fit beside a, but comes after b.
static const char THREE[] = "1 0 -1 10 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
                            "2 1 -1 20 2 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
                            "3 2 -1 5 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n";

static void near(double got, double want)
{
    if (got < want - 1e-9 || got > want + 1e-9)
        fail_msg("%.12g is not %.12g", got, want);
}

static void spread_is(const struct spread *s, double mean, double p50, double p99, double max)
{
    near(s->mean, mean);
    near(s->p50, p50);
    near(s->p99, p99);
    near(s->max, max);
}

static void three_jobs(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default()};
    struct err err;
    assert_int_equal(policy_parse("fcfs", &o.policy, &err), 0);
    parse(THREE, "n[1-2] cores=1", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    //   s:   0         10                  30   35
    //   n1:  a a a a a b b b b b b b b b b c c
    //   n2:  . . . . . b b b b b b b b b b . .
    assert_int_equal(r.jobs[0].start_ms, 0);
    assert_int_equal(r.jobs[1].start_ms, 10000);
    assert_int_equal(r.jobs[2].start_ms, 30000);
    assert_int_equal(r.jobs[1].nodes, 2);
    assert_int_equal(m.completed, 3);
    near(m.makespan_s, 35);
    spread_is(&m.wait_s, (0 + 9 + 28) / 3.0, 9, 28, 28);
    spread_is(&m.completion_s, (10 + 29 + 33) / 3.0, 29, 33, 33);
    // c's run of 5 s counts as 10.
    spread_is(&m.slowdown, (1 + 29 / 20.0 + 33 / 10.0) / 3, 29 / 20.0, 3.3, 3.3);
    near(m.core_utilisation, (10 + 40 + 5) / 70.0);
    near(m.core_allocation, (10 + 40 + 5) / 70.0);
    near(m.gpu_utilisation, -1);
}

// With backfill c runs beside a, since it has ended when b can start.
static void backfilled(void **state)
{
    (void)state;
    static const char *const words[] = {"easy", "conservative", "default"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        AUTO(trace) struct trace t;
        AUTO(node_list) struct node_list n;
        AUTO(sim_result) struct sim_result r = {0};
        struct sim_options o = {0};
        struct err err;
        assert_int_equal(policy_parse(words[i], &o.policy, &err), 0);
        parse(THREE, "n[1-2] cores=1", &t, &n);
        struct measures m = measure(&t, &n, &o, &r);
        assert_int_equal(r.jobs[1].start_ms, 10000);
        assert_int_equal(r.jobs[2].start_ms, 2000);
        near(m.makespan_s, 30);
        near(m.wait_s.mean, 3);
    }
}

// One node is missing, and the search for it comes to the end of 128 nodes: the gang waits.
static void one_node_short(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default()};
    parse("1 0 -1 50 64 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
          "2 1 -1 20 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
          "3 2 -1 5 64 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n",
          "n[1-128] cores=1", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.completed, 3);
    assert_int_equal(r.jobs[2].start_ms, 21000);
    assert_int_equal(r.jobs[2].nodes, 64);
}

static void percentiles(void **state)
{
    (void)state;
    double v[200];
    for (int i = 0; i < 200; i++)
        v[i] = (i * 77) % 200 + 1;
    struct spread s = spread_of(v, 200);
    spread_is(&s, 100.5, 100, 198, 200);
    s = spread_of(v, 1);
    spread_is(&s, 1, 1, 1, 1);
    s = spread_of(v, 0);
    spread_is(&s, 0, 0, 0, 0);
}

static void refused_and_zero(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default()};
    parse("1 0 -1 0 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
          "2 0 -1 9 3 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n",
          "n[1-2] cores=1", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.completed, 1);
    assert_int_equal(m.refused, 1);
    assert_int_equal(r.jobs[1].fate, SIM_REFUSED);
    assert_int_equal(r.jobs[1].reason, REASON_UNSATISFIABLE_TASKS);
    near(m.makespan_s, 0);
    near(m.core_utilisation, 0);
}

static void arrivals(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default(), .arrive = true};
    struct err err;
    parse("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1000,1,1,1000\n",
          "n1 cores=8 memory=8GiB gpus=2", &t, &n);
    assert_int_equal(workload_arrive(&t, &n, 1500, 42, &err), 0);
    assert_int_equal(t.count, 3);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.running, 2);
    assert_int_equal(m.dropped, 1);
    near(m.gpu_allocation, 1);
    near(m.core_allocation, 2 / 8.0);
    assert_int_equal(m.curve[50], 500);
    assert_int_equal(m.curve[100], 1000);
    assert_int_equal(m.curve[150], 1000);
    assert_int_equal(m.curve[151], -1);
    AUTO(trace) struct trace cpu;
    AUTO(node_list) struct node_list one;
    parse("name,cpu_milli,memory_mib,num_gpu\na,1000,1,0\n", "n1 cores=8 gpus=2", &cpu, &one);
    assert_int_equal(workload_arrive(&cpu, &one, 1500, 42, &err), E_INVALID);
}

// Two halves of a GPU and four thirds of cores; models that only one node has.
static void shares(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default(), .arrive = true};
    struct err err;
    parse("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\na,1500,1,1,500,B|C\n",
          "n1 cores=8 gpus=1 model=A; n2 cores=3 gpus=1 model=B", &t, &n);
    assert_int_equal(workload_arrive(&t, &n, 1000, 1, &err), 0);
    assert_int_equal(t.count, 4);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.running, 2);
    assert_int_equal(m.dropped, 2);
    near(m.gpu_allocation, 0.5);
    near(m.core_allocation, 3 / 11.0);
    near(m.fragmentation, 0.5); // n1's model serves no task of the list
    assert_int_equal(m.curve[25], 250);
    assert_int_equal(m.curve[100], 500);
}

static bool aborts(struct ledger *l, struct ledger_part part)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        signal(SIGABRT, SIG_DFL); // cmocka's own would report it
        ledger_take(l, &part, 0);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void ledger_part_set(struct placement *p, unsigned core, unsigned pool, uint16_t share)
{
    *p = (struct placement){.node = {1}, .gpus = 1, .cpu_milli = 500};
    coreset_add(&p->cores, core);
    coreset_add(&p->pool, pool);
    p->shares.milli[0] = share;
}

// What is given out twice ends the process.
static void ledgers(void **state)
{
    (void)state;
    AUTO(node_list) struct node_list n = {0};
    struct err err;
    struct ledger l;
    struct placement p;
    assert_int_equal(nodes_parse("n1 cores=6 gpus=1", &n, &err), 0);
    ledger_init(&l, &n);
    ledger_part_set(&p, 0, 1, 600);
    struct ledger_part part = ledger_part_of(&p);
    assert_int_equal(part.core_milli, 1500);
    assert_int_equal(part.gpu_milli, 600);
    ledger_take(&l, &part, 0);
    ledger_part_set(&p, 2, 1, 400); // another core, the same shared one, the rest of the GPU
    assert_false(aborts(&l, ledger_part_of(&p)));
    ledger_part_set(&p, 0, 1, 400);
    assert_true(aborts(&l, ledger_part_of(&p)));
    ledger_part_set(&p, 1, 2, 400); // whole what is shared
    assert_true(aborts(&l, ledger_part_of(&p)));
    ledger_part_set(&p, 2, 0, 400); // shared what is whole
    assert_true(aborts(&l, ledger_part_of(&p)));
    ledger_part_set(&p, 2, 1, 401);
    assert_true(aborts(&l, ledger_part_of(&p)));
    p = (struct placement){.node = {1}, .memory_mib = 1};
    assert_true(aborts(&l, ledger_part_of(&p)));
    ledger_return(&l, &part);
    ledger_part_set(&p, 1, 0, 1000);
    assert_false(aborts(&l, ledger_part_of(&p)));
    assert_int_equal(l.held_core_milli, 0);
    ledger_fini(&l);
}

static void fragments(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    struct shapes s;
    struct ledger l;
    // Two shapes, one of them three times: weights 3/4 and 1/4.
    parse("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
          "a,1000,1,1,500,\nb,2000,1,1,1000,A|B\nc,1000,1,1,500,\nd,1000,1,1,500,\n",
          "n1 cores=4 gpus=2 model=A; n2 cores=4 gpus=1 model=C; n3 cores=4", &t, &n);
    shapes_of(&t, &n, &s);
    ledger_init(&l, &n);
    assert_int_equal(s.count, 2);
    near(s.items[0].weight, 0.75);
    near(s.items[1].weight, 0.25);
    // Empty: shape b cannot use n2's model.
    near(fragmentation(&s, &l), 0.25 * 1000);
    // 300 are left of n1's GPU 0: too little for either.
    l.items[0].gpu_milli[0] = 300;
    near(fragmentation(&s, &l), 300 + 0.25 * 1000);
    // One core is left: b does not run there at all.
    l.items[0].core_milli = 1000;
    near(fragmentation(&s, &l), 0.75 * 300 + 0.25 * 1300 + 0.25 * 1000);
    assert_true(model_named("A|BC", "BC"));
    assert_false(model_named("A|BC", "B"));
    assert_false(model_named("A|BC", ""));
    ledger_fini(&l);
    shapes_free(&s);
}

// Shapes beyond 95 % of the tasks are no typical ones.
static void typical(void **state)
{
    (void)state;
    AUTO(text) struct text text = {0};
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    struct shapes s;
    text_add(&text, "name,cpu_milli,memory_mib,num_gpu\n");
    for (int i = 0; i < 100; i++)
        text_addf(&text, "x,%d,1,1\n", i < 90 ? 1000 : i < 95 ? 2000 : 3000 + i);
    parse(text_str(&text), "n1 cores=1", &t, &n);
    shapes_of(&t, &n, &s);
    assert_int_equal(s.count, 2);
    near(s.items[0].weight, 90 / 95.0);
    shapes_free(&s);
}

static const char RESTARTED[] = "1 0 -1 86400 2 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
                                "2 1 -1 3600 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
                                "3 2 -1 40000 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n";

static void failing_nodes(void **state)
{
    (void)state;
    int64_t first_end = 0, requeues = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (int again = 0; again < 2; again++) {
            AUTO(trace) struct trace t;
            AUTO(node_list) struct node_list n;
            AUTO(sim_result) struct sim_result r = {0};
            struct sim_options o = {.policy = policy_default(),
                                    .seed = seed,
                                    .mtbf_ms = INT64_C(86400) * 1000,
                                    .repair_ms = INT64_C(600) * 1000};
            parse(RESTARTED, "n[1-3] cores=1", &t, &n);
            struct measures m = measure(&t, &n, &o, &r);
            assert_int_equal(m.completed, 3);
            for (size_t i = 0; i < 3; i++) // the last attempt runs from its beginning to its end
                assert_true(r.jobs[i].end_ms - r.jobs[i].submit_ms >= t.jobs[i].run_ms);
            assert_true(m.core_allocation >= m.core_utilisation);
            assert_int_equal(r.used_core_s / 1000, 2 * 86400 + 3600 + 40000);
            if (again)
                assert_int_equal(r.end_ms, first_end);
            first_end = r.end_ms;
            requeues += m.requeues;
        }
    }
    assert_true(requeues > 10);
}

// A job that is longer than its nodes ever live is given up after all its attempts.
static void given_up(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default(),
                            .seed = 7,
                            .mtbf_ms = INT64_C(3600) * 1000,
                            .repair_ms = INT64_C(60) * 1000};
    parse("1 0 -1 864000 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
          "2 0 -1 60 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n",
          "n1 cores=2", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.completed, 1);
    assert_int_equal(m.failed, 1);
    assert_int_equal(m.waiting, 0);
    assert_int_equal(r.jobs[0].attempts, 1000);
    assert_int_equal(r.jobs[0].reason, REASON_ATTEMPTS_USED);
    near(m.core_utilisation, 60 / 2.0 / m.makespan_s);
}

// With a checkpoint an hour it comes to its end: no more than an hour is lost each time.
static void checkpoints(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    const int64_t hour_ms = 3600 * 1000;
    struct sim_options o = {.policy = policy_default(),
                            .seed = 7,
                            .mtbf_ms = 5 * hour_ms,
                            .repair_ms = 60 * 1000,
                            .checkpoint_ms = hour_ms};
    parse("1 0 -1 864000 1 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n", "n1 cores=2", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.completed, 1);
    assert_true(m.requeues > 10);
    double lost_s = m.core_allocation * 2 * m.makespan_s - 864000;
    assert_true(lost_s > 0 && lost_s < 3600.0 * (double)m.requeues);
    near(m.core_utilisation, 864000 / 2.0 / m.makespan_s);
}

// Two nodes that are hardly ever up together, and a job that needs both: it is left waiting.
static void nothing_ends(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    struct sim_options o = {.policy = policy_default(),
                            .seed = 7,
                            .mtbf_ms = INT64_C(600) * 1000,
                            .repair_ms = INT64_C(86400) * 10000};
    parse("1 5 -1 8640000 2 -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n", "n[1-2] cores=1", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(m.waiting, 1);
    assert_false(m.stopped);
    assert_true(r.end_ms <= SIM_QUIET_MS);
}

static void workloads(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    parse(THREE, "n[1-2] cores=1", &t, &n);
    workload_repeat(&t, 2);
    assert_int_equal(t.count, 6);
    assert_int_equal(t.jobs[1].submit_ms, 500);
    assert_int_equal(t.jobs[5].submit_ms, 2500);
    assert_int_equal(t.jobs[5].number, 3);
    workload_load(&t, 500);
    assert_int_equal(t.jobs[5].submit_ms, 5000);
    workload_limit(&t, 2);
    assert_int_equal(t.count, 2);
}

static void pictures(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    AUTO(node_list) struct node_list n;
    AUTO(sim_result) struct sim_result r = {0};
    AUTO(text) struct text svg = {0}, csv = {0}, json = {0};
    struct sim_options o = {.policy = policy_default(), .record = true};
    struct err err;
    assert_int_equal(policy_parse("fcfs", &o.policy, &err), 0);
    parse(THREE, "n[1-2] cores=1", &t, &n);
    struct measures m = measure(&t, &n, &o, &r);
    assert_int_equal(r.spans_count, 4);
    svg_draw(&n, &r, &m, "a < b & c", &svg);
    assert_non_null(strstr(text_str(&svg), "a &lt; b &amp; c"));
    assert_non_null(strstr(text_str(&svg), ">n2</text>"));
    assert_non_null(strstr(text_str(&svg), "cores given out"));
    jobs_csv(&t, &r, &csv);
    assert_non_null(
        strstr(text_str(&csv), "\r\n2,,user1,group1,queue1,2,0,1,20,10,30,2,1,completed,\r\n"));
    measures_json(&m, "t", &t, &json);
    assert_non_null(strstr(text_str(&json), "\"wait_s\":{\"mean\":12.3333,\"p50\":9,\"p99\":28,"
                                            "\"max\":28}"));
    assert_non_null(strstr(text_str(&json), "\"gpu_utilisation_pct\":null"));
}

static void policies(void **state)
{
    (void)state;
    struct sim_policy p;
    struct err err;
    assert_int_equal(policy_parse("default", &p, &err), 0);
    assert_int_equal(policy_parse("fcfs+default", &p, &err), 0);
    assert_string_equal(p.name, "fcfs+default");
    assert_int_equal(policy_parse("fcfs+lifo", &p, &err), E_INVALID);
    assert_non_null(strstr(err.message, "\"lifo\" is unknown. There are: default, fcfs, easy"));
    assert_int_equal(policy_parse("", &p, &err), E_INVALID);
    assert_int_equal(policy_parse("easy+fgd", &p, &err), 0);
    assert_int_equal(p.settings.settings.backfill_reservations, 1);
    assert_int_equal(p.limits.policy, POLICY_FGD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_jobs),       cmocka_unit_test(backfilled),
        cmocka_unit_test(one_node_short),   cmocka_unit_test(percentiles),
        cmocka_unit_test(refused_and_zero), cmocka_unit_test(arrivals),
        cmocka_unit_test(shares),           cmocka_unit_test(ledgers),
        cmocka_unit_test(fragments),        cmocka_unit_test(typical),
        cmocka_unit_test(failing_nodes),    cmocka_unit_test(given_up),
        cmocka_unit_test(checkpoints),      cmocka_unit_test(nothing_ends),
        cmocka_unit_test(workloads),        cmocka_unit_test(pictures),
        cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
