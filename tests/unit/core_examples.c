// The examples of docs/scheduling.md, run: what the page says is what the core does.
//
// In a block that begins with ```example a line is: `policy WORD`; `node NAME key=value ...`;
// `usual COUNT key=value ...`; `queue NAME key=value ...`; `job key=value ...` and `-> where it
// went`, or `-> it waits`; `end N` ends the N-th job. need= and prefer= take the rest of their
// line.
#include "tests/unit/core_harness.h"

#include "common/text.h"
#include "scheduler/core/state.h"

#include <math.h>
#include <stdio.h>

enum { WORDS_MAX = 16, USUAL_MAX = 8 };

struct example {
    struct harness h;
    bool running;
    struct cluster_limits limits;
    uint64_t session, link, uid;
    struct typical usual[USUAL_MAX];
    char needs[USUAL_MAX][64];
    size_t usual_count;
    int line, checked;
};

static void on_effect(void *arg, const struct effect *e)
{
    struct example *x = arg;
    if (e->kind == EFFECT_WELCOME)
        x->session = e->session;
}

static void begin(struct example *x)
{
    if (x->running)
        return;
    harness_init_with(&x->h, x->limits);
    x->h.on_effect = on_effect;
    x->h.arg = x;
    x->running = true;
}

static void finish(struct example *x)
{
    if (x->running) {
        harness_compare(&x->h);
        harness_fini(&x->h);
    }
    int line = x->line, checked = x->checked;
    *x = (struct example){.line = line, .checked = checked, .limits = CLUSTER_LIMITS_DEFAULT};
}

static const char *value(char *const *words, const char *key)
{
    size_t len = strlen(key);
    for (; *words; words++)
        if (strncmp(*words, key, len) == 0 && (*words)[len] == '=')
            return *words + len + 1;
    return NULL;
}

static int32_t number(char *const *words, const char *key, int32_t otherwise)
{
    const char *v = value(words, key);
    return v ? (int32_t)strtol(v, NULL, 10) : otherwise;
}

static struct request request(char *const *words)
{
    return (struct request){
        .tasks = number(words, "tasks", 1),
        .nodes = number(words, "nodes", 0),
        .cpus = number(words, "cpus", number(words, "cpu_milli", 0) ? 0 : 1),
        .cpu_milli = number(words, "cpu_milli", 0),
        .gpus = number(words, "gpus", 0),
        .gpu_milli = number(words, "gpu_milli", 0),
        .memory_mib = number(words, "memory_mib", 0),
        .tasks_per_node = number(words, "tasks_per_node", 0),
        .exclusive = number(words, "exclusive", 0),
        .spread = number(words, "spread", 0),
    };
}

static void node(struct example *x, char *const *words)
{
    begin(x);
    uint32_t id = (uint32_t)x->h.c->nodes_count + 1;
    struct input up = {.kind = INPUT_LINK_UP};
    up.link_up.name = words[1];
    up.link_up.link = ++x->link;
    harness_step(&x->h, &up);
    struct input in = {.kind = INPUT_HELLO};
    in.hello = (struct input_hello){
        .node = {id},
        .session = x->session,
        .inc = {.boot_id = "b", .state_id = id},
        .term_seen = x->h.meta.term,
        .journal_intact = true,
        .request = 1,
        .cores = number(words, "cores", 0),
        .gpus = number(words, "gpus", 0),
        .memory_mib = number(words, "memory_mib", 0),
        .labels = value(words, "labels"),
        .gpu_model = value(words, "model"),
        .switch_path = value(words, "switch"),
        .numa_cores = value(words, "numa_cores"),
        .gpu_numa = value(words, "gpu_numa"),
    };
    snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "m%u", id);
    harness_step(&x->h, &in);
}

static void usual(struct example *x, char *const *words)
{
    assert_true(x->usual_count < USUAL_MAX);
    struct typical *t = &x->usual[x->usual_count];
    *t = (struct typical){.req = request(words), .count = strtol(words[1], NULL, 10)};
    const char *need = value(words, "need");
    if (need) {
        snprintf(x->needs[x->usual_count], sizeof x->needs[0], "%s", need);
        t->need = x->needs[x->usual_count];
    }
    x->usual_count++;
    begin(x);
    cluster_set_typical(x->h.c, x->usual, x->usual_count);
}

static void job(struct example *x, char *const *words)
{
    begin(x);
    struct input in = {.kind = INPUT_SUBMIT};
    in.submit = (struct input_submit){.uid = {++x->uid},
                                      .req = request(words),
                                      .need = value(words, "need"),
                                      .prefer = value(words, "prefer"),
                                      .queue = value(words, "queue"),
                                      .allow_unsatisfiable = true};
    harness_step(&x->h, &in);
}

static void end_job(struct example *x, uint64_t id)
{
    const struct placement *p;
    while ((p = TAILQ_FIRST(&job_find(x->h.c, (struct job_id){id})->parts))) {
        struct input in = {.kind = INPUT_END};
        in.end = (struct input_end){.node = p->node,
                                    .session = node_find(x->h.c, p->node)->session,
                                    .attempt = {x->h.c->meta.id, p->uid, p->attempt},
                                    .started = true,
                                    .reason = {.code = REASON_EXITED}};
        harness_step(&x->h, &in);
        if (!job_find(x->h.c, (struct job_id){id}))
            return;
    }
}

static void say_part(const struct cluster *c, const struct placement *p, struct text *t)
{
    struct coreset gpus = {.w = {p->gpus}};
    text_addf(t, "%s%s", t->len ? "; " : "", node_find(c, p->node)->name);
    if (p->tasks > 1)
        text_addf(t, " %d tasks", p->tasks);
    if (!coreset_empty(&p->cores)) {
        text_add(t, " cores ");
        text_add_coreset(t, &p->cores);
    }
    if (p->cpu_milli) {
        text_addf(t, " %d/1000 of shared cores ", p->cpu_milli);
        text_add_coreset(t, &p->pool);
    }
    if (!p->gpus)
        return;
    text_add(t, " gpus ");
    if (p->shares.milli[__builtin_ctzll(p->gpus)])
        text_add_shares(t, &p->shares);
    else
        text_add_coreset(t, &gpus);
}

static void expect(struct example *x, const char *want)
{
    AUTO(text) struct text got = {0};
    const struct job *j = job_find(x->h.c, (struct job_id){x->uid});
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    say_part(x->h.c, p, &got);
    if (!got.len)
        text_add(&got, "it waits");
    if (strcmp(text_str(&got), want) != 0)
        fail_msg("docs/scheduling.md:%d: \"%s\", but the job went to \"%s\"", x->line, want,
                 text_str(&got));
    x->checked++;
}

static void obey(struct example *x, char *line)
{
    char *words[WORDS_MAX + 1] = {0}, *rest = line;
    if (strncmp(line, "-> ", 3) == 0) {
        expect(x, line + 3);
        return;
    }
    if (strncmp(line, "queue ", 6) == 0) {
        begin(x);
        harness_queue(&x->h, line + 6);
        return;
    }
    for (int i = 0; i < WORDS_MAX && *rest; i++) {
        words[i] = rest;
        bool whole = strncmp(rest, "need=", 5) == 0 || strncmp(rest, "prefer=", 7) == 0;
        rest += whole ? strlen(rest) : strcspn(rest, " ");
        if (*rest)
            *rest++ = 0;
    }
    if (strcmp(words[0], "policy") == 0)
        x->limits.policy = policy_of_word(words[1]);
    else if (strcmp(words[0], "node") == 0)
        node(x, words);
    else if (strcmp(words[0], "usual") == 0)
        usual(x, words);
    else if (strcmp(words[0], "job") == 0)
        job(x, words);
    else if (strcmp(words[0], "end") == 0)
        end_job(x, strtoull(words[1], NULL, 10));
    else
        fail_msg("docs/scheduling.md:%d: what is \"%s\"?", x->line, words[0]);
    assert_true(x->limits.policy < POLICY_COUNT);
}

static void the_page_says_what_the_core_does(void **state)
{
    (void)state;
    FILE *f = fopen("docs/scheduling.md", "r");
    assert_non_null(f);
    char line[512];
    bool inside = false;
    struct example x = {.limits = CLUSTER_LIMITS_DEFAULT};
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        x.line++;
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```example") == 0;
            finish(&x);
        } else if (inside && *line) {
            obey(&x, line);
        }
    }
    fclose(f);
    print_message("# %d placements as the page says\n", x.checked);
    assert_true(x.checked > 0);
}

// The steps of grades are those of the published scores: 100 sigmoid(-x), rounded down.
static void grades_are_a_sigmoid(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h);
    const struct typical one = {.req = {.tasks = 1, .cpus = 1, .gpus = 1}, .count = 1};
    cluster_set_typical(h.c, &one, 1);
    int32_t last = 100;
    for (int64_t rise = -8000; rise <= 8000; rise++) {
        int32_t grade = fgd_grade(h.c, rise);
        double exact = 100 / (1 + exp((double)rise / 1000));
        assert_true(grade <= last && grade <= exact + 1e-6 && grade + 1 > exact - 1e-6);
        last = grade;
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_says_what_the_core_does),
        cmocka_unit_test(grades_are_a_sigmoid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
