// Reservations of operators: who may be on a node when, what becomes of members, which nodes are
// chosen, and what is refused.
#include "tests/unit/core_yard.h"

#include "scheduler/core/state.h"
#include "scheduler/core/why.h"

static const int64_t SECOND = 1000, HOUR = 3600000, DAY = 86400000;

struct scene {
    struct yard y;
    struct text said;
};

static void on_effect(void *arg, const struct effect *e)
{
    struct scene *s = arg;
    yard_on_effect(&s->y, e);
    if (e->kind != EFFECT_REPLY)
        return;
    if (e->reply.ok)
        text_add(&s->said, "ok");
    else
        reason_text(&e->reply.reason, NULL, e->reply.detail, &s->said);
}

static void begin(struct scene *s, size_t nodes)
{
    *s = (struct scene){0};
    yard_init(&s->y, nodes, 4);
    s->y.h.on_effect = on_effect;
    s->y.h.arg = s;
}

static void finish(struct scene *s)
{
    harness_compare(&s->y.h);
    harness_restart(&s->y.h, true);
    harness_compare(&s->y.h);
    yard_fini(&s->y);
    text_free(&s->said);
}

static void expect_said(struct scene *s, const char *want)
{
    assert_string_equal(text_str(&s->said), want);
    text_clear(&s->said);
}

// A reservation that begins in so many seconds from now; "key=value ..." for the rest.
static void set(struct scene *s, const char *name, int64_t in_s, int64_t lasts_s,
                const char *settings)
{
    struct rule r;
    struct err err;
    char key[64], value[128];
    int n;
    rule_init(&r, RULE_RESERVATION);
    const struct rule_entry *p = rule_find(s->y.h.c, RULE_RESERVATION, name);
    if (p)
        memcpy(&r, p->row, rule_size(RULE_RESERVATION));
    snprintf(r.reservation.name, sizeof r.reservation.name, "%s", name);
    r.reservation.start_ms = s->y.h.now.wall_ms + in_s * SECOND;
    r.reservation.duration_ms = lasts_s * SECOND;
    for (const char *at = settings; sscanf(at, " %63[^=]=%127s%n", key, value, &n) == 2; at += n)
        if (rule_set_text(&r, rule_field(RULE_RESERVATION, key), value, &err))
            fail_msg("%s", err.message);
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.reply_to = 1, .admin = true}};
    in.rule.row = &r;
    in.rule.mode = RULE_PUT;
    harness_step(&s->y.h, &in);
    yard_settle(&s->y);
}

static void must_set(struct scene *s, const char *name, int64_t in_s, int64_t lasts_s,
                     const char *settings)
{
    text_clear(&s->said);
    set(s, name, in_s, lasts_s, settings);
    expect_said(s, "ok");
    text_clear(&s->y.h.story);
}

static void drop(struct scene *s, const char *name)
{
    struct input in = {.kind = INPUT_RULE_REMOVE, .caller = {.reply_to = 1, .admin = true}};
    in.rule_name.kind = RULE_RESERVATION;
    in.rule_name.name = name;
    harness_step(&s->y.h, &in);
    yard_settle(&s->y);
}

static struct request ask(int32_t cpus, int64_t limit_s)
{
    return (struct request){.tasks = 1, .cpus = cpus, .time_limit_ms = limit_s * SECOND};
}

static uint64_t member(struct scene *s, const char *of, struct request req, int64_t runs_s)
{
    return yard_submit_as(&s->y, (struct input_submit){.req = req, .reservation = of},
                          runs_s * SECOND);
}

static int64_t started(const struct scene *s, uint64_t id)
{
    return s->y.started_ms[id] ? (s->y.started_ms[id] - 1000) / SECOND : -1;
}

static enum reason_code waits_for(struct scene *s, uint64_t id)
{
    return cluster_reason(s->y.h.c, cluster_job(s->y.h.c, (struct job_id){id}))->code;
}

static void maintenance_keeps_nodes_free(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 1);
    must_set(&s, "upgrade", 20, 40, "nodes=n1 maintenance=true");
    uint64_t minute = yard_submit(&s.y, ask(4, 61), 60 * SECOND);
    assert_int_equal(waits_for(&s, minute), REASON_RESERVED);
    assert_non_null(strstr(text_str(&s.y.h.story),
                           "job 1 waits because nodes it would run on are kept by reservation "
                           "\"upgrade\" (maintenance) from 2023-11-14T22:13:40Z to "
                           "2023-11-14T22:14:20Z"));
    uint64_t fills = yard_submit(&s.y, ask(1, 15), 5 * SECOND);
    uint64_t grace = yard_submit(
        &s.y, (struct request){.tasks = 1, .cpus = 1, .time_limit_ms = 15000, .grace_ms = 6000},
        SECOND);
    uint64_t endless = yard_submit(&s.y, ask(1, 0), 5 * SECOND);
    yard_run(&s.y, 30 * SECOND);
    assert_int_equal(started(&s, fills), 0);
    assert_int_equal(started(&s, minute), -1);
    assert_int_equal(started(&s, grace), -1);
    yard_run(&s.y, 300 * SECOND);
    assert_int_equal(started(&s, minute), 60);
    assert_int_equal(started(&s, grace), 120);
    assert_int_equal(started(&s, endless), 120);
    finish(&s);
}

static void removing_it_frees_the_nodes_at_once(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 1);
    must_set(&s, "upgrade", 20, 40, "nodes=n1 maintenance=true");
    uint64_t minute = yard_submit(&s.y, ask(4, 60), 60 * SECOND);
    yard_run(&s.y, 10 * SECOND);
    drop(&s, "upgrade");
    assert_int_equal(started(&s, minute), 10);
    finish(&s);
}

static void members_run_inside(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 2);
    uint64_t first = yard_submit(&s.y, ask(4, 10), 10 * SECOND); // makes the user's row
    must_set(&s, "class", 30, 60, "nodes=n1 accounts=default repeat=daily");
    uint64_t in = member(&s, "class", ask(4, 20), 20), like = member(&s, "class", ask(4, 20), 20);
    uint64_t large = member(&s, "class", ask(4, 25), 25);
    uint64_t endless = member(&s, "class", ask(4, 0), 1000);
    assert_int_equal(waits_for(&s, in), REASON_RESERVATION_BEGINS);
    uint64_t other = yard_submit(&s.y, ask(4, 60), 60 * SECOND); // on n2
    yard_run(&s.y, 100 * SECOND);
    assert_int_equal(started(&s, first), 0);
    assert_int_equal(started(&s, other), 0);
    assert_int_equal(started(&s, in), 30);
    assert_int_equal(started(&s, like), 50);
    assert_int_equal(started(&s, large), -1); // it would not end before 90
    assert_int_equal(started(&s, endless), 70);
    assert_int_equal(yard_state(&s.y, endless), JOB_TIMED_OUT);
    assert_int_equal(s.y.h.jobs[endless - 1].reason.code, REASON_RESERVATION_ENDED);
    assert_int_equal(s.y.h.jobs[endless - 1].ended_at_ms - 1700000000000, 90 * SECOND);
    assert_int_equal(waits_for(&s, large), REASON_RESERVATION_BEGINS);
    yard_run(&s.y, DAY);
    assert_int_equal(started(&s, large), 30 + DAY / SECOND);
    finish(&s);
}

static void what_can_never_be_is_refused(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 1);
    yard_submit(&s.y, ask(1, 10), 10 * SECOND);
    must_set(&s, "night", 30, 3600, "nodes=n1 accounts=default repeat=daily");
    s.y.owner = 7;
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){.uid = {99}, .owner_uid = 7, .req = ask(1, 0)};
    harness_step(&s.y.h, &in);
    expect_said(&s, "can never run: each node that could hold it is reserved again before it would "
                    "have ended");
    in.submit.req = ask(1, 23 * 3600);
    harness_step(&s.y.h, &in);
    expect_said(&s, "ok");
    in.submit = (struct input_submit){
        .uid = {98}, .owner_uid = 7, .req = ask(1, 3601), .reservation = "night"};
    harness_step(&s.y.h, &in);
    expect_said(&s, "can never run: the nodes of its reservation cannot hold it, or not for long "
                    "enough");
    in.submit.reservation = "day";
    harness_step(&s.y.h, &in);
    expect_said(&s, "there is no reservation \"day\"; known: night");
    must_set(&s, "fix", 50000, 60, "nodes=n1 maintenance=true");
    in.submit.reservation = "fix";
    harness_step(&s.y.h, &in);
    expect_said(&s, "is not allowed: nothing runs in reservation \"fix\": it is for maintenance");
    drop(&s, "night");
    expect_said(&s, "ok");
    finish(&s);
}

static void over_for_good_is_told(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 1);
    yard_submit(&s.y, ask(1, 10), 10 * SECOND);
    must_set(&s, "once", 30, 60, "nodes=n1 accounts=default");
    uint64_t a = member(&s, "once", ask(4, 40), 40), b = member(&s, "once", ask(4, 30), 30);
    yard_run(&s.y, 200 * SECOND);
    assert_int_equal(started(&s, a), 30);
    assert_int_equal(started(&s, b), -1);
    assert_int_equal(waits_for(&s, b), REASON_RESERVATION_OVER);
    text_clear(&s.said);
    drop(&s, "once");
    expect_said(&s, "cannot remove reservation \"once\": 1 job that lives, as job 3");
    finish(&s);
}

static void two_do_not_share_a_node(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 2);
    must_set(&s, "a", 30, 60, "nodes=n1 accounts=default repeat=daily");
    set(&s, "b", 3 * 86400 + 80, 60, "nodes=n[1-2] accounts=default");
    expect_said(&s, "this cannot be: reservation \"a\" has node n1 at a time of this one");
    must_set(&s, "b", 3 * 86400 + 90, 60, "nodes=n[1-2] accounts=default");
    must_set(&s, "fix", 60, 60, "nodes=n1 maintenance=true");
    set(&s, "c", 100, 7200, "node_count=2 accounts=default");
    expect_said(&s, "ok");
    assert_string_equal(rule_find(s.y.h.c, RULE_RESERVATION, "c")->row->reservation.chosen,
                        "n[1-2]");
    drop(&s, "c");
    text_clear(&s.said);
    set(&s, "c", 80, 60, "node_count=2 accounts=default");
    expect_said(&s, "this cannot be: it wants 2 nodes, and 1 are usable, in no other reservation "
                    "then, and free of jobs by its start (ignore_jobs=true takes others too)");
    finish(&s);
}

static void running_jobs_are_in_the_way(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 3);
    yard_submit(&s.y, ask(4, 100), 100 * SECOND);
    uint64_t n2 = yard_submit(&s.y, ask(4, 20), 20 * SECOND);
    set(&s, "fix", 50, 60, "nodes=n[1-2] maintenance=true");
    expect_said(&s, "this cannot be: jobs run there that may not have ended when it begins: 1 on "
                    "n1; ignore_jobs=true lets them run on");
    must_set(&s, "fix", 50, 60, "nodes=n[1-2] maintenance=true ignore_jobs=true");
    uint64_t late = yard_submit(&s.y, ask(4, 70), 70 * SECOND);
    must_set(&s, "some", 200, 60, "node_count=2 accounts=default");
    assert_string_equal(rule_find(s.y.h.c, RULE_RESERVATION, "some")->row->reservation.chosen,
                        "n[1-2]");
    yard_run(&s.y, 400 * SECOND);
    assert_int_equal(started(&s, n2), 0);
    assert_int_equal(started(&s, late), 0); // on n3
    finish(&s);
}

static void a_large_job_is_planned_past_the_window(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 2);
    must_set(&s, "fix", 50, 50, "nodes=n1 maintenance=true");
    struct request both = {.tasks = 2, .nodes = 2, .cpus = 4, .time_limit_ms = 60 * SECOND};
    uint64_t large = yard_submit(&s.y, both, 60 * SECOND);
    uint64_t fills = yard_submit(&s.y, ask(4, 100), 100 * SECOND);    // n2 until 100
    uint64_t too_long = yard_submit(&s.y, ask(4, 101), 101 * SECOND); // would delay it
    yard_run(&s.y, 400 * SECOND);
    assert_int_equal(started(&s, fills), 0);
    assert_int_equal(started(&s, large), 100);
    assert_int_equal(started(&s, too_long), 160);
    finish(&s);
}

static void the_wall_clock_is_set(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 1);
    must_set(&s, "fix", 3600, 60, "nodes=n1 maintenance=true");
    s.y.h.now.wall_ms += HOUR - 30 * SECOND;
    uint64_t minute = yard_submit(&s.y, ask(4, 60), 60 * SECOND);
    assert_int_equal(started(&s, minute), -1);
    yard_run(&s.y, 200 * SECOND);
    assert_int_equal(started(&s, minute), 90);
    finish(&s);
}

static void a_lost_node_gives_way_to_another(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 3);
    must_set(&s, "c", 100, 60, "node_count=1 accounts=default repeat=daily");
    struct input in = {.kind = INPUT_NODE_DRAIN, .caller = {.admin = true}};
    in.node.name = "n1";
    harness_step(&s.y.h, &in);
    yard_run(&s.y, 99 * SECOND);
    const struct rule_entry *p = rule_find(s.y.h.c, RULE_RESERVATION, "c");
    assert_string_equal(p->row->reservation.chosen, "n1");
    yard_run(&s.y, SECOND);
    assert_string_equal(p->row->reservation.chosen, "n2");
    finish(&s);
}

static void spans_meet_or_not(void **state)
{
    (void)state;
    const int64_t t = 1700000000000;
    const struct span daily = {t, HOUR, DAY}, weekly = {t + 2 * HOUR, HOUR, 7 * DAY},
                      once = {t + 9 * DAY + HOUR / 2, HOUR, 0};
    assert_false(spans_meet(&daily, &weekly, t));
    assert_false(spans_meet(&weekly, &daily, t));
    assert_true(spans_meet(&daily, &once, t) && spans_meet(&once, &daily, t));
    assert_false(spans_meet(&daily, &once, once.start_ms + HOUR));
    const struct span touches = {t - 3 * DAY + HOUR / 2, HOUR, 7 * DAY};
    assert_true(spans_meet(&touches, &daily, t) && spans_meet(&daily, &touches, t));
    const struct span after = {t + HOUR, HOUR, 0};
    assert_false(spans_meet(&after, &daily, t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maintenance_keeps_nodes_free),
        cmocka_unit_test(removing_it_frees_the_nodes_at_once),
        cmocka_unit_test(members_run_inside),
        cmocka_unit_test(what_can_never_be_is_refused),
        cmocka_unit_test(over_for_good_is_told),
        cmocka_unit_test(two_do_not_share_a_node),
        cmocka_unit_test(running_jobs_are_in_the_way),
        cmocka_unit_test(a_large_job_is_planned_past_the_window),
        cmocka_unit_test(the_wall_clock_is_set),
        cmocka_unit_test(a_lost_node_gives_way_to_another),
        cmocka_unit_test(spans_meet_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
