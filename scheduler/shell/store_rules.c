// The operators' rows: a table a noun, made from the fields of common/rule.h, with two columns
// before them: id, and removed (a row that no longer holds; its name is that of ended jobs).
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

static void add_columns(enum rule_kind k, const char *alias, struct text *ret)
{
    size_t count;
    const struct rule_field *f = rule_fields(k, &count);
    text_addf(ret, "%sid, %sremoved", alias, alias);
    for (size_t i = 0; i < count; i++)
        text_addf(ret, ", %s\"%s\"", alias, f[i].name);
}

int store_rules_create(struct db *db, struct err *err)
{
    AUTO(text) struct text sql = {0};
    for (enum rule_kind k = 0; k < RULE_KIND_COUNT; k++) {
        size_t count;
        const struct rule_field *f = rule_fields(k, &count);
        text_addf(&sql, "CREATE TABLE \"%s\" (id INTEGER PRIMARY KEY, removed INTEGER NOT NULL",
                  rule_kind_word(k));
        for (size_t i = 0; i < count; i++)
            text_addf(&sql, ", \"%s\" %s NOT NULL", f[i].name,
                      rule_field_is_text(&f[i]) ? "TEXT" : "INTEGER");
        text_add(&sql, ") STRICT;");
    }
    return db_exec(db, text_str(&sql), err);
}

void store_rule_upsert_sql(enum rule_kind k, struct text *ret)
{
    size_t count;
    rule_fields(k, &count);
    text_addf(ret, "INSERT OR REPLACE INTO \"%s\" (", rule_kind_word(k));
    add_columns(k, "", ret);
    text_add(ret, ") VALUES (?, ?");
    for (size_t i = 0; i < count; i++)
        text_add(ret, ", ?");
    text_addc(ret, ')');
}

int store_write_rule(struct store *s, const struct rule *r, struct err *err)
{
    sqlite3_stmt *stmt;
    size_t count;
    const struct rule_field *f = rule_fields(r->kind, &count);
    int rc = db_stmt(&s->db, s->rule_upsert[r->kind], &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, r->id);
    sqlite3_bind_int64(stmt, 2, r->removed);
    for (size_t i = 0; i < count; i++)
        if (rule_field_is_text(&f[i]))
            sqlite3_bind_text(stmt, (int)i + 3, rule_text(r, &f[i]), -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(stmt, (int)i + 3, rule_number_of(r, &f[i]));
    rc = db_run(&s->db, stmt, err);
    sqlite3_clear_bindings(stmt);
    return rc;
}

// NULL, or the first column that makes no sense.
static const char *read_rule(sqlite3_stmt *stmt, enum rule_kind k, struct rule *ret)
{
    const char *wrong = NULL;
    struct err err;
    size_t count;
    const struct rule_field *f = rule_fields(k, &count);
    rule_init(ret, k);
    ret->id = sqlite3_column_int64(stmt, 0);
    for (size_t i = 0; i < count; i++) {
        const char *text = (const char *)sqlite3_column_text(stmt, (int)i + 2);
        int rc = 0;
        if (rule_field_is_text(&f[i]) && (f[i].type != RULE_TYPE_WORD || (text && *text)))
            rc = rule_set_text(ret, &f[i], text ? text : "", &err);
        else if (f[i].type == RULE_TYPE_HIDDEN)
            *rule_number(ret, &f[i]) = sqlite3_column_int64(stmt, (int)i + 2);
        else if (!rule_field_is_text(&f[i]))
            rc = rule_set_number(ret, &f[i], sqlite3_column_int64(stmt, (int)i + 2), &err);
        if (rc && !wrong)
            wrong = f[i].name;
    }
    return wrong;
}

static int load_kind(struct db *db, enum rule_kind k, struct cluster *c,
                     void (*bad)(void *arg, const char *what, uint64_t id, const char *why),
                     void *arg, struct err *err)
{
    AUTO(text) struct text sql = {0};
    sqlite3_stmt *stmt;
    text_add(&sql, "SELECT ");
    add_columns(k, "", &sql);
    text_addf(&sql, " FROM \"%s\" WHERE removed = 0 ORDER BY id", rule_kind_word(k));
    int rc = db_prepare(db, text_str(&sql), &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(db, stmt, err)) > 0) {
        struct rule r;
        struct err refused;
        const char *wrong = read_rule(stmt, k, &r);
        if (!wrong && cluster_load_rule(c, &r, &refused))
            wrong = refused.message;
        if (wrong)
            bad(arg, rule_kind_word(k), (uint64_t)r.id, wrong);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int load_tallies(struct db *db, struct cluster *c,
                        void (*bad)(void *arg, const char *what, uint64_t id, const char *why),
                        void *arg, struct err *err)
{
    AUTO(text) struct text sql = {0};
    sqlite3_stmt *stmt;
    text_add(&sql, "SELECT ");
    store_select_list(&store_tables[TABLE_TALLY], "t", &sql);
    text_add(&sql, " FROM tally t ORDER BY id");
    int rc = db_prepare(db, text_str(&sql), &stmt, err);
    if (rc)
        return rc;
    while ((rc = db_step(db, stmt, err)) > 0) {
        struct tally t;
        struct err refused;
        const char *wrong = tally_read(stmt, 0, &t);
        if (!wrong && cluster_load_tally(c, &t, &refused))
            wrong = refused.message;
        if (wrong)
            bad(arg, "tally", (uint64_t)t.id, wrong);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int store_load_rules(struct db *db, struct cluster *c,
                     void (*bad)(void *arg, const char *what, uint64_t id, const char *why),
                     void *arg, struct err *err)
{
    int rc = 0;
    for (enum rule_kind k = 0; !rc && k < RULE_KIND_COUNT; k++)
        rc = load_kind(db, k, c, bad, arg, err);
    return rc ? rc : load_tallies(db, c, bad, arg, err);
}
