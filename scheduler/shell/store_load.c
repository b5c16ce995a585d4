// Live rows into an empty core.
//
// A record that makes no sense is left out, counted and logged. What hangs on it goes with it, so
// that the core never judges a job by half of its facts: a job of which a placement is damaged is
// left out whole (its agents report it, and it is quarantined there). A node keeps its number: a
// damaged one is loaded with what is readable, drained.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct bad_job {
    uint64_t id;
    UT_hash_handle hh;
};

// What accepted placements hold of a node.
struct held {
    struct coreset cores, pool;
    uint16_t gpu_milli[NODE_GPUS_MAX];
};

struct load {
    struct store *s;
    struct cluster *c;
    int quarantined;
    uint32_t nodes;    // loaded: 1 .. nodes
    struct held *held; // by node id - 1
    size_t held_cap;
    struct placement *parts;
    size_t parts_count, parts_cap;
    struct bad_job *bad_jobs;
};

static void quarantine(struct load *l, const char *what, uint64_t id, const char *why)
{
    l->quarantined++;
    log_error("store", "record quarantined", "record=%s id=%" PRIu64 " why=\"%s\"", what, id, why);
}

static bool job_is_bad(const struct load *l, uint64_t id)
{
    struct bad_job *b;
    HASH_FIND(hh, l->bad_jobs, &id, sizeof id, b);
    return b;
}

static void job_set_bad(struct load *l, uint64_t id)
{
    if (id == 0 || job_is_bad(l, id))
        return;
    struct bad_job *b = xcalloc(1, sizeof *b);
    b->id = id;
    HASH_ADD(hh, l->bad_jobs, id, sizeof b->id, b);
}

static void load_fini(struct load *l)
{
    struct bad_job *b, *next;
    HASH_ITER(hh, l->bad_jobs, b, next)
    {
        HASH_DEL(l->bad_jobs, b);
        free(b);
    }
    free(l->held);
    free(l->parts);
}

static int select_rows(struct load *l, enum store_table_id table, const char *where,
                       sqlite3_stmt **ret, struct err *err)
{
    AUTO(text) struct text sql = {0};
    text_add(&sql, "SELECT ");
    store_select_list(&store_tables[table], "t", &sql);
    text_addf(&sql, " FROM %s t %s", store_tables[table].name, where);
    return db_prepare(&l->s->db, text_str(&sql), ret, err);
}

// ---- nodes ----

static void add_node(struct load *l, struct node *n)
{
    struct err err;
    if (cluster_load_node(l->c, n, &err)) {
        quarantine(l, "node", n->id.v, err.message);
        snprintf(n->name, sizeof n->name, "damaged-%u", n->id.v);
        if (cluster_load_node(l->c, n, &err))
            return;
    }
    VEC_RESERVE(l->held, l->nodes, l->held_cap);
    l->held[l->nodes++] = (struct held){0};
}

// Takes the place of a record that is damaged: its number stays taken.
static void mend_node(struct node *n, uint32_t id)
{
    n->id.v = id;
    if (!n->name[0])
        snprintf(n->name, sizeof n->name, "damaged-%u", id);
    if (n->cores < 0 || n->cores > CORESET_MAX)
        n->cores = 0;
    if (n->gpus < 0 || n->gpus > NODE_GPUS_MAX)
        n->gpus = 0;
    if (n->memory_mib < 0)
        n->memory_mib = 0;
    n->drain = true;
    snprintf(n->reason, sizeof n->reason, "its record in the database is damaged");
}

static const char *node_wrong(const struct node *n)
{
    if (!n->name[0])
        return "name";
    if (n->cores < 0 || n->cores > CORESET_MAX)
        return "cores";
    if (n->gpus < 0 || n->gpus > NODE_GPUS_MAX)
        return "gpus";
    return n->memory_mib < 0 ? "memory_mib" : NULL;
}

static void load_node(struct load *l, sqlite3_stmt *stmt)
{
    struct node n;
    const char *wrong = node_read(stmt, 0, &n);
    if (!wrong)
        wrong = node_wrong(&n);
    int64_t id = sqlite3_column_int64(stmt, 0);
    if (id <= l->nodes || id > NODES_MAX) {
        quarantine(l, "node", (uint64_t)id, "id");
        return;
    }
    while (l->nodes + 1 < id) {
        struct node missing = {0};
        quarantine(l, "node", l->nodes + 1, "it is missing");
        mend_node(&missing, l->nodes + 1);
        add_node(l, &missing);
    }
    if (wrong) {
        quarantine(l, "node", (uint64_t)id, wrong);
        mend_node(&n, (uint32_t)id);
    }
    add_node(l, &n);
}

// ---- placements: read and judged before the jobs, given to the core after them ----

static const char *placement_wrong(const struct load *l, const struct placement *p)
{
    if (p->node.v == 0 || p->node.v > l->nodes)
        return "node";
    if (p->tasks < 0 || p->first_rank < 0 || p->index < 0)
        return "tasks";
    if (p->memory_mib < 0)
        return "memory_mib";
    const struct held *held = &l->held[p->node.v - 1];
    if (coreset_intersects(&held->cores, &p->cores) || coreset_intersects(&held->pool, &p->cores) ||
        coreset_intersects(&held->cores, &p->pool) || coreset_intersects(&p->cores, &p->pool))
        return "cores held twice";
    if (p->cpu_milli < 0 || (p->cpu_milli != 0) == coreset_empty(&p->pool))
        return "cpu_milli";
    for (int g = 0; g < NODE_GPUS_MAX; g++)
        if (held->gpu_milli[g] + placement_gpu_milli(p, g) > 1000)
            return "GPUs held twice";
    return NULL;
}

static void read_placement(struct load *l, sqlite3_stmt *stmt)
{
    struct placement p;
    const char *wrong = placement_read(stmt, 0, &p);
    if (!wrong)
        wrong = placement_wrong(l, &p);
    if (wrong) {
        quarantine(l, "placement", p.id, wrong);
        job_set_bad(l, p.job.v);
        return;
    }
    struct held *held = &l->held[p.node.v - 1];
    coreset_union(&held->cores, &p.cores);
    coreset_union(&held->pool, &p.pool);
    for (int g = 0; g < NODE_GPUS_MAX; g++)
        held->gpu_milli[g] = (uint16_t)(held->gpu_milli[g] + placement_gpu_milli(&p, g));
    VEC_RESERVE(l->parts, l->parts_count, l->parts_cap);
    l->parts[l->parts_count++] = p;
}

// Placements that say something else of their job than its own record does.
static int find_contradictions(struct load *l, struct err *err)
{
    static const char sql[] = "SELECT p.job FROM placement p JOIN job j ON j.id = p.of_job"
                              " WHERE p.uid <> j.uid OR p.attempt > j.attempt"
                              // The later one of two that hold the same port of a machine.
                              " UNION ALL SELECT job FROM (SELECT p.job, row_number() OVER"
                              " (PARTITION BY n.machine_id, p.port ORDER BY p.id) AS k"
                              " FROM placement p JOIN node n ON n.id = p.node WHERE p.port <> 0)"
                              " WHERE k > 1";
    sqlite3_stmt *stmt;
    int rc = db_prepare(&l->s->db, sql, &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(&l->s->db, stmt, err)) > 0)
        job_set_bad(l, (uint64_t)sqlite3_column_int64(stmt, 0));
    sqlite3_finalize(stmt);
    return rc;
}

static void give_placements(struct load *l)
{
    struct err err;
    for (size_t i = 0; i < l->parts_count; i++) {
        const struct placement *p = &l->parts[i];
        if (job_is_bad(l, p->job.v))
            quarantine(l, "placement", p->id, "its job is quarantined");
        else if (cluster_load_placement(l->c, p, &err))
            quarantine(l, "placement", p->id, err.message);
    }
}

// ---- jobs ----

static const char *job_wrong(const struct load *l, const struct job *j)
{
    const struct request *r = &j->req;
    if (job_is_bad(l, j->id.v))
        return "one of its placements is damaged";
    const char *wrong = request_wrong(r);
    if (wrong)
        return wrong;
    if (r->lease_ms < 0)
        return "lease_ms";
    if (j->array_count < 0 || j->array_count > JOB_ARRAY_MAX || j->array_next < 0 ||
        j->array_next > j->array_count || j->array_live < 0)
        return "array_count";
    return NULL;
}

static void load_job(struct load *l, sqlite3_stmt *stmt)
{
    struct job j;
    struct err err;
    const char *wrong = job_read(stmt, 0, &j);
    if (!wrong)
        wrong = job_wrong(l, &j);
    if (!wrong && cluster_load_job(l->c, &j, &err))
        wrong = err.message;
    if (wrong) {
        quarantine(l, "job", j.id.v, wrong);
        job_set_bad(l, j.id.v);
    }
    job_row_clear(&j);
}

// ---- waits ----

// A damaged one is worth a line and no more: its class waits for its turn until the next pass.
static void load_wait(struct load *l, sqlite3_stmt *stmt)
{
    struct wait w;
    struct err err;
    const char *wrong = wait_read(stmt, 0, &w);
    if (!wrong && cluster_load_wait(l->c, &w, &err))
        wrong = err.message;
    if (wrong)
        quarantine(l, "wait", w.id.v, wrong);
}

// ---- selectors ----

static void load_selector(struct load *l, sqlite3_stmt *stmt)
{
    struct selector s;
    struct err err;
    const char *wrong = selector_read(stmt, 0, &s);
    if (!wrong && cluster_load_selector(l->c, &s, &err))
        wrong = err.message;
    if (wrong)
        quarantine(l, "selector", s.id.v, wrong);
}

// ---- all ----

static int load_table(struct load *l, enum store_table_id table, const char *where,
                      void (*row)(struct load *, sqlite3_stmt *), struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = select_rows(l, table, where, &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(&l->s->db, stmt, err)) > 0)
        row(l, stmt);
    sqlite3_finalize(stmt);
    return rc;
}

static int load_meta(struct load *l, struct cluster_meta *ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = select_rows(l, TABLE_META, "", &stmt, err);
    if (rc)
        return rc;
    rc = db_step(&l->s->db, stmt, err);
    const char *wrong = rc > 0 ? meta_read(stmt, 0, ret) : "its only row";
    if (rc >= 0)
        rc = wrong ? fail(err, E_CORRUPT,
                          "the database \"%s\" is damaged: table meta, %s. Restore a backup.",
                          l->s->db.path, wrong)
                   : 0;
    sqlite3_finalize(stmt);
    return rc;
}

// The rows a core wants, found by the indices. An array's record precedes its elements.
static const char live_jobs[] =
    "WHERE id IN (SELECT id FROM job INDEXED BY job_live WHERE" SQL_LIVE
    "UNION ALL SELECT of_job FROM placement WHERE of_job IS NOT NULL) ORDER BY id";

static void quarantine_rule(void *arg, const char *what, uint64_t id, const char *why)
{
    quarantine(arg, what, id, why);
}

static const char live_selectors[] =
    "JOIN (SELECT need AS one FROM job INDEXED BY job_live WHERE" SQL_LIVE
    "UNION SELECT prefer FROM job INDEXED BY job_live WHERE" SQL_LIVE
    "UNION SELECT need FROM placement JOIN job ON job.id = of_job"
    " UNION SELECT prefer FROM placement JOIN job ON job.id = of_job) ON t.id = one ORDER BY t.id";

static int load_all(struct load *l, struct cluster_meta *ret_meta, struct err *err)
{
    int rc = load_meta(l, ret_meta, err);
    if (rc)
        return rc;
    cluster_load_meta(l->c, ret_meta);
    if ((rc = store_load_rules(&l->s->db, l->c, quarantine_rule, l, err)) ||
        (rc = load_table(l, TABLE_NODE, "ORDER BY id", load_node, err)) ||
        (rc = load_table(l, TABLE_PLACEMENT, "ORDER BY id", read_placement, err)) ||
        (rc = find_contradictions(l, err)) ||
        (rc = load_table(l, TABLE_WAIT, "ORDER BY id", load_wait, err)) ||
        (rc = load_table(l, TABLE_SELECTOR, live_selectors, load_selector, err)) ||
        (rc = load_table(l, TABLE_JOB, live_jobs, load_job, err)))
        return rc;
    give_placements(l);
    return 0;
}

int store_load_rows(struct store *s, struct cluster *c, struct cluster_meta *ret_meta,
                    int *ret_quarantined, struct err *err)
{
    struct load l = {.s = s, .c = c};
    int rc = load_all(&l, ret_meta, err);
    if (!rc)
        *ret_quarantined = l.quarantined;
    load_fini(&l);
    return rc;
}
