// Nodes and the cluster as a whole.
#include "scheduler/shell/query_internal.h"
#include "scheduler/shell/query_reserved.h"
#include "scheduler/shell/query_users.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <inttypes.h>

// What the placements on a node hold, and whose they are. Milli: thousandths of a core or GPU.
struct use {
    int64_t cpu_milli, gpu_milli, memory_mib;
    struct coreset shared; // cores
    size_t placements;
    struct text jobs; // "17,18"
};

static void take_cores(sqlite3_stmt *s, int i, struct coreset *ret)
{
    const char *list = (const char *)sqlite3_column_text(s, i);
    if (!list || coreset_parse(list, "cores", ret, NULL))
        *ret = (struct coreset){0};
}

static int read_use(struct store_reader *r, struct node_id id, struct use *ret, struct err *err)
{
    static const char sql[] =
        "SELECT job, cores, gpus, memory_mib, pool, cpu_milli, gpu_shares FROM placement"
        " WHERE node = ? ORDER BY job";
    sqlite3_stmt *stmt;
    int64_t last = 0;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, id.v);
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        struct placement p = {.gpus = (uint64_t)sqlite3_column_int64(stmt, 2)};
        int64_t job = sqlite3_column_int64(stmt, 0);
        take_cores(stmt, 1, &p.cores);
        take_cores(stmt, 4, &p.pool);
        shares_parse((const char *)sqlite3_column_text(stmt, 6), &p.shares);
        ret->cpu_milli += coreset_count(&p.cores) * 1000 + sqlite3_column_int64(stmt, 5);
        coreset_union(&ret->shared, &p.pool);
        for (int g = 0; g < NODE_GPUS_MAX; g++)
            ret->gpu_milli += placement_gpu_milli(&p, g);
        ret->memory_mib += sqlite3_column_int64(stmt, 3);
        ret->placements++;
        if (job != last) {
            if (ret->jobs.len)
                text_addc(&ret->jobs, ',');
            put_number(&ret->jobs, job);
        }
        last = job;
    }
    return rc;
}

// As node_state(), but for the link, which is not stored.
static enum node_state shown_state(const struct node *n, const struct use *use)
{
    if (n->fenced)
        return NODE_DOWN;
    if (n->drain)
        return use->placements ? NODE_DRAINING : NODE_DRAINED;
    return n->unreachable_since_ms ? NODE_UNREACHABLE : NODE_UP;
}

static int64_t wall_of_boot_ms(int64_t boot_ms)
{
    return boot_ms ? clock_wall_ms() - (clock_boot_ms() - boot_ms) : 0;
}

static void node_json(struct store_reader *r, const struct node *n, const struct use *use,
                      const struct reserved *reserved, struct text *t)
{
    put_open(t, NULL, '{');
    put_str(t, "name", n->name);
    put_str(t, "state", node_state_word(shown_state(n, use)));
    put_str(t, "reason", n->reason[0] ? n->reason : NULL);
    put_str(t, "reason_user", n->reason_at_ms ? users_name(r->users, n->reason_uid) : NULL);
    put_int_or_null(t, "reason_at", n->reason_at_ms);
    put_int(t, "cores", n->cores);
    put_milli(t, "cores_used", use->cpu_milli);
    AUTO(text) struct text shared = {0};
    text_add_coreset(&shared, &use->shared);
    put_str(t, "shared_cores", text_str(&shared));
    put_int(t, "memory_mib", n->memory_mib);
    put_int(t, "memory_used_mib", use->memory_mib);
    put_int(t, "gpus", n->gpus);
    put_milli(t, "gpus_used", use->gpu_milli);
    put_str(t, "gpu_model", n->gpu_model[0] ? n->gpu_model : NULL);
    put_int_or_null(t, "gpu_memory_mib", n->gpu_memory_mib);
    put_str(t, "labels", n->labels);
    put_str(t, "labels_set", n->set_labels);
    put_str(t, "switch", n->switch_path[0] ? n->switch_path : NULL);
    put_str(t, "numa_cores", n->numa_cores[0] ? n->numa_cores : NULL);
    put_str(t, "gpu_numa", n->gpu_numa[0] ? n->gpu_numa : NULL);
    put_open(t, "jobs", '[');
    text_add(t, text_str(&use->jobs));
    text_addc(t, ']');
    reserved_json(reserved, n->name, t);
    put_str(t, "boot_id", n->inc.boot_id);
    put_str(t, "machine_id", n->inc.machine_id);
    put_int_or_null(t, "unreachable_since", wall_of_boot_ms(n->unreachable_since_ms));
}

static int select_nodes(struct store_reader *r, const char *where, sqlite3_stmt **ret,
                        struct err *err)
{
    AUTO(text) struct text sql = {0};
    text_add(&sql, "SELECT ");
    store_select_list(&store_tables[TABLE_NODE], "n", &sql);
    text_addf(&sql, " FROM node n %s", where);
    return db_prepare(&r->db, text_str(&sql), ret, err);
}

// The row as an object without its closing brace. 1: written; 0: the record is damaged.
static int add_node(struct store_reader *r, sqlite3_stmt *stmt, const struct reserved *reserved,
                    struct text *t, struct node *ret, struct err *err)
{
    if (node_read(stmt, 0, ret))
        return 0;
    struct use use = {0};
    int rc = read_use(r, ret->id, &use, err);
    if (!rc)
        node_json(r, ret, &use, reserved, t);
    text_free(&use.jobs);
    return rc ? rc : 1;
}

static int read_reserved(struct store_reader *r, struct reserved *ret, struct err *err)
{
    struct cluster *rules;
    int rc = query_rules_view(r, &rules, err);
    if (!rc)
        reserved_read(rules, clock_wall_ms(), ret);
    return rc;
}

int query_nodes(struct store_reader *r, struct text *ret, struct err *err)
{
    size_t before = ret->len;
    sqlite3_stmt *stmt = NULL;
    struct node n;
    struct reserved reserved = {0};
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    text_add(ret, "{\"nodes\":[");
    rc = read_reserved(r, &reserved, err);
    if (!rc)
        rc = select_nodes(r, "ORDER BY length(n.name), n.name", &stmt, err);
    while (!rc && (rc = db_step(&r->db, stmt, err)) > 0) {
        rc = add_node(r, stmt, &reserved, ret, &n, err);
        if (rc > 0) {
            text_addc(ret, '}');
            rc = 0;
        }
    }
    sqlite3_finalize(stmt);
    reserved_free(&reserved);
    text_add(ret, "]}");
    return query_end(r, rc, ret, before);
}

// ---- one node ----

static int add_inventory(struct store_reader *r, struct node_id id, struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc =
        db_stmt(&r->db, "SELECT json, readable FROM node_inventory WHERE node = ?", &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, id.v);
    if ((rc = db_step(&r->db, stmt, err)) < 0)
        return rc;
    const char *json = rc ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (json && sqlite3_column_int(stmt, 1)) {
        put_key(t, "inventory");
        text_add(t, json);
    } else {
        put_str(t, "inventory", json);
    }
    sqlite3_reset(stmt);
    return 0;
}

static void placement_row(struct store_reader *r, sqlite3_stmt *s, struct text *t)
{
    (void)r;
    put_int_or_null(t, "job", sqlite3_column_int64(s, 0));
    put_int(t, "attempt", sqlite3_column_int64(s, 1));
    put_int(t, "first_rank", sqlite3_column_int64(s, 2));
    put_int(t, "tasks", sqlite3_column_int64(s, 3));
    put_str(t, "cores", (const char *)sqlite3_column_text(s, 4));
    query_gpus_json("gpus", (uint64_t)sqlite3_column_int64(s, 5), t);
    query_shares_json(s, 8, t);
    put_int(t, "memory_mib", sqlite3_column_int64(s, 6));
    put_str(t, "state", (const char *)sqlite3_column_text(s, 7));
}

static int add_placements(struct store_reader *r, struct node_id id, struct text *t,
                          struct err *err)
{
    static const char sql[] =
        "SELECT job, attempt, first_rank, tasks, cores, gpus, memory_mib,"
        " state, pool, cpu_milli, gpu_shares FROM placement WHERE node = ? ORDER BY id";
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, id.v);
    put_open(t, "placements", '[');
    return query_rows(r, stmt, placement_row, t, err);
}

static int add_whole_node(struct store_reader *r, const char *name, struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    struct node n;
    struct reserved reserved = {0};
    int rc = read_reserved(r, &reserved, err);
    if (!rc)
        rc = select_nodes(r, "WHERE n.name = ?", &stmt, err);
    if (rc) {
        reserved_free(&reserved);
        return rc;
    }
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    rc = db_step(&r->db, stmt, err);
    if (rc > 0 && (rc = add_node(r, stmt, &reserved, t, &n, err)) == 0)
        rc = fail(err, E_CORRUPT, "the record of node \"%s\" is damaged", name);
    else if (rc == 0)
        rc = fail(err, E_NOT_FOUND, "there is no node \"%.64s\". `schedctl nodes` lists them.",
                  name);
    sqlite3_finalize(stmt);
    reserved_free(&reserved);
    if (rc < 0 || (rc = add_inventory(r, n.id, t, err)) || (rc = add_placements(r, n.id, t, err)))
        return rc;
    text_addc(t, '}');
    return 0;
}

int query_node(struct store_reader *r, const char *name, struct text *ret, struct err *err)
{
    size_t before = ret->len;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    return query_end(r, add_whole_node(r, name, ret, err), ret, before);
}

// ---- the cluster ----

struct sums {
    int64_t states[NODE_STATE_COUNT];
    int64_t cores, gpus, memory_mib;
    struct use use;
};

static int sum_nodes(struct store_reader *r, struct sums *sums, struct err *err)
{
    sqlite3_stmt *stmt;
    struct node n;
    int rc = select_nodes(r, "", &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        if (node_read(stmt, 0, &n))
            continue;
        struct use use = {0};
        if ((rc = read_use(r, n.id, &use, err)) < 0)
            break;
        sums->states[shown_state(&n, &use)]++;
        sums->cores += n.cores;
        sums->gpus += n.gpus;
        sums->memory_mib += n.memory_mib;
        sums->use.cpu_milli += use.cpu_milli;
        sums->use.gpu_milli += use.gpu_milli;
        sums->use.memory_mib += use.memory_mib;
        text_free(&use.jobs);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int count_jobs(struct store_reader *r, int64_t *ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, "SELECT state, count(*) FROM job GROUP BY state", &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        enum job_state state;
        const char *word = (const char *)sqlite3_column_text(stmt, 0);
        if (word && job_state_parse(word, &state))
            ret[state] = sqlite3_column_int64(stmt, 1);
    }
    return rc;
}

static void add_pair(struct text *t, const char *key, int64_t total, int64_t used_milli)
{
    put_open(t, key, '{');
    put_int(t, "total", total);
    put_milli(t, "used", used_milli);
    text_addc(t, '}');
}

static int add_meta(struct store_reader *r, struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, "SELECT cluster_id, term, recovery_hold FROM meta", &stmt, err);
    if (rc)
        return rc;
    if ((rc = db_step(&r->db, stmt, err)) <= 0)
        return rc ? rc : fail(err, E_CORRUPT, "the database \"%s\" names no cluster", r->db.path);
    text_addf(t, "{\"cluster_id\":\"%016" PRIx64 "\",\"version\":\"%s\"",
              (uint64_t)sqlite3_column_int64(stmt, 0), MUSTER_VERSION);
    put_int(t, "term", sqlite3_column_int64(stmt, 1));
    put_str(t, "state", sqlite3_column_int(stmt, 2) ? "recovery_hold" : "ok");
    sqlite3_reset(stmt);
    return 0;
}

static int add_cluster(struct store_reader *r, struct text *t, struct err *err)
{
    struct sums sums = {0};
    int64_t jobs[JOB_STATE_COUNT] = {0};
    int rc;
    if ((rc = add_meta(r, t, err)) || (rc = sum_nodes(r, &sums, err)) ||
        (rc = count_jobs(r, jobs, err)))
        return rc;
    put_open(t, "nodes", '{');
    for (int i = 0; i < NODE_STATE_COUNT; i++)
        put_int(t, node_state_word((enum node_state)i), sums.states[i]);
    text_addc(t, '}');
    put_open(t, "jobs", '{');
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        put_int(t, job_state_word((enum job_state)i), jobs[i]);
    text_addc(t, '}');
    add_pair(t, "cores", sums.cores, sums.use.cpu_milli);
    add_pair(t, "gpus", sums.gpus, sums.use.gpu_milli);
    add_pair(t, "memory_mib", sums.memory_mib, sums.use.memory_mib * 1000);
    text_addc(t, '}');
    return 0;
}

int query_cluster(struct store_reader *r, struct text *ret, struct err *err)
{
    size_t before = ret->len;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    return query_end(r, add_cluster(r, ret, err), ret, before);
}
