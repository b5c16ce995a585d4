// Where tasks go, on small clusters that one can count by hand.
#include "tests/unit/core_site.h"

static struct request cores(int32_t tasks, int32_t cpus)
{
    return (struct request){.tasks = tasks, .cpus = cpus};
}

static void the_cluster_as_it_will_be(void **state)
{
    struct site *s = *state;
    struct cluster *c = s->h.c;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    struct request filling = cores(1, 4), large = cores(2, 4), small = cores(1, 1);
    filling.memory_mib = 600;
    site_ask(s, filling);
    const struct fit_node *f;
    size_t count;
    struct rooms later = {0};
    rooms_copy(&later, &c->rooms);
    assert_false(fit_in(c, &large, &later, &f, &count));
    rooms_give(&later, c, site_first_part(s, 1));
    assert_int_equal(later.of[0].memory_mib, 1000);
    assert_int_equal(later.of[0].parts, 0);
    assert_true(fit_in(c, &large, &later, &f, &count));
    assert_int_equal(count, 2);
    rooms_take(&later, c, &large, f, count);
    assert_false(fit_in(c, &small, &later, &f, &count));
    // The live rooms are as they were.
    assert_true(fit(c, &small, FIT_FREE, &f, &count));
    assert_string_equal(f[0].node->name, "n2");
    rooms_fini(&later);
}

static void what_is_promised_is_left_to_shorter_jobs(void **state)
{
    struct site *s = *state;
    struct cluster *c = s->h.c;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    int64_t now_ms = s->h.now.boot_ms;
    struct kept last = {.from_ms = now_ms + 60000, .spare = {.cores = 0}};
    struct kept first = {
        .from_ms = now_ms + 10000, .spare = {.cores = 1, .memory_mib = 1000}, .next = &last};
    c->kept[0] = &first;
    struct request r = cores(4, 1);
    const struct node *n = c->nodes[0];
    r.time_limit_ms = 9000;
    r.grace_ms = 1000;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 4);
    r.grace_ms = 1001; // it could run on while it is killed
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 1);
    r.time_limit_ms = 70000;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 0);
    r.time_limit_ms = 0;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 0);
    assert_int_equal(fit_capacity(c, n, &r, FIT_USABLE), 4);
    c->kept[0] = NULL;
}

static void holds(const char *text, const struct node *n, bool want)
{
    struct selector s = {0};
    memcpy(s.text, text, strlen(text) + 1);
    const char *wrong = selector_parse(&s);
    if (wrong)
        fail_msg("\"%s\": %s", text, wrong);
    if (selector_holds(&s, n) != want)
        fail_msg("\"%s\" is %s", text, want ? "false" : "true");
}

static void selectors_say_which_nodes(void **state)
{
    (void)state;
    const struct node n = {.name = "n7",
                           .labels = "zone=a,spot,rack-unit=12",
                           .gpu_model = "V100M16",
                           .gpu_memory_mib = 16384,
                           .switch_path = "spine1/rack3"};
    const struct node bare = {.name = "n8"};
    static const char *const yes[] = {
        "zone=a",
        "zone=b|a",
        "spot",
        "!zone=b",
        "gpu.model=V100M16|A100",
        "node=n7",
        "switch=spine1",
        "switch=spine1/rack3",
        "rack-unit=12",
        "gpu.memory>=16GiB",
        "!!spot",
        "gpu.memory<=16G",
        "gpu.memory=16384M",
        "switch & zone = a|b & !gpu.memory>=32GiB",
    };
    static const char *const no[] = {
        "zone=aa",           "!spot",          "spot=1", "switch=rack3",
        "gpu.memory>=17GiB", "zone=a & !spot", "node=n"};
    holds("zone", &n, true);
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        holds(yes[i], &n, true);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        holds(no[i], &n, false);
    // What a node did not tell is not true of it, and so its contrary is.
    holds("gpu.model", &bare, false);
    holds("gpu.memory<=80GiB", &bare, false);
    holds("switch", &bare, false);
    holds("!zone=a & !spot & !gpu.model=V100M16", &bare, true);
    static const struct {
        const char *text;
        int at;
    } malformed[] = {
        {"", 0},
        {"&", 0},
        {"zone=", 5},
        {"zone=a,b", 6},
        {"a b", 2},
        {"a |b", 2},
        {"a & ", 4},
        {"!", 1},
        {"=a", 0},
        {"gpu.memory", 0},
        {"zone=a & gpu.memory>=16", 21},
        {"gpu.memory>16GiB", 10},
        {"zone>=a", 6},
        {"a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", 31},
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct selector s = {0};
        memcpy(s.text, malformed[i].text, strlen(malformed[i].text) + 1);
        if (!selector_parse(&s))
            fail_msg("\"%s\" has a meaning", malformed[i].text);
        if (s.wrong_at != malformed[i].at)
            fail_msg("\"%s\" is wrong at %d, it is said", malformed[i].text, s.wrong_at);
    }
}

static const char *told(struct site *s)
{
    static char line[4096];
    snprintf(line, sizeof line, "%s", text_str(&s->h.story));
    text_clear(&s->h.story);
    return line;
}

static void constraints_bind_and_preferences_do_not(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 2, .labels = "zone=b"});
    site_join(s, (struct input_hello){.cores = 2, .labels = "zone=a"});
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1}};
    in.submit = (struct input_submit){.req = cores(1, 1), .need = "zone=a"};
    for (int i = 0; i < 3; i++) {
        in.submit.uid.v = ++s->uid;
        harness_step(&s->h, &in);
    }
    assert_int_equal(site_first_part(s, 1)->node.v, 2);
    assert_int_equal(site_first_part(s, 2)->node.v, 2);
    assert_null(site_first_part(s, 3)); // n1 is free and not in the zone
    in.submit.need = NULL;
    in.submit.prefer = "zone=a";
    in.submit.uid.v = ++s->uid;
    in.submit.priority = 1;
    harness_step(&s->h, &in);
    assert_int_equal(site_first_part(s, 4)->node.v, 1);
    assert_int_equal(HASH_CNT(by_id, s->h.c->selectors_by_id), 1); // one text, kept once
    in.submit.need = "zone=c";
    in.submit.uid.v = ++s->uid;
    text_clear(&s->h.story);
    harness_step(&s->h, &in);
    assert_string_equal(told(s), "submission refused: can never run: needs 1 node of this size "
                                 "for which its constraint holds; the cluster has 0\n");
    assert_int_equal(HASH_CNT(by_id, s->h.c->selectors_by_id), 1);
}

static void finish(struct site *s, uint64_t job)
{
    const struct placement *p = site_first_part(s, job);
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = p->node,
                                .session = node_find(s->h.c, p->node)->session,
                                .attempt = {s->h.c->meta.id, p->uid, p->attempt},
                                .started = true,
                                .reason = {.code = REASON_EXITED}};
    harness_step(&s->h, &in);
}

static void parts_of_cores_share_a_pool(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4});
    struct request part = {.tasks = 1, .cpu_milli = 600},
                   more = {.tasks = 1, .cpus = 1, .cpu_milli = 500};
    const struct room *m = &s->h.c->rooms.of[0];
    site_ask(s, part);
    assert_int_equal(m->cores, 3);
    assert_int_equal(m->pool_milli, 400);
    site_ask(s, part); // 200 are missing: the pool grows by core 1
    assert_int_equal(m->cores, 2);
    assert_int_equal(m->pool_milli, 800);
    told(s);
    site_ask(s, more); // core 2 whole, and 500 of what is shared
    assert_non_null(strstr(told(s), "attempt 1, cores 2, 0.5 of shared 0-1, port "));
    assert_int_equal(m->cores, 1);
    assert_int_equal(m->pool_milli, 300);
    assert_true(coreset_has(&site_first_part(s, 3)->cores, 2));
    assert_int_equal(coreset_count(&site_first_part(s, 3)->pool), 2);
    site_ask(s, more); // 200 short of pool cores with the last core taken whole
    assert_null(site_first_part(s, 4));
    finish(s, 1);
    assert_non_null(site_first_part(s, 4));
    finish(s, 2);
    finish(s, 3); // while one is left that shares them, the cores are shared
    assert_int_equal(m->pool_cores, 2);
    assert_int_equal(m->pool_milli, 1500);
    finish(s, 4);
    assert_int_equal(m->cores, 4);
}

static void gpus_are_shared_up_to_the_whole(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 8, .gpus = 2});
    struct request share = {.tasks = 1, .cpus = 1, .gpu_milli = 400},
                   whole = {.tasks = 1, .cpus = 1, .gpus = 1},
                   three = {.tasks = 3, .cpus = 1, .gpu_milli = 300};
    const struct room *m = &s->h.c->rooms.of[0];
    site_ask(s, share);
    told(s);
    site_ask(s, share); // beside the first, so that the other stays whole
    assert_non_null(strstr(told(s), "cores 1, 0.4 of GPU 0, port "));
    assert_int_equal(m->gpus, 1);
    assert_int_equal(site_first_part(s, 2)->gpus, 1);
    site_ask(s, whole);
    assert_int_equal(site_first_part(s, 3)->gpus, 2);
    site_ask(s, share);
    assert_null(site_first_part(s, 4));
    finish(s, 3);
    assert_int_equal(site_first_part(s, 4)->gpus, 2);
    site_ask(s, three); // 200 and 600 are free: room for two
    assert_null(site_first_part(s, 5));
    finish(s, 1);
    assert_int_equal(site_first_part(s, 5)->shares.milli[0], 600);
    assert_int_equal(site_first_part(s, 5)->shares.milli[1], 300);
}

static void exclusive_nodes_are_whole_and_alone(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4, .gpus = 1, .memory_mib = 100});
    site_join(s, (struct input_hello){.cores = 4, .gpus = 1, .memory_mib = 100});
    struct request alone = {.tasks = 1, .cpus = 1, .exclusive = true};
    site_ask(s, cores(1, 1));
    site_ask(s, alone);
    assert_int_equal(site_first_part(s, 2)->node.v, 2);
    assert_int_equal(coreset_count(&site_first_part(s, 2)->cores), 4);
    assert_int_equal(site_first_part(s, 2)->gpus, 1);
    assert_int_equal(site_first_part(s, 2)->memory_mib, 100);
    site_ask(s, alone);
    assert_null(site_first_part(s, 3));
    finish(s, 1);
    assert_int_equal(site_first_part(s, 3)->node.v, 1);
}

static int parts_of(struct site *s, uint64_t job)
{
    int count = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &job_find(s->h.c, (struct job_id){job})->parts, job_link)
    count++;
    return count;
}

static void spread_pack_and_tasks_a_node(void **state)
{
    struct site *s = *state;
    for (int i = 0; i < 4; i++)
        site_join(s, (struct input_hello){.cores = 4});
    struct request pack = cores(4, 1), spread = cores(6, 1), two = cores(4, 1);
    spread.spread = true;
    two.tasks_per_node = 2;
    site_ask(s, pack);
    assert_int_equal(parts_of(s, 1), 1);
    finish(s, 1);
    site_ask(s, spread);
    assert_int_equal(parts_of(s, 2), 4);
    assert_int_equal(site_first_part(s, 2)->tasks, 2); // 2, 2, 1, 1
    finish(s, 2);
    site_ask(s, two);
    assert_int_equal(parts_of(s, 3), 2);
}

static void cores_and_gpus_of_one_numa_domain(void **state)
{
    struct site *s = *state;
    site_join(s,
              (struct input_hello){.cores = 8, .gpus = 4, .numa_cores = "4,4", .gpu_numa = "1001"});
    struct request two = {.tasks = 2, .cpus = 1, .gpus = 1}, one = {.tasks = 1, .cpus = 3},
                   wide = {.tasks = 1, .cpus = 3, .gpus = 1};
    site_ask(s, two); // both domains have two GPUs: the first of equals
    assert_int_equal(site_first_part(s, 1)->gpus, 0x6);
    assert_true(coreset_has(&site_first_part(s, 1)->cores, 0));
    site_ask(s, one); // domain 0 has two cores left
    assert_true(coreset_has(&site_first_part(s, 2)->cores, 4));
    site_ask(s, wide); // no domain holds it: GPUs are in domain 1
    assert_int_equal(site_first_part(s, 3)->gpus, 0x1);
    assert_true(coreset_has(&site_first_part(s, 3)->cores, 7));
    assert_true(coreset_has(&site_first_part(s, 3)->cores, 2));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_cluster_as_it_will_be),
        TEST(what_is_promised_is_left_to_shorter_jobs),
        cmocka_unit_test(selectors_say_which_nodes),
        TEST(constraints_bind_and_preferences_do_not),
        TEST(parts_of_cores_share_a_pool),
        TEST(gpus_are_shared_up_to_the_whole),
        TEST(exclusive_nodes_are_whole_and_alone),
        TEST(spread_pack_and_tasks_a_node),
        TEST(cores_and_gpus_of_one_numa_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
