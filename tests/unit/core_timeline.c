// The worked examples of docs/scheduling.md about the order of the queue: blocks marked "queue".
//
//     nodes=2 cores=4 reservations=1      the cluster; other words: weights, age_full (seconds)
//     A cpus=3 limit=60 runs=20 -> 0      a job and when it starts, in seconds, each time that it
//                                         does; at=T: submitted
//     queue q order=fifo                  a queue; jobs name it by queue=NAME
//     reserve x nodes=n1 start=60 lasts=60 repeat=daily maintenance=true
//                                         a reservation, in seconds from now; jobs name it by in=x
//     B qos=low grace=20 -> 60,90         it was stopped meanwhile, and placed again
//
// A job that is preempted goes on from there where a queue is named, else it begins anew.
// A job runs as long as its limit unless `runs` says otherwise; without a limit, 10 s. With
// preempting=1 there are QoS "high" and "low", whose jobs it may preempt, in so far as min_run
// (seconds) and cancel=1 say; with stop=T a job takes so long to stop.
#include "tests/unit/core_yard.h"

enum { JOBS = 32 };

static const int64_t SECOND = 1000;

struct example {
    struct yard y;
    bool open, steps;
    uint64_t ids[JOBS];
    int64_t begin_s;       // of the newest job that has one
    char starts[JOBS][64]; // seconds, joined by ","
    char names[JOBS][16];
    size_t count, blocks, jobs;
};

// The number behind "WORD=" in the line; `otherwise` if it is not there.
static int64_t number(const char *line, const char *word, int64_t otherwise)
{
    AUTO_FREE char *key = xasprintf(" %s=", word);
    AUTO_FREE char *spaced = xasprintf(" %s", line);
    const char *at = strstr(spaced, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : otherwise;
}

static void create(struct example *e, const struct rule *row)
{
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = row;
    in.rule.mode = RULE_CREATE;
    harness_step(&e->y.h, &in);
}

static void make_qos(struct example *e, const char *line)
{
    struct rule low, high;
    rule_init(&low, RULE_QOS);
    rule_init(&high, RULE_QOS);
    snprintf(low.qos.name, sizeof low.qos.name, "low");
    snprintf(high.qos.name, sizeof high.qos.name, "high");
    snprintf(high.qos.preempts, sizeof high.qos.preempts, "low");
    high.qos.priority = 10;
    low.qos.min_run_time_ms = number(line, "min_run", 0) * SECOND;
    if (number(line, "cancel", 0))
        snprintf(low.qos.preempt_mode, sizeof low.qos.preempt_mode, "cancel");
    create(e, &low);
    create(e, &high);
}

static void begin(struct example *e, const char *line)
{
    struct settings_rule q = harness_settings();
    yard_init(&e->y, (size_t)number(line, "nodes", 1), (int32_t)number(line, "cores", 4));
    q.backfill_reservations = number(line, "reservations", q.backfill_reservations);
    q.weight_priority = number(line, "weight_priority", q.weight_priority);
    q.weight_age = number(line, "weight_age", q.weight_age);
    q.weight_size = number(line, "weight_size", q.weight_size);
    q.weight_nice = number(line, "weight_nice", q.weight_nice);
    q.age_full_ms = number(line, "age_full", q.age_full_ms / SECOND) * SECOND;
    yard_set(&e->y, q);
    e->steps = number(line, "preempting", 0);
    if (e->steps)
        make_qos(e, line);
    e->y.stop_ms = number(line, "stop", 0) * SECOND;
    e->open = true;
    e->count = 0;
    e->begin_s = 0;
    e->blocks++;
}

// What follows the word, as "queue=", in the line; NULL: nothing does.
static const char *name_in_line(const char *line, const char *word, char ret[RULE_NAME_SIZE])
{
    for (const char *at = strchr(line, ' '); at; at = strchr(at + 1, ' '))
        if (strncmp(at, word, strcspn(word, "=") + 1) == 0)
            return sscanf(strchr(at, '=') + 1, "%63s", ret) == 1 ? ret : NULL;
    return NULL;
}

// start and lasts are seconds, all else are settings. For all users unless it is maintenance.
static void reserve(struct example *e, const char *line)
{
    struct rule r;
    struct err err;
    char key[64], value[128];
    int n = 0;
    rule_init(&r, RULE_RESERVATION);
    CHECK(sscanf(line, "reserve %63s%n", r.reservation.name, &n) == 1);
    r.reservation.start_ms = e->y.h.now.wall_ms + number(line, "start", 0) * SECOND;
    r.reservation.duration_ms = number(line, "lasts", 0) * SECOND;
    for (const char *at = line + n; sscanf(at, " %63[^=]=%127s%n", key, value, &n) == 2; at += n)
        if (strcmp(key, "start") && strcmp(key, "lasts"))
            CHECKF(rule_set_text(&r, rule_field(RULE_RESERVATION, key), value, &err) == 0, "%s",
                   err.message);
    if (!r.reservation.maintenance)
        snprintf(r.reservation.accounts, sizeof r.reservation.accounts, "default");
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = &r;
    in.rule.mode = RULE_CREATE;
    harness_step(&e->y.h, &in);
    CHECKF(rule_find(e->y.h.c, RULE_RESERVATION, r.reservation.name), "\"%s\" was refused", line);
    yard_settle(&e->y);
}

// In small steps where time alone brings something.
static void advance(struct example *e, int64_t ms)
{
    for (; e->steps && ms > SECOND; ms -= SECOND)
        yard_run(&e->y, SECOND);
    yard_run(&e->y, ms);
}

// "dep=afterok:A:B,singleton": jobs by their names in the example.
static size_t depends_of(const struct example *e, const char *line, struct depend_asked *ret)
{
    const char *at = strstr(line, " dep=");
    AUTO_FREE char *list = at ? xstrndup(at + 5, strcspn(at + 5, " ")) : xstrdup("");
    size_t count = 0;
    char *outer, *inner;
    for (char *k = strtok_r(list, ",", &outer); k; k = strtok_r(NULL, ",", &outer)) {
        const char *word = strtok_r(k, ":", &inner), *name = strtok_r(NULL, ":", &inner);
        enum depend_kind kind = DEPEND_AFTER;
        while (strcmp(depend_word(kind), word) != 0)
            CHECK(++kind < DEPEND_KIND_COUNT);
        if (!name)
            ret[count++] = (struct depend_asked){.kind = kind, .element = ELEMENT_NONE};
        for (; name; name = strtok_r(NULL, ":", &inner)) {
            size_t i = 0;
            while (strcmp(e->names[i], name) != 0)
                CHECKF(++i < e->count, "\"%s\" waits for no job of the example", line);
            ret[count++] =
                (struct depend_asked){.kind = kind, .job = {e->ids[i]}, .element = ELEMENT_NONE};
        }
    }
    return count;
}

static int64_t wall_of(const struct example *e, int64_t at_s)
{
    return at_s ? e->y.h.now.wall_ms - e->y.h.now.boot_ms + 1000 + at_s * SECOND : 0;
}

static void submit(struct example *e, const char *line)
{
    struct depend_asked depends[JOBS];
    int64_t limit_s = number(line, "limit", 0), at_ms = 1000 + number(line, "at", 0) * SECOND;
    const char *arrow = strstr(line, "->");
    CHECKF(arrow && e->count < JOBS, "\"%s\" has no start", line);
    char queue[RULE_NAME_SIZE], in[RULE_NAME_SIZE];
    struct input_submit s = {
        .req = {.tasks = (int32_t)number(line, "tasks", 1),
                .nodes = (int32_t)number(line, "nodes", 0),
                .cpus = (int32_t)number(line, "cpus", 1),
                .time_limit_ms = limit_s * SECOND,
                .grace_ms = number(line, "grace", 0) * SECOND},
        .priority = (int32_t)number(line, "priority", 0),
        .nice = (int32_t)number(line, "nice", 0),
        .queue = name_in_line(line, " queue=%63s", queue),
        .reservation = name_in_line(line, " in=%63s", in),
        .qos = strstr(line, " qos=high")  ? "high"
               : strstr(line, " qos=low") ? "low"
                                          : NULL,
    };
    if (at_ms > e->y.h.now.boot_ms)
        advance(e, at_ms - e->y.h.now.boot_ms);
    e->begin_s = number(line, "begin", e->begin_s);
    s.begin_ms = wall_of(e, number(line, "begin", 0));
    s.deadline_ms = wall_of(e, number(line, "deadline", 0));
    s.depends = depends;
    s.depends_count = depends_of(e, line, depends);
    s.name_key = (uint64_t)number(line, "name", 0);
    sscanf(line, "%15s", e->names[e->count]);
    sscanf(arrow + 2, "%63s", e->starts[e->count]);
    e->ids[e->count++] =
        yard_submit_as(&e->y, s, number(line, "runs", limit_s ? limit_s : 10) * SECOND);
    e->jobs++;
}

static void finish(struct example *e)
{
    if (!e->open)
        return;
    if (e->begin_s * SECOND + 1000 > e->y.h.now.boot_ms)
        advance(e, e->begin_s * SECOND + 1000 - e->y.h.now.boot_ms);
    advance(e, (e->steps ? 1000 : 100000) * SECOND);
    for (size_t i = 0; i < e->count; i++) {
        AUTO(text) struct text starts = {0};
        for (size_t k = 0; k < e->y.starts_count; k++)
            if (e->y.starts[k].job == e->ids[i])
                text_addf(&starts, "%s%" PRId64, starts.len ? "," : "",
                          (e->y.starts[k].at_ms - 1000) / SECOND);
        if (strcmp(starts.len ? text_str(&starts) : "never", e->starts[i]) != 0)
            fail_msg("example %zu: job %s starts at %s, not at %s", e->blocks, e->names[i],
                     text_str(&starts), e->starts[i]);
    }
    yard_fini(&e->y);
    e->open = false;
}

static void examples_of_the_page(void **state)
{
    (void)state;
    FILE *f = fopen("docs/scheduling.md", "r");
    char line[256];
    bool inside = false;
    struct example e = {0};
    assert_non_null(f); // tests run in the checkout's root
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, "```queue") == 0) {
            inside = true;
        } else if (inside && strcmp(line, "```") == 0) {
            finish(&e);
            inside = false;
        } else if (inside && !e.open) {
            begin(&e, line);
        } else if (inside && strncmp(line, "queue ", 6) == 0) {
            harness_queue(&e.y.h, line + 6);
            e.y.keeps = e.y.wakes = true;
        } else if (inside && strncmp(line, "reserve ", 8) == 0) {
            reserve(&e, line);
        } else if (inside && *line) {
            submit(&e, line);
        }
    }
    fclose(f);
    printf("# %zu examples, %zu jobs\n", e.blocks, e.jobs);
    assert_true(e.blocks >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples_of_the_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
