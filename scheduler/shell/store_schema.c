// The tables, and the steps from one version of them to the next.
//
// A new database is made at the newest version, from the columns' lists. Whoever changes a list
// raises STORE_SCHEMA_VERSION and adds an upgrade here.
#include "scheduler/shell/store_columns.h"
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>

#define TYPE_I64 "INTEGER NOT NULL"
#define TYPE_TERM "INTEGER NOT NULL"
#define TYPE_DEPENDS "TEXT NOT NULL"
#define TYPE_OPT "INTEGER"
#define TYPE_STR "TEXT"
#define TYPE_TEXT "TEXT NOT NULL"
#define TYPE_HASH "BLOB NOT NULL"
#define TYPE_SHARES "TEXT NOT NULL"
#define TYPE_CORES "TEXT NOT NULL"
#define TYPE_STATE "TEXT NOT NULL"
#define TYPE_REASON "TEXT NOT NULL"
#define COLUMN(name, kind, member) {#name, TYPE_##kind},

static const struct store_column meta_columns[] = {META_COLUMNS(COLUMN)};
static const struct store_column node_columns[] = {NODE_COLUMNS(COLUMN)};
static const struct store_column job_columns[] = {JOB_COLUMNS(COLUMN)};
static const struct store_column placement_columns[] = {PLACEMENT_COLUMNS(COLUMN)};
static const struct store_column selector_columns[] = {SELECTOR_COLUMNS(COLUMN)};
static const struct store_column task_columns[] = {TASK_COLUMNS(COLUMN)};
static const struct store_column wait_columns[] = {WAIT_COLUMNS(COLUMN)};
static const struct store_column event_columns[] = {EVENT_COLUMNS(COLUMN)};
static const struct store_column tally_columns[] = {TALLY_COLUMNS(COLUMN)};

#define COLUMNS_OF(array) array, sizeof(array) / sizeof *(array)
#define DEFERRED " DEFERRABLE INITIALLY DEFERRED"

const struct store_table store_tables[TABLE_COUNT] = {
    [TABLE_META] = {"meta", COLUMNS_OF(meta_columns), ", one INTEGER PRIMARY KEY CHECK (one = 1)"},
    [TABLE_NODE] = {"node", COLUMNS_OF(node_columns), ", UNIQUE (name)"},
    [TABLE_JOB] = {"job", COLUMNS_OF(job_columns),
                   ", FOREIGN KEY (spec) REFERENCES spec (hash)" DEFERRED},
    // A quarantined placement has no job.
    [TABLE_PLACEMENT] = {"placement", COLUMNS_OF(placement_columns),
                         ", of_job INTEGER AS (nullif(job, 0)) REFERENCES job (id)" DEFERRED
                         ", FOREIGN KEY (node) REFERENCES node (id)" DEFERRED},
    [TABLE_SELECTOR] = {"selector", COLUMNS_OF(selector_columns), ""},
    [TABLE_TASK] = {"task", COLUMNS_OF(task_columns),
                    ", PRIMARY KEY (job, attempt, rank)"
                    ", FOREIGN KEY (job) REFERENCES job (id)" DEFERRED
                    ", FOREIGN KEY (node) REFERENCES node (id)" DEFERRED},
    [TABLE_WAIT] = {"wait", COLUMNS_OF(wait_columns), ""},
    [TABLE_EVENT] = {"event", COLUMNS_OF(event_columns), ""},
    [TABLE_TALLY] = {"tally", COLUMNS_OF(tally_columns), ""},
};

// Why a class waited at a time.
#define EVENT_WAIT_INDEX "CREATE INDEX event_wait ON event (class, id) WHERE kind = 'job_waits';"

// Tables without a struct in the core, and every index.
static const char other_tables[] =
    "CREATE TABLE spec (hash BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL, name TEXT,"
    " queue TEXT, cwd TEXT) STRICT;"
    "CREATE TABLE boot (one INTEGER PRIMARY KEY CHECK (one = 1), boot_id TEXT NOT NULL) STRICT;"
    // Inventory: what agents could read; NULL is unknown.
    "CREATE TABLE node_inventory (node INTEGER PRIMARY KEY REFERENCES node (id),"
    " json TEXT NOT NULL, readable INTEGER NOT NULL) STRICT;"
    "CREATE TABLE package (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " model TEXT, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE numa (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " package INTEGER, memory_mib INTEGER, cores TEXT, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE core (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " package INTEGER, numa INTEGER, pus TEXT, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE gpu (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " vendor TEXT, model TEXT, uuid TEXT, memory_mib INTEGER, pci TEXT, numa INTEGER,"
    " driver TEXT, health TEXT, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE tpu (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " model TEXT, device TEXT, pci TEXT, numa INTEGER, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE volume (node INTEGER NOT NULL REFERENCES node (id), idx INTEGER NOT NULL,"
    " mount TEXT, device TEXT, kind TEXT, size_mib INTEGER, free_mib INTEGER,"
    " read_mib_s INTEGER, write_mib_s INTEGER, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE TABLE network_interface (node INTEGER NOT NULL REFERENCES node (id),"
    " idx INTEGER NOT NULL, name TEXT, mac TEXT, speed_mbit INTEGER, rdma TEXT, numa INTEGER,"
    " addresses TEXT, up INTEGER, PRIMARY KEY (node, idx)) STRICT;"
    "CREATE INDEX job_live ON job (id) WHERE" SQL_LIVE ";"
    "CREATE INDEX job_state ON job (state);"
    "CREATE INDEX job_array ON job (array, element) WHERE array <> 0;"
    "CREATE INDEX job_request ON job (request_hi, request_lo)"
    " WHERE request_hi <> 0 OR request_lo <> 0;"
    "CREATE INDEX placement_job ON placement (of_job, idx);"
    "CREATE INDEX placement_node ON placement (node);"
    "CREATE INDEX event_job ON event (job, id) WHERE job <> 0;" EVENT_WAIT_INDEX;

static bool has_id(const struct store_table *t)
{
    return strcmp(t->columns[0].name, "id") == 0;
}

void store_select_list(const struct store_table *t, const char *alias, struct text *ret)
{
    for (size_t i = 0; i < t->count; i++)
        text_addf(ret, "%s%s.\"%s\"", i ? ", " : "", alias, t->columns[i].name);
}

void store_upsert_sql(const struct store_table *t, struct text *ret)
{
    bool meta = strcmp(t->name, "meta") == 0;
    text_addf(ret, "INSERT %sINTO %s (", has_id(t) ? "" : "OR REPLACE ", t->name);
    for (size_t i = 0; i < t->count; i++)
        text_addf(ret, "%s\"%s\"", i ? ", " : "", t->columns[i].name);
    text_add(ret, meta ? ", one) VALUES (" : ") VALUES (");
    for (size_t i = 0; i < t->count; i++)
        text_add(ret, i ? ", ?" : "?");
    text_add(ret, meta ? ", 1)" : ")");
    if (!has_id(t))
        return;
    text_add(ret, " ON CONFLICT (id) DO UPDATE SET ");
    for (size_t i = 1; i < t->count; i++)
        text_addf(ret, "%s\"%s\" = excluded.\"%s\"", i > 1 ? ", " : "", t->columns[i].name,
                  t->columns[i].name);
}

static void add_create(const struct store_table *t, struct text *ret)
{
    text_addf(ret, "CREATE TABLE %s (", t->name);
    for (size_t i = 0; i < t->count; i++)
        text_addf(ret, "%s\"%s\" %s", i ? ", " : "", t->columns[i].name,
                  i == 0 && has_id(t) ? "INTEGER PRIMARY KEY" : t->columns[i].type);
    text_addf(ret, "%s) STRICT%s;", t->more,
              t == &store_tables[TABLE_TASK] ? ", WITHOUT ROWID" : "");
}

static int create_all(struct db *db, struct err *err)
{
    AUTO(text) struct text sql = {0};
    for (size_t i = 0; i < TABLE_COUNT; i++)
        add_create(&store_tables[i], &sql);
    text_add(&sql, other_tables);
    int rc = db_exec(db, text_str(&sql), err);
    return rc ? rc : store_rules_create(db, err);
}

// Whoever raises the version beyond 4 writes down here what this makes of version 4.
static int upgrade_rules(struct db *db, struct err *err)
{
    AUTO(text) struct text sql = {0};
    add_create(&store_tables[TABLE_TALLY], &sql);
    text_add(&sql, "ALTER TABLE job ADD COLUMN attained_ms INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN promoted_ms INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN waits_since_ms INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN queue INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN account INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN user INTEGER NOT NULL DEFAULT 0;"
                   "ALTER TABLE job ADD COLUMN qos INTEGER NOT NULL DEFAULT 0;");
    int rc = db_exec(db, text_str(&sql), err);
    return rc ? rc : store_rules_create(db, err);
}

// The queue's part of version 4: classes of pending jobs, and why they wait.
#define VERSION_4_QUEUE                                                                    \
    "ALTER TABLE meta DROP COLUMN blocked;"                                                \
    "ALTER TABLE meta ADD COLUMN next_class INTEGER NOT NULL DEFAULT 0;"                   \
    "ALTER TABLE job ADD COLUMN class INTEGER NOT NULL DEFAULT 0;"                         \
    "ALTER TABLE event ADD COLUMN class INTEGER NOT NULL DEFAULT 0;"                       \
    "CREATE TABLE wait (id INTEGER PRIMARY KEY, reason TEXT NOT NULL,"                     \
    " reason_node INTEGER NOT NULL, reason_a INTEGER NOT NULL, reason_b INTEGER NOT NULL," \
    " reason_c INTEGER NOT NULL, since_ms INTEGER NOT NULL, starts_ms INTEGER NOT NULL)"   \
    " STRICT;" EVENT_WAIT_INDEX "ALTER TABLE job ADD COLUMN nice INTEGER NOT NULL DEFAULT 0;"
// What nodes have and requests ask for.
#define VERSION_4_PLACING                                                    \
    "ALTER TABLE meta ADD COLUMN next_selector INTEGER NOT NULL DEFAULT 1;"  \
    "ALTER TABLE job ADD COLUMN cpu_milli INTEGER NOT NULL DEFAULT 0;"       \
    "ALTER TABLE job ADD COLUMN gpu_milli INTEGER NOT NULL DEFAULT 0;"       \
    "ALTER TABLE job ADD COLUMN tasks_per_node INTEGER NOT NULL DEFAULT 0;"  \
    "ALTER TABLE job ADD COLUMN exclusive INTEGER NOT NULL DEFAULT 0;"       \
    "ALTER TABLE job ADD COLUMN spread INTEGER NOT NULL DEFAULT 0;"          \
    "ALTER TABLE job ADD COLUMN need INTEGER NOT NULL DEFAULT 0;"            \
    "ALTER TABLE job ADD COLUMN prefer INTEGER NOT NULL DEFAULT 0;"          \
    "ALTER TABLE job ADD COLUMN reservation INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE placement ADD COLUMN pool TEXT NOT NULL DEFAULT '';"        \
    "ALTER TABLE placement ADD COLUMN cpu_milli INTEGER NOT NULL DEFAULT 0;" \
    "ALTER TABLE placement ADD COLUMN gpu_shares TEXT NOT NULL DEFAULT '';"  \
    "ALTER TABLE node ADD COLUMN labels TEXT NOT NULL DEFAULT '';"           \
    "ALTER TABLE node ADD COLUMN told_labels TEXT NOT NULL DEFAULT '';"      \
    "ALTER TABLE node ADD COLUMN set_labels TEXT NOT NULL DEFAULT '';"       \
    "ALTER TABLE node ADD COLUMN gpu_model TEXT NOT NULL DEFAULT '';"        \
    "ALTER TABLE node ADD COLUMN gpu_memory_mib INTEGER NOT NULL DEFAULT 0;" \
    "ALTER TABLE node ADD COLUMN switch_path TEXT NOT NULL DEFAULT '';"      \
    "ALTER TABLE node ADD COLUMN numa_cores TEXT NOT NULL DEFAULT '';"       \
    "ALTER TABLE node ADD COLUMN gpu_numa TEXT NOT NULL DEFAULT '';"         \
    "CREATE TABLE selector (\"id\" INTEGER PRIMARY KEY, \"text\" TEXT NOT NULL) STRICT;"

// What jobs wait for beside resources, and until when they may run.
#define VERSION_4_TERMS                                                      \
    "ALTER TABLE job ADD COLUMN depends TEXT NOT NULL DEFAULT '';"           \
    "ALTER TABLE job ADD COLUMN begin_ms INTEGER NOT NULL DEFAULT 0;"        \
    "ALTER TABLE job ADD COLUMN deadline_ms INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE job ADD COLUMN array_limit INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE job ADD COLUMN cancel_if_never INTEGER NOT NULL DEFAULT 0;" \
    "ALTER TABLE job ADD COLUMN array_begun INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE job ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;"           \
    "UPDATE job SET begun = attempts_used > 0;"                              \
    "ALTER TABLE job ADD COLUMN name_key INTEGER NOT NULL DEFAULT 0;"

static const struct store_upgrade upgrades[] = {
    {1, "ALTER TABLE meta ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0", NULL},
    {2,
     "ALTER TABLE meta ADD COLUMN next_port INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE placement ADD COLUMN port INTEGER NOT NULL DEFAULT 0",
     NULL},
    {3, VERSION_4_QUEUE VERSION_4_PLACING VERSION_4_TERMS, upgrade_rules},
};

const struct store_schema store_schema = {
    .version = STORE_SCHEMA_VERSION,
    .create = create_all,
    .upgrades = upgrades,
    .upgrades_count = sizeof upgrades / sizeof *upgrades,
};

// ---- versions ----

static int set_version(struct db *db, int version, struct err *err)
{
    AUTO_FREE char *sql = xasprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", version,
                                    STORE_APPLICATION_ID);
    return db_exec(db, sql, err);
}

static int create(struct db *db, const struct store_schema *schema, struct err *err)
{
    int rc = db_exec(db, "BEGIN IMMEDIATE", err);
    if (!rc)
        rc = schema->create(db, err);
    if (!rc)
        rc = set_version(db, schema->version, err);
    if (!rc)
        rc = db_exec(db, "COMMIT", err);
    db_rollback(db);
    return rc;
}

static int upgrade_once(struct db *db, const struct store_schema *schema, int64_t version,
                        struct err *err)
{
    bool known = false;
    for (size_t i = 0; i < schema->upgrades_count; i++) {
        const struct store_upgrade *u = &schema->upgrades[i];
        if (u->from != version)
            continue;
        known = true;
        int rc = u->sql ? db_exec(db, u->sql, err) : 0;
        if (!rc && u->step)
            rc = u->step(db, err);
        if (rc)
            return rc;
    }
    return known ? 0
                 : fail(err, E_VERSION,
                        "the database \"%s\" has version %" PRId64
                        ", from which this Muster knows no way up. Use the one that made it.",
                        db->path, version);
}

// The old state stays beside the database under a name of its own.
static int keep_copy(struct db *db, int64_t version, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s.v%" PRId64, db->path, version);
    sqlite3_stmt *stmt;
    int rc = db_prepare(db, "VACUUM INTO ?", &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    rc = db_run(db, stmt, err);
    sqlite3_finalize(stmt);
    if (rc)
        return fail(err, (enum errcode)rc,
                    "cannot copy the database to \"%s\" before bringing it to a newer version. "
                    "Make room there; if a copy of that name exists, move it away.",
                    path);
    log_info("store", "copied before the upgrade", "path=%s", path);
    return 0;
}

static int upgrade(struct db *db, const struct store_schema *schema, int64_t version,
                   struct err *err)
{
    int rc = keep_copy(db, version, err);
    if (!rc)
        rc = db_exec(db, "BEGIN IMMEDIATE", err);
    for (; !rc && version < schema->version; version++)
        rc = upgrade_once(db, schema, version, err);
    if (!rc)
        rc = set_version(db, schema->version, err);
    if (!rc)
        rc = db_exec(db, "COMMIT", err);
    db_rollback(db);
    if (!rc)
        log_info("store", "database upgraded", "path=%s version=%d", db->path, schema->version);
    return rc;
}

int store_schema_bring_up(struct db *db, const struct store_schema *schema, struct err *err)
{
    int64_t version, application, tables;
    int rc;
    if ((rc = db_int(db, "PRAGMA user_version", &version, err)) ||
        (rc = db_int(db, "PRAGMA application_id", &application, err)) ||
        (rc = db_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err)))
        return rc;
    if (version == 0 && application == 0 && tables == 0)
        return create(db, schema, err);
    if (application != STORE_APPLICATION_ID)
        return fail(err, E_CORRUPT,
                    "\"%s\" is a database of another program. Choose another directory.", db->path);
    if (version > schema->version)
        return fail(err, E_VERSION,
                    "the database \"%s\" has version %" PRId64 ", made by a newer Muster; this one "
                    "knows up to %d. Start the newer one.",
                    db->path, version, schema->version);
    return version < schema->version ? upgrade(db, schema, version, err) : 0;
}
