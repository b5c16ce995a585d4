// What a start has to know and to claim before anything is sent: term, nonce, boot.
#include "scheduler/shell/store_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

struct claim {
    const struct cluster_meta *meta; // NULL: no term is claimed
    const char *boot_id;
    bool same_boot;
};

static int read_boot(struct store *s, const char *boot_id, bool *ret_same, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&s->db, "SELECT boot_id FROM boot", &stmt, err);
    if (rc)
        return rc;
    rc = db_step(&s->db, stmt, err);
    const char *last = rc > 0 ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    *ret_same = last && strcmp(last, boot_id) == 0 && strcmp(boot_id, "unknown") != 0;
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static int write_claim(struct store *s, const void *arg, struct err *err)
{
    const struct claim *claim = arg;
    sqlite3_stmt *stmt;
    int rc;
    if (claim->meta) {
        if ((rc = db_stmt(&s->db, s->upsert[TABLE_META], &stmt, err)))
            return rc;
        meta_bind(stmt, claim->meta);
        if ((rc = db_run(&s->db, stmt, err)))
            return rc;
    }
    if (claim->same_boot)
        return 0;
    rc = db_stmt(&s->db, "INSERT OR REPLACE INTO boot (one, boot_id) VALUES (1, ?)", &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_text(stmt, 1, claim->boot_id, -1, SQLITE_TRANSIENT);
    if ((rc = db_run(&s->db, stmt, err)))
        return rc;
    // Times of another boot's clock must not be read in this one, even if this start is cut short
    // before the core has written its own.
    return db_exec(&s->db, "UPDATE node SET unreachable_since_ms = 0", err);
}

static int claim_term(struct store *s, const struct store_start *start,
                      const struct cluster_meta *old, const char *boot_id, struct err *err)
{
    struct cluster_meta meta = *old;
    meta.term = start->term;
    meta.nonce = start->nonce;
    struct claim claim = {
        .meta = start->hold ? NULL : &meta, .boot_id = boot_id, .same_boot = start->same_boot};
    int rc = store_transaction(s, write_claim, &claim, err);
    if (!rc && !start->hold)
        rc = store_write_term_file(s, start->term, err);
    return rc;
}

int store_load(struct store *s, struct cluster *c, struct store_start *ret, int *ret_quarantined,
               struct err *err)
{
    struct cluster_meta meta;
    struct store_start start = {0};
    char boot_id[37];
    uint64_t filed;
    int quarantined, rc;
    clock_boot_id(boot_id);
    if ((rc = store_term_read(s, &filed, err)) ||
        (rc = store_load_rows(s, c, &meta, &quarantined, err)) ||
        (rc = read_boot(s, boot_id, &start.same_boot, err)))
        return rc;
    while (!start.nonce)
        if (getrandom(&start.nonce, sizeof start.nonce, 0) != sizeof start.nonce)
            return fail(err, E_SYSTEM, "the kernel gives no random numbers: %m");
    start.hold = filed > meta.term || meta.recovery_hold;
    if (start.hold)
        start.term_seen = filed > meta.term_seen ? filed : meta.term_seen;
    start.term = start.hold ? meta.term : meta.term + 1;
    if (!filed && meta.term)
        log_warning("store", "no term file", "path=%s term=%" PRIu64, s->term_path, meta.term);
    if ((rc = claim_term(s, &start, &meta, boot_id, err)))
        return rc;
    *ret = start;
    *ret_quarantined = quarantined;
    return 0;
}
