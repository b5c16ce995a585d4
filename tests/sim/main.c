// The simulator's program. Each seed is a world of its own; the worlds are shared out to worker
// processes. A failure is shown with its seed, step, time, the last lines of its narration and the
// command that repeats it.
#include "tests/sim/sim.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, FINDING_BYTES = 400, QUIET_EVERY_MS = 500, JUDGE_EVERY_MS = 5000 };

#ifdef MUSTER_PLANTED
enum planted planted;
static const char *const planted_words[][2] = {
#define X(name, text) {#name, text},
    PLANTED_TABLE(X)
#undef X
};
#endif

// ---- one world ----

static void look_whether_quiet(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    s->done = judge_quiet(s);
    after(w, QUIET_EVERY_MS, NULL, look_whether_quiet, NULL, 0);
}

static void judge_now(struct world *w, void *arg, uint64_t n)
{
    (void)arg;
    (void)n;
    judge_looks(sim_of(w));
    after(w, JUDGE_EVERY_MS, NULL, judge_now, NULL, 0);
}

static void calm_now(struct world *w, void *arg, uint64_t n)
{
    (void)arg;
    (void)n;
    faults_end(sim_of(w));
    after(w, QUIET_EVERY_MS, NULL, look_whether_quiet, NULL, 0);
}

static void machine_make(struct sim *s, struct machine *m, const char *kind, int number)
{
    struct world *w = &s->world;
    snprintf(m->id, sizeof m->id, "%s%d", kind, number);
    m->clock = (struct clock){.booted_ms = -between(w, 0, 100000000),
                              .drift_ppm = (int32_t)between(w, -200, 200)};
    m->boots = 1;
    m->on = true;
}

static void describe(struct world *w, struct keeper *k, int number)
{
    static const char *const labels[] = {"", "zone=a", "zone=b", "zone=a,spot", "spot"};
    static const char *const switches[] = {"", "s1/r1", "s1/r2", "s2/r3"};
    k->labels = labels[between(w, 0, 4)];
    k->switch_path = switches[chance(w, 500) ? 0 : number % 4];
    k->gpu_model = k->gpus ? (chance(w, 500) ? "X1" : "X2") : "";
    k->gpu_memory_mib = k->gpus ? between(w, 1, 2) * 40960 : 0;
    if (chance(w, 600))
        return;
    int first = (int)between(w, 1, k->cores - 1);
    snprintf(k->numa_cores, sizeof k->numa_cores, "%d,%d", first, k->cores - first);
    for (int i = 0; i < k->gpus; i++)
        k->gpu_numa[i] = chance(w, 500) ? '0' : '1';
}

static void keeper_make(struct sim *s, struct machine *m, int number, bool clone)
{
    struct world *w = &s->world;
    struct keeper *k = &s->keepers[s->keepers_count++];
    k->sim = s;
    snprintf(k->name, sizeof k->name, "n%d", number);
    k->machine = m;
    k->clone = clone;
    k->cores = (int)between(w, 2, 8);
    k->gpus = (int)between(w, 0, 2);
    k->memory_mib = between(w, 300, 2000);
    describe(w, k, number);
    k->state_id = rng_next(&w->rng) | 1;
    TAILQ_INIT(&k->held);
    TAILQ_INIT(&k->traces);
    TAILQ_INIT(&k->sheep);
    TAILQ_INIT(&k->groups);
    if (!clone)
        keeper_start_later(k, spread(w, 0, 20000));
}

struct sim *sim_new(uint64_t seed, bool verbose)
{
    struct sim *s = xcalloc(1, sizeof *s);
    struct world *w = &s->world;
    world_init(w, seed, verbose);
    judge_new(s);
    s->limits = CLUSTER_LIMITS_DEFAULT;
    if (chance(w, 250)) // ports run out
        s->limits.port_count = (int32_t)between(w, 3, 12);
    if (chance(w, 350)) // passes are cut short
        s->limits.pass_budget = (int32_t)spread(w, 1, 20);
    s->reserved = chance(w, 600) ? 0 : (unsigned)spread(w, 1, 600);
    s->shared = chance(w, 400) ? 0 : (unsigned)spread(w, 1, 1000);
    s->round_ms = chance(w, 150) ? 300 : 3;
    s->faults_until_ms = between(w, 60000, 600000);
    s->bound_ms = s->faults_until_ms + 3600000;
    TAILQ_INIT(&s->scheduler.held);
    machine_make(s, &s->scheduler.machine, "s", 0);
    s->disk.now.boot = s->scheduler.machine.boots;
    disk_init(s);
    s->machines_count = (int)between(w, 1, MACHINES_MAX - 1);
    for (int i = 0; i <= s->machines_count; i++)
        machine_make(s, &s->machines[i], "m", i + 1);
    for (int i = 0; i < s->machines_count; i++)
        keeper_make(s, &s->machines[i], i + 1, false);
    if (chance(w, 300)) // two nodes on one machine
        keeper_make(s, &s->machines[0], s->machines_count + 1, false);
    keeper_make(s, &s->machines[s->machines_count], 1, true);
    after(w, between(w, 0, 1000), NULL, scheduler_start, NULL, 0);
    clients_start(s);
    faults_start(s);
    after(w, s->faults_until_ms, NULL, calm_now, NULL, 0);
    after(w, JUDGE_EVERY_MS, NULL, judge_now, NULL, 0);
    return s;
}

void sim_run(struct sim *s)
{
    while (!s->done && s->world.now_ms < s->bound_ms && world_next(&s->world))
        ;
    judge_end(s, s->done);
}

void sim_free(struct sim *s)
{
    for (int i = 0; i < s->keepers_count; i++)
        keeper_fini(&s->keepers[i]);
    scheduler_fini(s);
    clients_fini(s);
    judge_fini(s);
    disk_fini(s);
    for (size_t i = 0; i < s->wires_count; i++)
        free(s->wires[i]);
    free(s->wires);
    world_fini(&s->world);
    free(s);
}

// ---- many worlds ----

struct options {
    uint64_t from, to;
    int workers;
    bool verbose, hashes, quiet;
    const char *planted;
};

// Shared by the workers.
struct results {
    uint64_t worlds, steps, ms;
    struct counts counts;
    uint64_t failed_seed; // 0: none
    char finding[FINDING_BYTES];
};

static struct results *results;
static struct sim *present;
static bool quiet;

// Called before the abort of a failed check, in a core or by the judge.
static void on_failure(const char *message)
{
    const struct world *w = &present->world;
    uint64_t none = 0;
    if (!__atomic_compare_exchange_n(&results->failed_seed, &none, w->seed, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        _exit(1); // another world was first
    snprintf(results->finding, sizeof results->finding, "%s", message);
    if (quiet)
        _exit(1);
    AUTO(text) struct text tail = {0};
    const struct held_turn *h;
    world_tail(w, &tail);
    TAILQ_FOREACH(h, &present->scheduler.held, link)
    for (size_t i = 0; i < h->lines_count; i++)
        text_addf(&tail, "not durable %s\n", h->lines[i]);
    fprintf(stderr,
            "%s\nseed %" PRIu64 ", step %" PRIu64 ", %" PRId64 " ms: %s\n"
            "repeat it: make sim SEEDS=%" PRIu64 " VERBOSE=1\n",
            text_str(&tail), w->seed, w->steps, w->now_ms, message, w->seed);
    _exit(1);
}

static void on_abort(int number)
{
    (void)number;
    on_failure("a signal ended the program: a core is broken");
}

static void add_up(const struct sim *s)
{
    struct counts *to = &results->counts;
    const uint64_t *from = (const uint64_t *)&s->counts;
    for (size_t i = 0; i < sizeof *to / sizeof *from; i++)
        __atomic_add_fetch((uint64_t *)to + i, from[i], __ATOMIC_RELAXED);
    __atomic_add_fetch(&results->worlds, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&results->steps, s->world.steps, __ATOMIC_RELAXED);
    __atomic_add_fetch(&results->ms, (uint64_t)s->world.now_ms, __ATOMIC_RELAXED);
}

static void run_world(uint64_t seed, const struct options *o)
{
    struct sim *s = present = sim_new(seed, o->verbose);
    sim_run(s);
    add_up(s);
    if (o->hashes)
        printf("%" PRIu64 " %016" PRIx64 "\n", seed, s->world.hash);
    sim_free(s);
}

static void work(const struct options *o, int worker)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t seed = o->from + (uint64_t)worker; seed <= o->to; seed += (uint64_t)o->workers) {
        if (__atomic_load_n(&results->failed_seed, __ATOMIC_RELAXED))
            break;
        run_world(seed, o);
    }
    fflush(stdout);
    _exit(0);
}

// True: nothing was found.
static bool run_all(const struct options *o)
{
    pid_t pids[WORKERS_MAX];
    bool well = true;
    *results = (struct results){0};
    fflush(stdout);
    for (int i = 0; i < o->workers; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            work(o, i);
        CHECK(pids[i] > 0);
    }
    for (int i = 0; i < o->workers; i++) {
        int status;
        well &= waitpid(pids[i], &status, 0) == pids[i] && status == 0;
    }
    return well && !results->failed_seed;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void summary(double took)
{
    const struct counts *c = &results->counts;
    printf("# %" PRIu64 " worlds, %" PRIu64 " steps, %.1f days, in %.1f s: %" PRIu64
           " jobs, %" PRIu64 " starts, %" PRIu64 " preemptions, %" PRIu64 " turns, %" PRIu64
           " commits, %" PRIu64 " scheduler starts\n# faults:",
           results->worlds, results->steps, (double)results->ms / 86400e3, took, c->jobs, c->starts,
           c->preemptions, c->turns, c->commits, c->restarts);
    for (int i = 0; i < FAULT_COUNT; i++)
        printf("%s %s %" PRIu64, i ? "," : "", fault_words[i], c->faults[i]);
    printf("\n");
}

#ifdef MUSTER_PLANTED
// Each planted fault must be found. Returns how many are not.
static int run_planted(const struct options *o)
{
    int missed = 0, number = 0;
    quiet = true;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    for (int i = 1; i < PLANTED_COUNT; i++) {
        if (strcmp(o->planted, "all") != 0 && strcmp(o->planted, planted_words[i][0]) != 0)
            continue;
        planted = (enum planted)i;
        bool found = !run_all(o);
        missed += !found;
        printf("%sok %d - %s (%s)", found ? "" : "not ", ++number, planted_words[i][0],
               planted_words[i][1]);
        if (found)
            printf(": seed %" PRIu64 ": %s", results->failed_seed, results->finding);
        printf("\n");
        fflush(stdout);
    }
    printf("1..%d\n", number);
    return missed || !number;
}
#endif

// ---- arguments ----

static const struct argp_option option_list[] = {
    {"seeds", 's', "A-B", 0, "which worlds (default 1-2000)", 0},
    {"workers", 'j', "N", 0, "processes (default: one a processor)", 0},
    {"verbose", 'v', 0, 0, "tell the whole narration", 0},
    {"hashes", 'H', 0, 0, "print the hash of each world's narration", 0},
    {"planted", 'p', "NAME", 0, "a planted fault must be found; \"all\": each (MODE=planted)", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case 's':
        o->from = o->to = strtoull(arg, &end, 10);
        if (*end == '-')
            o->to = strtoull(end + 1, &end, 10);
        if (*end || !o->from || o->to < o->from)
            argp_error(state, "--seeds takes A-B or A, from 1");
        break;
    case 'j':
        o->workers = (int)strtol(arg, &end, 10);
        if (*end || o->workers < 1 || o->workers > WORKERS_MAX)
            argp_error(state, "--workers takes 1 to %d", WORKERS_MAX);
        break;
    case 'v':
        o->verbose = true;
        break;
    case 'H':
        o->hashes = true;
        break;
    case 'p':
        o->planted = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp arguments = {
    option_list, parse_option, NULL, "Simulates whole clusters and judges them.", NULL, NULL, NULL};

int main(int argc, char **argv)
{
    struct options o = {.from = 1, .to = 2000, .workers = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    if (o.workers > WORKERS_MAX)
        o.workers = WORKERS_MAX;
    argp_parse(&arguments, argc, argv, 0, NULL, &o);
    results =
        mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(results != MAP_FAILED);
    check_on_failure = on_failure;
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (o.planted) {
#ifdef MUSTER_PLANTED
        return run_planted(&o);
#else
        fprintf(stderr, "sim: no fault is planted in this build: make sim-planted\n");
        return 2;
#endif
    }
    double began = seconds();
    bool well = run_all(&o);
    if (!o.hashes)
        summary(seconds() - began);
    return well ? 0 : 1;
}
