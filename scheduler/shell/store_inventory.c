// A node's inventory, from the agent's JSON into tables. The text is kept as it came, too.
//
//     {"packages": [{"model"}],
//      "numa": [{"package", "memory_mib", "cores"}],
//      "cores": [{"package", "numa", "pus"}],
//      "gpus": [{"vendor", "model", "uuid", "memory_mib", "pci", "numa", "driver", "health"}],
//      "tpus": [{"model", "device", "pci", "numa"}],
//      "volumes": [{"mount", "device", "kind", "size_mib", "free_mib", "read_mib_s",
//                   "write_mib_s"}],
//      "network": [{"name", "mac", "speed_mbit", "rdma", "numa", "addresses": [...], "up"}]}
//
// An entry's number is its "index", else its place in the array. What is absent, null or of another
// type is unknown: NULL. A list of strings becomes "a,b". Other members stay in the text alone.
// Packages and NUMA nodes that only the cores name get rows too.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { INVENTORY_ROWS_MAX = 4096, FIELDS_MAX = 8 };

enum field_kind { FIELD_TEXT, FIELD_INT };

struct field {
    const char *name; // column and member
    enum field_kind kind;
};

static const struct inventory_table {
    const char *table, *member, *insert, *clear;
    struct field fields[FIELDS_MAX + 1];
} tables[] = {
    {"package",
     "packages",
     "INSERT OR REPLACE INTO package (node, idx, model) VALUES (?, ?, ?)",
     "DELETE FROM package WHERE node = ?",
     {{"model", FIELD_TEXT}}},
    {"numa",
     "numa",
     "INSERT OR REPLACE INTO numa (node, idx, package, memory_mib, cores) VALUES (?, ?, ?, ?, ?)",
     "DELETE FROM numa WHERE node = ?",
     {{"package", FIELD_INT}, {"memory_mib", FIELD_INT}, {"cores", FIELD_TEXT}}},
    {"core",
     "cores",
     "INSERT OR REPLACE INTO core (node, idx, package, numa, pus) VALUES (?, ?, ?, ?, ?)",
     "DELETE FROM core WHERE node = ?",
     {{"package", FIELD_INT}, {"numa", FIELD_INT}, {"pus", FIELD_TEXT}}},
    {"gpu",
     "gpus",
     "INSERT OR REPLACE INTO gpu (node, idx, vendor, model, uuid, memory_mib, pci, numa, driver,"
     " health) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
     "DELETE FROM gpu WHERE node = ?",
     {{"vendor", FIELD_TEXT},
      {"model", FIELD_TEXT},
      {"uuid", FIELD_TEXT},
      {"memory_mib", FIELD_INT},
      {"pci", FIELD_TEXT},
      {"numa", FIELD_INT},
      {"driver", FIELD_TEXT},
      {"health", FIELD_TEXT}}},
    {"tpu",
     "tpus",
     "INSERT OR REPLACE INTO tpu (node, idx, model, device, pci, numa) VALUES (?, ?, ?, ?, ?, ?)",
     "DELETE FROM tpu WHERE node = ?",
     {{"model", FIELD_TEXT}, {"device", FIELD_TEXT}, {"pci", FIELD_TEXT}, {"numa", FIELD_INT}}},
    {"volume",
     "volumes",
     "INSERT OR REPLACE INTO volume (node, idx, mount, device, kind, size_mib, free_mib,"
     " read_mib_s, write_mib_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
     "DELETE FROM volume WHERE node = ?",
     {{"mount", FIELD_TEXT},
      {"device", FIELD_TEXT},
      {"kind", FIELD_TEXT},
      {"size_mib", FIELD_INT},
      {"free_mib", FIELD_INT},
      {"read_mib_s", FIELD_INT},
      {"write_mib_s", FIELD_INT}}},
    {"network_interface",
     "network",
     "INSERT OR REPLACE INTO network_interface (node, idx, name, mac, speed_mbit, rdma, numa,"
     " addresses, up) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
     "DELETE FROM network_interface WHERE node = ?",
     {{"name", FIELD_TEXT},
      {"mac", FIELD_TEXT},
      {"speed_mbit", FIELD_INT},
      {"rdma", FIELD_TEXT},
      {"numa", FIELD_INT},
      {"addresses", FIELD_TEXT},
      {"up", FIELD_INT}}},
};

static void bind_list(sqlite3_stmt *stmt, int i, const json_t *list)
{
    AUTO(text) struct text t = {0};
    size_t k;
    json_t *item;
    json_array_foreach(list, k, item) if (json_is_string(item))
        text_addf(&t, "%s%s", t.len ? "," : "", json_string_value(item));
    sqlite3_bind_text(stmt, i, text_str(&t), -1, SQLITE_TRANSIENT);
}

static void bind_field(sqlite3_stmt *stmt, int i, const struct field *f, const json_t *v)
{
    if (f->kind == FIELD_INT && json_is_integer(v))
        sqlite3_bind_int64(stmt, i, json_integer_value(v));
    else if (f->kind == FIELD_INT && json_is_boolean(v))
        sqlite3_bind_int64(stmt, i, json_is_true(v));
    else if (f->kind == FIELD_TEXT && json_is_string(v))
        sqlite3_bind_text(stmt, i, json_string_value(v), -1, SQLITE_TRANSIENT);
    else if (f->kind == FIELD_TEXT && json_is_array(v))
        bind_list(stmt, i, v);
    else
        sqlite3_bind_null(stmt, i);
}

static int write_entry(struct store *s, const struct inventory_table *t, struct node_id node,
                       size_t place, const json_t *entry, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&s->db, t->insert, &stmt, err);
    if (rc)
        return rc;
    const json_t *index = json_object_get(entry, "index");
    sqlite3_bind_int64(stmt, 1, node.v);
    sqlite3_bind_int64(stmt, 2,
                       json_is_integer(index) ? json_integer_value(index) : (int64_t)place);
    for (int i = 0; t->fields[i].name; i++)
        bind_field(stmt, i + 3, &t->fields[i], json_object_get(entry, t->fields[i].name));
    return db_run(&s->db, stmt, err);
}

static int write_table(struct store *s, const struct inventory_table *t, struct node_id node,
                       const json_t *inventory, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&s->db, t->clear, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, node.v);
    if ((rc = db_run(&s->db, stmt, err)))
        return rc;
    const json_t *entries = json_object_get(inventory, t->member);
    for (size_t i = 0; i < json_array_size(entries) && i < INVENTORY_ROWS_MAX; i++)
        if ((rc = write_entry(s, t, node, i, json_array_get(entries, i), err)))
            return rc;
    return 0;
}

static int keep_text(struct store *s, const struct store_inventory *in, bool readable,
                     struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO node_inventory (node, json, readable) VALUES (?, ?, ?)";
    sqlite3_stmt *stmt;
    int rc = db_stmt(&s->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, in->node.v);
    sqlite3_bind_text(stmt, 2, in->json, -1, SQLITE_STATIC);
    sqlite3_bind_int(stmt, 3, readable);
    rc = db_run(&s->db, stmt, err);
    sqlite3_clear_bindings(stmt);
    return rc;
}

static int derive(struct store *s, struct node_id node, struct err *err)
{
    static const char *const sql[] = {
        "INSERT OR IGNORE INTO package (node, idx) SELECT DISTINCT node, package FROM core"
        " WHERE node = ? AND package IS NOT NULL",
        "INSERT OR IGNORE INTO numa (node, idx, package) SELECT node, numa, min(package) FROM core"
        " WHERE node = ? AND numa IS NOT NULL GROUP BY node, numa",
    };
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        sqlite3_stmt *stmt;
        int rc = db_stmt(&s->db, sql[i], &stmt, err);
        if (rc)
            return rc;
        sqlite3_bind_int64(stmt, 1, node.v);
        if ((rc = db_run(&s->db, stmt, err)))
            return rc;
    }
    return 0;
}

int store_write_inventory(struct store *s, const struct store_inventory *in, struct err *err)
{
    json_error_t wrong;
    json_t *inventory = json_loads(in->json, JSON_REJECT_DUPLICATES, &wrong);
    bool readable = json_is_object(inventory);
    if (!readable)
        log_warning("store", "inventory unreadable", "node=%" PRIu32 " error=\"%s\"", in->node.v,
                    inventory ? "not an object" : wrong.text);
    int rc = keep_text(s, in, readable, err);
    for (size_t i = 0; readable && !rc && i < sizeof tables / sizeof *tables; i++)
        rc = write_table(s, &tables[i], in->node, inventory, err);
    if (readable && !rc)
        rc = derive(s, in->node, err);
    json_decref(inventory);
    return rc;
}
