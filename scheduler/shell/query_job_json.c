// A job as the API shows it.
#include "scheduler/core/las.h"
#include "scheduler/shell/query_internal.h"
#include "scheduler/shell/query_users.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/hostlist.h"

#include <inttypes.h>
#include <stdio.h>

// Behind the job's own columns, of what is read here.
enum { NAME, QUEUE, CWD, ACCOUNT = 11, QOS, NEED, PREFER, RESERVATION };

int query_end(struct store_reader *r, int rc, struct text *ret, size_t before)
{
    cluster_free(r->rules);
    r->rules = NULL;
    db_rollback(&r->db);
    if (rc < 0 && ret->p) {
        ret->len = before;
        ret->p[before] = 0;
    }
    return rc;
}

void query_job_sql(const char *hint, const char *where, struct text *ret)
{
    text_add(ret, "SELECT ");
    store_select_list(&store_tables[TABLE_JOB], "j", ret);
    text_addf(ret,
              ", s.name, coalesce((SELECT name FROM queue WHERE id = j.queue), s.queue), s.cwd, "
              "rn.name, w.reason, w.reason_a, w.reason_b, w.reason_c, "
              "wn.name, w.since_ms, w.starts_ms, (SELECT name FROM account WHERE id = j.account), "
              "(SELECT name FROM qos WHERE id = j.qos), need.text, prefer.text, "
              "(SELECT name FROM reservation WHERE id = j.reservation) FROM job j %s "
              "LEFT JOIN spec s ON s.hash = j.spec "
              "LEFT JOIN selector need ON need.id = j.need "
              "LEFT JOIN selector prefer ON prefer.id = j.prefer "
              "LEFT JOIN node rn ON rn.id = j.reason_node "
              "LEFT JOIN wait w ON w.id = j.class AND j.class <> 0 "
              "LEFT JOIN node wn ON wn.id = w.reason_node %s",
              hint, where);
}

int query_rows(struct store_reader *r, sqlite3_stmt *stmt,
               void (*row)(struct store_reader *r, sqlite3_stmt *stmt, struct text *t),
               struct text *t, struct err *err)
{
    int rc;
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        put_open(t, NULL, '{');
        row(r, stmt, t);
        text_addc(t, '}');
    }
    text_addc(t, ']');
    return rc;
}

void query_gpus_json(const char *key, uint64_t gpus, struct text *t)
{
    put_open(t, key, '[');
    for (int g = 0; g < 64; g++)
        if (gpus >> g & 1) {
            put_next(t);
            put_number(t, g);
        }
    text_addc(t, ']');
}

void query_shares_json(sqlite3_stmt *s, int at, struct text *t)
{
    struct gpu_shares shares;
    char gpu[12];
    put_str(t, "shared_cores", (const char *)sqlite3_column_text(s, at));
    put_milli(t, "shared_cpus", sqlite3_column_int64(s, at + 1));
    put_open(t, "gpu_shares", '{');
    if (shares_parse((const char *)sqlite3_column_text(s, at + 2), &shares))
        for (int g = 0; g < NODE_GPUS_MAX; g++) {
            snprintf(gpu, sizeof gpu, "%d", g);
            if (shares.milli[g])
                put_milli(t, gpu, shares.milli[g]);
        }
    text_addc(t, '}');
}

// The hint with its node's name.
static void add_hint(const char *hint, const char *node, struct text *t)
{
    for (const char *p = hint; *p; p++) {
        if (p[0] != '%' || p[1] != 'n') {
            text_addc(t, *p);
            continue;
        }
        text_add(t, node ? node : "NODE");
        p++;
    }
}

void query_reason_json(struct store_reader *r, const struct reason *reason, const char *node,
                       const char *detail, struct text *t)
{
    if (reason->code == REASON_NONE) {
        put_null(t, "reason");
        return;
    }
    AUTO(text) struct text sentence = {0}, hint = {0}, limit = {0};
    struct cluster *rules;
    if (reason_is_limit(reason->code) && query_rules_view(r, &rules, NULL) == 0)
        cluster_limit_text(rules, reason, &limit);
    reason_text(reason, node, limit.len ? text_str(&limit) : detail, &sentence);
    add_hint(reason_hint(reason->code), node, &hint);
    put_open(t, "reason", '{');
    put_str(t, "code", reason_word(reason->code));
    put_str(t, "text", text_str(&sentence));
    put_str(t, "hint", text_str(&hint));
    text_addc(t, '}');
}

// Where its newest attempt lies, or lay.
static int add_nodes(struct store_reader *r, const struct job *j, struct text *t, struct err *err)
{
    static const char placed[] =
        "SELECT n.name FROM placement p JOIN node n ON n.id = p.node"
        " WHERE p.of_job = ? AND p.attempt = ? AND p.over = 0 ORDER BY p.idx";
    static const char ran[] = "SELECT DISTINCT n.name FROM task t JOIN node n ON n.id = t.node"
                              " WHERE t.job = ? AND t.attempt = ?";
    AUTO(names) struct names names = {0};
    AUTO(text) struct text list = {0};
    sqlite3_stmt *stmt;
    int rc = 0;
    if (j->attempt && j->state != JOB_PENDING) {
        if ((rc = db_stmt(&r->db, job_state_ended(j->state) ? ran : placed, &stmt, err)))
            return rc;
        sqlite3_bind_int64(stmt, 1, (int64_t)j->id.v);
        sqlite3_bind_int64(stmt, 2, j->attempt);
        while ((rc = db_step(&r->db, stmt, err)) > 0)
            names_add(&names, (const char *)sqlite3_column_text(stmt, 0));
    }
    hostlist_fold(names.items, names.count, &list);
    put_str(t, "nodes", names.count ? text_str(&list) : NULL);
    return rc;
}

static void add_array(const struct job *j, struct text *t)
{
    if (j->array_count) {
        put_open(t, "array", '{');
        put_int(t, "first", j->array_first);
        put_int(t, "count", j->array_count);
        put_int(t, "next", j->array_next);
        put_int(t, "live", j->array_live);
        put_int(t, "failed", j->array_failed);
        put_int_or_null(t, "limit", j->terms ? j->terms->array_limit : 0);
        text_addc(t, '}');
    } else {
        put_null(t, "array");
    }
    if (j->array.v)
        put_int(t, "element", j->element);
    else
        put_null(t, "element");
    put_int_or_null(t, "array_id", (int64_t)j->array.v);
}

// How its tasks lie on nodes, and on which.
static void add_shape(const struct job *j, sqlite3_stmt *row, struct text *t)
{
    put_int_or_null(t, "tasks_per_node", j->req.tasks_per_node);
    put_bool(t, "exclusive", j->req.exclusive);
    put_bool(t, "spread", j->req.spread);
    put_str(t, "constraint", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + NEED));
    put_str(t, "prefer", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + PREFER));
}

static void add_terms(const struct job *j, struct text *t)
{
    AUTO(text) struct text list = {0};
    terms_depends_text(j, &list);
    put_str(t, "dependency", list.len ? text_str(&list) : NULL);
    put_int_or_null(t, "begin_at", j->terms ? j->terms->begin_ms : 0);
    put_int_or_null(t, "deadline_at", j->terms ? j->terms->deadline_ms : 0);
}

static void add_request(const struct job *j, struct text *t)
{
    put_milli(t, "cpus", j->req.cpus * 1000 + j->req.cpu_milli);
    put_milli(t, "gpus", j->req.gpus * 1000 + j->req.gpu_milli);
    put_int(t, "memory_mib", j->req.memory_mib);
    put_int(t, "time_limit_ms", j->req.time_limit_ms);
    put_int(t, "priority", j->priority);
    put_int_or_null(t, "submitted_at", j->submitted_at_ms);
    put_int_or_null(t, "started_at", j->started_at_ms);
    put_int_or_null(t, "ended_at", j->ended_at_ms);
    put_int(t, "attained_ms", job_attained_ms(j, clock_wall_ms()));
    if (job_state_ended(j->state))
        put_int(t, "exit_code", j->exit_code);
    else
        put_null(t, "exit_code");
}

int query_job_json(struct store_reader *r, sqlite3_stmt *row, struct job *ret_job, struct text *t,
                   struct err *err)
{
    struct job j;
    const char *wrong = job_read(row, 0, &j);
    int rc = 0;
    if (wrong)
        goto out;
    put_open(t, NULL, '{');
    put_int(t, "id", (int64_t)j.id.v);
    put_str(t, "name", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + NAME));
    put_str(t, "user", users_name(r->users, j.owner_uid));
    put_int(t, "uid", j.owner_uid);
    char job_uid[24];
    snprintf(job_uid, sizeof job_uid, "%016" PRIx64, j.uid.v);
    put_str(t, "job_uid", job_uid);
    put_str(t, "queue", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + QUEUE));
    put_str(t, "account", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + ACCOUNT));
    put_str(t, "qos", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + QOS));
    put_str(t, "reservation",
            (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + RESERVATION));
    put_str(t, "state", job_state_word(j.state));
    put_int(t, "attempt", j.attempt);
    put_int(t, "tasks", j.req.tasks);
    if ((rc = add_nodes(r, &j, t, err)))
        goto out;
    add_request(&j, t);
    add_shape(&j, row, t);
    add_terms(&j, t);
    query_why_json(r, row, &j, t);
    add_array(&j, t);
    put_str(t, "cwd", (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + CWD));
    rc = 1;
out:
    job_row_clear(&j);
    if (ret_job)
        *ret_job = j;
    return rc;
}
