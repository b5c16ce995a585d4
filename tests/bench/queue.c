// Measures the passes over a long queue on a full cluster, through the core's public interface.
//
//     queue NODES PENDING SHAPES RESERVATIONS
//
// Fills NODES nodes of 64 cores with one job each, queues PENDING jobs of SHAPES shapes that do not
// fit, and prints a JSON object; times are CPU times of this thread, the median of many:
//   idle_ms      a turn when nothing has changed since the last pass
//   freed_ms     one node's job ends: the step, the pass, the next job's placement, the outcome
//   first_ms     the first pass over all of them
//   submit_us    a submission
//   job_bytes    what the allocator gave out for each pending job, tables included
//   sweep_ms     the reference: a plain loop that compares what each pending job asks for, kept in
//                an array, with the room of one node
#include "scheduler/core/cluster.h"

#include "common/alloc.h"
#include "common/check.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CORES = 64, REPEATS = 200 };

struct bench {
    struct cluster *c;
    struct now now;
    size_t nodes;
    uint64_t *sessions;
    struct attempt_id *attempts; // the one on each node; by node id - 1
    uint64_t uid;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// What the allocator has given out, its own heads included.
static int64_t allocated_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return (int64_t)(m.uordblks + m.hblkhd);
}

static void look(struct bench *b, const struct outcome *o)
{
    for (size_t i = 0; i < o->effects_count; i++) {
        const struct effect *e = &o->effects[i];
        if (e->kind == EFFECT_WELCOME)
            b->sessions[e->node.v - 1] = e->session;
        if (e->kind == EFFECT_LAUNCH)
            b->attempts[e->node.v - 1] = e->attempt;
    }
}

// A turn: the input, the passes that follow, the outcome.
static void turn(struct bench *b, const struct input *in)
{
    cluster_turn_begin(b->c);
    cluster_step(b->c, b->now, in);
    const struct outcome *o = cluster_outcome(b->c);
    while (o->continue_wanted) {
        struct input go_on = {.kind = INPUT_CONTINUE};
        cluster_step(b->c, b->now, &go_on);
        o = cluster_outcome(b->c);
    }
    look(b, o);
}

static void join(struct bench *b, size_t i)
{
    char name[24];
    snprintf(name, sizeof name, "n%zu", i + 1);
    struct input up = {.kind = INPUT_LINK_UP, .link_up = {.name = name, .link = i + 1}};
    turn(b, &up);
    struct input in = {.kind = INPUT_HELLO};
    in.hello = (struct input_hello){.node = {(uint32_t)i + 1},
                                    .session = b->sessions[i],
                                    .inc = {.boot_id = "b", .state_id = i + 1},
                                    .term_seen = 1,
                                    .journal_intact = true,
                                    .request = 1,
                                    .cores = CORES,
                                    .memory_mib = 262144};
    snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "m%zu", i + 1);
    turn(b, &in);
}

static void submit(struct bench *b, struct request req, uint32_t owner)
{
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1}};
    in.submit = (struct input_submit){
        .uid = {++b->uid}, .request_id = {b->uid, 1}, .owner_uid = owner, .req = req};
    cluster_turn_begin(b->c);
    cluster_step(b->c, b->now, &in);
    look(b, cluster_outcome(b->c));
}

static void end_on(struct bench *b, size_t i)
{
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {(uint32_t)i + 1},
                                .session = b->sessions[i],
                                .attempt = b->attempts[i],
                                .started = true,
                                .reason = {.code = REASON_EXITED}};
    b->now.boot_ms += 10;
    b->now.wall_ms += 10;
    turn(b, &in);
}

// Shapes differ in what they ask for, all of them too much for what is free.
static struct request shape(size_t k)
{
    return (struct request){.tasks = 1 + (int32_t)(k % 4) * 8,
                            .cpus = CORES - (int32_t)(k / 4 % 16),
                            .memory_mib = 1024 + (int64_t)(k / 64) * 512,
                            .time_limit_ms = 3600000 + (int64_t)k * 1000};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, size_t count)
{
    qsort(v, count, sizeof *v, by_value);
    return v[count / 2];
}

static void fill(struct bench *b, size_t reservations)
{
    struct rule settings;
    struct input set = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    rule_init(&settings, RULE_SETTINGS);
    settings.settings.backfill_reservations = (int64_t)reservations;
    set.rule.row = &settings;
    set.rule.mode = RULE_PUT;
    turn(b, &set);
    for (size_t i = 0; i < b->nodes; i++)
        join(b, i);
    for (size_t i = 0; i < b->nodes; i++)
        submit(b, (struct request){.tasks = 1, .cpus = CORES, .time_limit_ms = 7200000}, 1);
    struct input go_on = {.kind = INPUT_CONTINUE};
    for (int i = 0; i < 3; i++) // and the memory of the great turn is given back
        turn(b, &go_on);
}

// Looks at every job once, as a scheduler without classes has to at least.
static double sweep_ms(const struct request *all, size_t count)
{
    double took[REPEATS];
    volatile size_t found = 0;
    for (size_t k = 0; k < REPEATS; k++) {
        double at = now_ms();
        size_t fits = 0;
        for (size_t i = 0; i < count; i++)
            fits += all[i].cpus * all[i].tasks <= (int32_t)k % CORES && all[i].memory_mib <= 1024;
        found += fits;
        took[k] = now_ms() - at;
    }
    return median(took, REPEATS);
}

static void measure(struct bench *b, double *ret_idle, double *ret_freed)
{
    double idle[REPEATS], freed[REPEATS];
    struct input tick = {.kind = INPUT_TICK};
    for (size_t i = 0; i < REPEATS; i++) {
        double at = now_ms();
        turn(b, &tick);
        idle[i] = now_ms() - at;
        at = now_ms();
        end_on(b, i * 37 % b->nodes);
        freed[i] = now_ms() - at;
    }
    *ret_idle = median(idle, REPEATS);
    *ret_freed = median(freed, REPEATS);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: queue NODES PENDING SHAPES RESERVATIONS\n");
        return 2;
    }
    size_t nodes = strtoull(argv[1], NULL, 10), pending = strtoull(argv[2], NULL, 10),
           shapes = strtoull(argv[3], NULL, 10), reservations = strtoull(argv[4], NULL, 10);
    struct cluster_limits limits = CLUSTER_LIMITS_DEFAULT;
    struct bench b = {.nodes = nodes, .now = {1000, 1700000000000}};
    b.sessions = xcalloc(nodes, sizeof *b.sessions);
    b.attempts = xcalloc(nodes, sizeof *b.attempts);
    b.c = cluster_new(&limits);
    struct cluster_meta meta = {.id = {1},
                                .next_job = 1,
                                .next_placement = 1,
                                .next_session = 1,
                                .next_event = 1,
                                .next_class = 1,
                                .next_selector = 1};
    cluster_load_meta(b.c, &meta);
    cluster_start(b.c, b.now, 1, 1, false, false, 0);
    fill(&b, reservations);
    struct request *asked = xcalloc(pending, sizeof *asked);
    for (size_t i = 0; i < pending; i++)
        asked[i] = shape(i % shapes);
    int64_t before = allocated_bytes();
    double at = now_ms();
    for (size_t i = 0; i < pending; i++)
        submit(&b, asked[i], 2);
    double submit_ms = now_ms() - at;
    double job_bytes = (double)(allocated_bytes() - before) / (double)pending;
    CHECK(cluster_live(b.c) == nodes + pending);
    struct input go_on = {.kind = INPUT_CONTINUE};
    at = now_ms();
    turn(&b, &go_on);
    double first_ms = now_ms() - at, idle_ms, freed_ms;
    measure(&b, &idle_ms, &freed_ms);
    printf("{\"idle_ms\": %.5f, \"freed_ms\": %.4f, \"first_ms\": %.2f, \"submit_us\": %.2f, "
           "\"job_bytes\": %.0f, \"sweep_ms\": %.4f}\n",
           idle_ms, freed_ms, first_ms, submit_ms * 1e3 / (double)pending, job_bytes,
           sweep_ms(asked, pending));
    cluster_free(b.c);
    free(asked);
    free(b.sessions);
    free(b.attempts);
    return 0;
}
