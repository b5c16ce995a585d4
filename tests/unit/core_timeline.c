// The worked examples of docs/scheduling.md about the order of the queue: blocks marked "queue".
//
//     nodes=2 cores=4 reservations=1      the cluster; other words: weights, age_full (seconds)
//     A cpus=3 limit=60 runs=20 -> 0      a job and when it starts, in seconds; at=T: submitted
//     queue q order=fifo                  a queue; jobs name it by queue=NAME
//
// A job runs as long as its limit unless `runs` says otherwise; without a limit, 10 s.
#include "tests/unit/core_yard.h"

enum { JOBS = 32, NEVER = -1 };

static const int64_t SECOND = 1000;

struct example {
    struct yard y;
    bool open;
    uint64_t ids[JOBS];
    int64_t starts_s[JOBS];
    int64_t begin_s; // of the newest job that has one
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

static void begin(struct example *e, const char *line)
{
    struct queueing q = QUEUEING_DEFAULT;
    yard_init(&e->y, (size_t)number(line, "nodes", 1), (int32_t)number(line, "cores", 4));
    q.reservations = number(line, "reservations", q.reservations);
    q.weight_priority = number(line, "weight_priority", q.weight_priority);
    q.weight_age = number(line, "weight_age", q.weight_age);
    q.weight_size = number(line, "weight_size", q.weight_size);
    q.weight_nice = number(line, "weight_nice", q.weight_nice);
    q.age_full_ms = number(line, "age_full", q.age_full_ms / SECOND) * SECOND;
    yard_queueing(&e->y, q);
    e->open = true;
    e->count = 0;
    e->begin_s = 0;
    e->blocks++;
}

// What follows "queue=" in the line; NULL: nothing does.
static const char *queue_of_line(const char *line, char ret[RULE_NAME_SIZE])
{
    const char *at = strstr(line, " queue=");
    return at && sscanf(at, " queue=%63s", ret) == 1 ? ret : NULL;
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
    char queue[RULE_NAME_SIZE];
    struct input_submit s = {
        .req = {.tasks = (int32_t)number(line, "tasks", 1),
                .nodes = (int32_t)number(line, "nodes", 0),
                .cpus = (int32_t)number(line, "cpus", 1),
                .time_limit_ms = limit_s * SECOND},
        .priority = (int32_t)number(line, "priority", 0),
        .nice = (int32_t)number(line, "nice", 0),
        .queue = queue_of_line(line, queue),
    };
    if (at_ms > e->y.h.now.boot_ms)
        yard_run(&e->y, at_ms - e->y.h.now.boot_ms);
    e->begin_s = number(line, "begin", e->begin_s);
    s.begin_ms = wall_of(e, number(line, "begin", 0));
    s.deadline_ms = wall_of(e, number(line, "deadline", 0));
    s.depends = depends;
    s.depends_count = depends_of(e, line, depends);
    s.name_key = (uint64_t)number(line, "name", 0);
    sscanf(line, "%15s", e->names[e->count]);
    e->starts_s[e->count] = strstr(arrow, "never") ? NEVER : strtoll(arrow + 2, NULL, 10);
    e->ids[e->count++] =
        yard_submit_as(&e->y, s, number(line, "runs", limit_s ? limit_s : 10) * SECOND);
    e->jobs++;
}

static void finish(struct example *e)
{
    if (!e->open)
        return;
    if (e->begin_s * SECOND + 1000 > e->y.h.now.boot_ms)
        yard_run(&e->y, e->begin_s * SECOND + 1000 - e->y.h.now.boot_ms);
    yard_run(&e->y, 100000 * SECOND);
    for (size_t i = 0; i < e->count; i++) {
        int64_t started_s = (e->y.started_ms[e->ids[i]] - 1000) / SECOND;
        bool never = !e->y.started_ms[e->ids[i]];
        if (never ? e->starts_s[i] != NEVER : started_s != e->starts_s[i])
            fail_msg("example %zu: job %s starts at %" PRId64 ", not at %" PRId64, e->blocks,
                     e->names[i], started_s, e->starts_s[i]);
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
