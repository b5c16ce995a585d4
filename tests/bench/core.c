// The scheduler's core alone: placements a second, all rows, facts and effects of a turn made.
//
//     core fill NODES CORES CHURN     one-core jobs until the cluster is full, then CHURN more,
//                                     each batch after the same number has ended
//     core gangs NODES CHURN          gangs of 8 nodes x 8 GPUs, racks of 32 nodes, spines of 16
//     racks core scan NODES CORES CHURN     the same filling and churning on an array of free
//     cores,
//                                     first fit by a plain loop: what is to be beaten
//
// One line of JSON, times as CPU time: per_s, placements, seconds, node_bytes, job_bytes (growth of
// the heap).
#include "scheduler/core/cluster.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/units.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, GPUS = 8, GANG_NODES = 8, RACK = 32, SPINE = 16 };

struct running {
    struct attempt_id attempt;
    struct node_id node;
    uint64_t session;
};

struct bench {
    struct cluster *c;
    struct now now;
    uint64_t uid;
    struct running *ring; // parts that run, oldest first
    size_t first, count, cap;
    uint64_t rows; // read of each outcome, so that nothing is left out
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // others may use the machine
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void push(struct bench *b, const struct effect *e)
{
    if (b->count == b->cap) {
        struct running *wider = xreallocarray(NULL, b->cap ? b->cap * 2 : 1024, sizeof *wider);
        for (size_t i = 0; i < b->count; i++)
            wider[i] = b->ring[(b->first + i) % b->cap];
        free(b->ring);
        b->ring = wider;
        b->first = 0;
        b->cap = b->cap ? b->cap * 2 : 1024;
    }
    b->ring[(b->first + b->count++) % b->cap] = (struct running){
        .attempt = e->attempt, .node = e->launch.parts[e->launch.part].node, .session = e->session};
}

static void turn_end(struct bench *b)
{
    struct input go_on = {.kind = INPUT_CONTINUE};
    const struct outcome *o = cluster_outcome(b->c);
    while (o->continue_wanted) {
        cluster_step(b->c, b->now, &go_on);
        o = cluster_outcome(b->c);
    }
    b->rows += o->jobs_count + o->placements_count + o->events_count + o->effects_count;
    for (size_t i = 0; i < o->effects_count; i++)
        if (o->effects[i].kind == EFFECT_LAUNCH)
            push(b, &o->effects[i]);
}

static uint64_t connect_node(struct bench *b, uint32_t id, const char *name)
{
    struct input up = {.kind = INPUT_LINK_UP};
    uint64_t session = 0;
    up.link_up.name = name;
    up.link_up.link = id;
    cluster_turn_begin(b->c);
    cluster_step(b->c, b->now, &up);
    const struct outcome *o = cluster_outcome(b->c);
    for (size_t i = 0; i < o->effects_count; i++)
        if (o->effects[i].kind == EFFECT_WELCOME)
            session = o->effects[i].session;
    return session;
}

static void add_nodes(struct bench *b, uint32_t nodes, int32_t cores, int32_t gpus)
{
    for (uint32_t id = 1; id <= nodes; id++) {
        char name[32], path[64];
        uint32_t rack = (id - 1) / RACK;
        snprintf(name, sizeof name, "n%u", id);
        snprintf(path, sizeof path, "spine%u/rack%u", rack / SPINE, rack);
        struct input in = {.kind = INPUT_HELLO};
        in.hello = (struct input_hello){
            .node = {id},
            .session = connect_node(b, id, name),
            .inc = {.boot_id = "b", .state_id = id},
            .term_seen = cluster_meta(b->c)->term,
            .journal_intact = true,
            .request = 1,
            .cores = cores,
            .gpus = gpus,
            .memory_mib = 262144,
            .switch_path = path,
        };
        snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "m%u", id);
        cluster_turn_begin(b->c);
        cluster_step(b->c, b->now, &in);
        turn_end(b);
    }
}

static void submit(struct bench *b, size_t count, struct request req)
{
    for (size_t i = 0; i < count; i++) {
        struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1}};
        in.submit = (struct input_submit){.uid = {++b->uid}, .req = req};
        cluster_step(b->c, b->now, &in);
    }
}

static void end_oldest(struct bench *b, size_t count)
{
    for (; count && b->count; count--, b->count--) {
        const struct running *r = &b->ring[b->first];
        struct task_result result = {.started_at_ms = 1, .ended_at_ms = 2};
        struct input in = {.kind = INPUT_END};
        in.end = (struct input_end){.node = r->node,
                                    .session = r->session,
                                    .attempt = r->attempt,
                                    .started = true,
                                    .reason = {.code = REASON_EXITED},
                                    .tasks = &result,
                                    .tasks_count = 1};
        cluster_step(b->c, b->now, &in);
        b->first = (b->first + 1) % b->cap;
    }
}

static void turn(struct bench *b, size_t ends, size_t jobs, struct request req)
{
    b->now.boot_ms++;
    b->now.wall_ms++;
    cluster_turn_begin(b->c);
    end_oldest(b, ends);
    submit(b, jobs, req);
    turn_end(b);
}

static int run(uint32_t nodes, int32_t cores, int32_t gpus, struct request req, size_t fill,
               size_t churn)
{
    struct cluster_limits limits = CLUSTER_LIMITS_DEFAULT;
    struct bench b = {.now = {.boot_ms = 1000, .wall_ms = 1700000000000}};
    size_t parts = req.nodes ? (size_t)req.nodes : 1, batch = parts > 1 ? 8 : BATCH;
    b.c = cluster_new(&limits);
    struct cluster_meta meta = {.id = {0xc1},
                                .next_job = 1,
                                .next_node = 1,
                                .next_placement = 1,
                                .next_session = 1,
                                .next_event = 1};
    cluster_load_meta(b.c, &meta);
    cluster_start(b.c, b.now, 1, 42, false, false, 0);
    size_t before = heap_bytes();
    add_nodes(&b, nodes, cores, gpus);
    size_t with_nodes = heap_bytes();
    double start = seconds();
    for (size_t done = 0; done < fill; done += batch)
        turn(&b, 0, batch, req);
    double filled = seconds();
    CHECK(b.count == fill * parts);
    size_t full = heap_bytes();
    for (size_t done = 0; done < churn; done += batch)
        turn(&b, batch * parts, batch, req);
    double end = seconds();
    CHECK(b.count == fill * parts);
    printf("{\"per_s\": %.0f, \"fill_per_s\": %.0f, \"churn_per_s\": %.0f, \"placements\": %zu, "
           "\"seconds\": %.3f, \"node_bytes\": %zu, \"job_bytes\": %zu, \"rows\": %" PRIu64 "}\n",
           (double)(fill + churn) / (end - start), (double)fill / (filled - start),
           (double)churn / (end - filled), fill + churn, end - start, (with_nodes - before) / nodes,
           (full - with_nodes) / fill, b.rows);
    cluster_free(b.c);
    free(b.ring);
    return 0;
}

static void place_by_loop(int32_t *free_cores, size_t nodes, uint32_t *where)
{
    size_t i = 0;
    while (i < nodes && !free_cores[i])
        i++;
    CHECK(i < nodes);
    free_cores[i]--;
    *where = (uint32_t)i;
}

static int scan(size_t nodes, int32_t cores, size_t churn)
{
    int32_t *free_cores = xcalloc(nodes, sizeof *free_cores);
    size_t all = nodes * (size_t)cores;
    uint32_t *where = xcalloc(all, sizeof *where);
    for (size_t i = 0; i < nodes; i++)
        free_cores[i] = cores;
    double start = seconds();
    for (size_t i = 0; i < all; i++)
        place_by_loop(free_cores, nodes, &where[i]);
    for (size_t i = 0; i < churn; i++) {
        free_cores[where[i % all]]++;
        place_by_loop(free_cores, nodes, &where[i % all]);
    }
    double end = seconds();
    printf("{\"per_s\": %.0f}\n", (double)(all + churn) / (end - start));
    free(free_cores);
    free(where);
    return 0;
}

static int64_t number(const char *s)
{
    int64_t v = 0;
    CHECK(parse_int(s, "a count", 1, INT32_MAX, &v, NULL) == 0);
    return v;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int64_t n[3] = {0};
    for (int i = 2; i < argc && i < 5; i++)
        n[i - 2] = number(argv[i]);
    uint32_t nodes = (uint32_t)n[0];
    if (strcmp(what, "fill") == 0 && argc == 5)
        return run(nodes, (int32_t)n[1], 0, (struct request){.tasks = 1, .cpus = 1},
                   (size_t)(nodes * n[1]) / BATCH * BATCH, (size_t)n[2]);
    if (strcmp(what, "gangs") == 0 && argc == 4) {
        struct request gang = {
            .tasks = GANG_NODES, .nodes = GANG_NODES, .cpus = 8, .gpus = GPUS, .memory_mib = 65536};
        return run(nodes, 64, GPUS, gang, nodes / GANG_NODES / 8 * 8, (size_t)n[1]);
    }
    if (strcmp(what, "scan") == 0 && argc == 5)
        return scan(nodes, (int32_t)n[1], (size_t)n[2]);
    fprintf(stderr,
            "usage: core fill NODES CORES CHURN | gangs NODES CHURN | scan NODES CORES CHURN\n");
    return 2;
}
