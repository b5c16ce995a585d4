// Measures the passes over a long queue on a full cluster, through the core's public interface.
//
//     bench_queue NODES PENDING SHAPES [RESERVATIONS]
//
// Fills NODES nodes of 64 cores with one job each, queues PENDING jobs of SHAPES shapes that do not
// fit, and prints a JSON object:
//   idle_ms      a step and its outcome when nothing has changed since the last pass
//   freed_ms     one node's job ends: the step, the pass, the next job's placement, the outcome
//   first_ms     the first pass over all of them, after a start
//   job_bytes    what the allocator gave out for each pending job, tables included
//   copy_ms      the reference: copying what all shapes' first jobs occupy, once
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
    clock_gettime(CLOCK_MONOTONIC, &t);
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

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_queue NODES PENDING SHAPES [RESERVATIONS]\n");
        return 2;
    }
    size_t nodes = strtoull(argv[1], NULL, 10), pending = strtoull(argv[2], NULL, 10),
           shapes = strtoull(argv[3], NULL, 10);
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
                                .next_class = 1};
    cluster_load_meta(b.c, &meta);
    cluster_start(b.c, b.now, 1, 1, false, false, 0);
    for (size_t i = 0; i < nodes; i++)
        join(&b, i);
    struct input tick = {.kind = INPUT_TICK};
    for (size_t i = 0; i < nodes; i++)
        submit(&b, (struct request){.tasks = 1, .cpus = CORES, .time_limit_ms = 7200000}, 1);
    turn(&b, &tick);
    struct input go_on = {.kind = INPUT_CONTINUE};
    turn(&b, &go_on);
    int64_t before = allocated_bytes();
    double at = now_ms();
    for (size_t i = 0; i < pending; i++)
        submit(&b, shape(i % shapes), 2);
    double submit_ms = now_ms() - at;
    double job_bytes = (double)(allocated_bytes() - before) / (double)pending;
    at = now_ms();
    turn(&b, &go_on);
    double first_ms = now_ms() - at;
    double idle[REPEATS], freed[REPEATS], copy[REPEATS];
    static char from[1 << 20], to[1 << 20];
    for (size_t i = 0; i < REPEATS; i++) {
        at = now_ms();
        turn(&b, &tick);
        idle[i] = now_ms() - at;
        at = now_ms();
        end_on(&b, i * 37 % nodes);
        freed[i] = now_ms() - at;
        at = now_ms();
        memcpy(to, from, sizeof to);
        from[i] = to[i + 1];
        copy[i] = now_ms() - at;
    }
    printf("{\"nodes\": %zu, \"pending\": %zu, \"shapes\": %zu, \"idle_ms\": %.4f, "
           "\"freed_ms\": %.4f, \"freed_worst_ms\": %.4f, \"first_ms\": %.1f, "
           "\"submit_us\": %.2f, \"job_bytes\": %.0f, \"copy_ms\": %.4f}\n",
           nodes, pending, shapes, median(idle, REPEATS), median(freed, REPEATS),
           freed[REPEATS - 1], first_ms, submit_ms * 1e3 / (double)pending, job_bytes,
           median(copy, REPEATS));
    cluster_free(b.c);
    free(b.sessions);
    free(b.attempts);
    return 0;
}
