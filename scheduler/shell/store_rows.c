// One mapping for each entity, in both directions, from the columns' lists in the core's headers.
// States and reasons are stored as their words: a reordered enum changes no meaning.
#include "scheduler/shell/store_columns.h"
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_ONE(name, kind, member) +1
const int NODE_COLUMNS_COUNT = 0 NODE_COLUMNS(COUNT_ONE);
const int JOB_COLUMNS_COUNT = 0 JOB_COLUMNS(COUNT_ONE);
const int WAIT_COLUMNS_COUNT = 0 WAIT_COLUMNS(COUNT_ONE);
const int PLACEMENT_COLUMNS_COUNT = 0 PLACEMENT_COLUMNS(COUNT_ONE);

bool job_state_parse(const char *word, enum job_state *ret)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (strcmp(job_state_word((enum job_state)i), word) == 0) {
            *ret = (enum job_state)i;
            return true;
        }
    return false;
}

bool placement_state_parse(const char *word, enum placement_state *ret)
{
    for (int i = 0; i < PLACEMENT_STATE_COUNT; i++)
        if (strcmp(placement_state_word((enum placement_state)i), word) == 0) {
            *ret = (enum placement_state)i;
            return true;
        }
    return false;
}

// ---- struct -> row ----

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC); // NULL binds NULL
}

static void bind_cores(sqlite3_stmt *s, int i, const struct coreset *cores)
{
    struct text t = {0};
    text_add_coreset(&t, cores);
    sqlite3_bind_text(s, i, text_str(&t), -1, SQLITE_TRANSIENT);
    text_free(&t);
}

static void bind_shares(sqlite3_stmt *s, int i, const struct gpu_shares *shares)
{
    struct text t = {0};
    text_add_shares(&t, shares);
    sqlite3_bind_text(s, i, text_str(&t), -1, SQLITE_TRANSIENT);
    text_free(&t);
}

static void bind_known(sqlite3_stmt *s, int i, int64_t v)
{
    if (v < 0)
        sqlite3_bind_null(s, i);
    else
        sqlite3_bind_int64(s, i, v);
}

#define STATE_WORD(state)                            \
    _Generic((state), enum job_state                 \
             : job_state_word, enum placement_state  \
             : placement_state_word, enum event_kind \
             : event_kind_word)(state)

#define BIND_I64(member) sqlite3_bind_int64(s, i, (int64_t)row->member);
#define BIND_OPT(member) bind_known(s, i, row->member);
#define BIND_STR(member) bind_text(s, i, row->member);
#define BIND_TEXT(member) bind_text(s, i, row->member);
#define BIND_HASH(member) \
    sqlite3_bind_blob(s, i, row->member.b, sizeof row->member.b, SQLITE_STATIC);
#define BIND_CORES(member) bind_cores(s, i, &row->member);
#define BIND_SHARES(member) bind_shares(s, i, &row->member);
#define BIND_STATE(member) bind_text(s, i, STATE_WORD(row->member));
#define BIND_REASON(member) bind_text(s, i, reason_word(row->member));
#define BIND(name, kind, member) i++, ({BIND_##kind(member)});

void meta_bind(sqlite3_stmt *s, const struct cluster_meta *row)
{
    int i = 0;
    META_COLUMNS(BIND)
}

void node_bind(sqlite3_stmt *s, const struct node *row)
{
    int i = 0;
    NODE_COLUMNS(BIND)
}

void job_bind(sqlite3_stmt *s, const struct job *row)
{
    int i = 0;
    JOB_COLUMNS(BIND)
}

void placement_bind(sqlite3_stmt *s, const struct placement *row)
{
    int i = 0;
    PLACEMENT_COLUMNS(BIND)
}

void tally_bind(sqlite3_stmt *s, const struct tally *row)
{
    int i = 0;
    TALLY_COLUMNS(BIND)
}

void selector_bind(sqlite3_stmt *s, const struct selector *row)
{
    int i = 0;
    SELECTOR_COLUMNS(BIND)
}

void task_bind(sqlite3_stmt *s, const struct task_row *row)
{
    int i = 0;
    TASK_COLUMNS(BIND)
}

void wait_bind(sqlite3_stmt *s, const struct wait *row)
{
    int i = 0;
    WAIT_COLUMNS(BIND)
}

void event_bind(sqlite3_stmt *s, const struct event *row)
{
    int i = 0;
    EVENT_COLUMNS(BIND)
}

// ---- row -> struct ----

static const char *column_text(sqlite3_stmt *s, int i)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text ? text : "";
}

static bool read_fixed(sqlite3_stmt *s, int i, char *ret, size_t size)
{
    const char *text = column_text(s, i);
    size_t len = (size_t)sqlite3_column_bytes(s, i);
    if (len >= size || strlen(text) != len)
        return false;
    memcpy(ret, text, len + 1);
    return true;
}

static bool read_string(sqlite3_stmt *s, int i, char **ret)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    *ret = text ? xstrdup(text) : NULL;
    return true;
}

static bool read_hash(sqlite3_stmt *s, int i, struct spec_hash *ret)
{
    const void *bytes = sqlite3_column_blob(s, i);
    if (!bytes || sqlite3_column_bytes(s, i) != (int)sizeof ret->b)
        return false;
    memcpy(ret->b, bytes, sizeof ret->b);
    return true;
}

static bool read_cores(sqlite3_stmt *s, int i, struct coreset *ret)
{
    return coreset_parse(column_text(s, i), "cores", ret, NULL) == 0;
}

static bool read_reason(sqlite3_stmt *s, int i, enum reason_code *ret)
{
    enum reason_code code = reason_parse(column_text(s, i));
    if (code == REASON_COUNT)
        return false;
    *ret = code;
    return true;
}

// Does the number fit its member?
#define READ_I64(member)                                               \
    ({                                                                 \
        int64_t v_ = sqlite3_column_int64(s, i);                       \
        __typeof__(ret->member) member_ = (__typeof__(ret->member))v_; \
        ret->member = member_;                                         \
        (int64_t) member_ == v_;                                       \
    })
#define READ_STR(member) read_string(s, i, &ret->member)
#define READ_TEXT(member) read_fixed(s, i, ret->member, sizeof ret->member)
#define READ_HASH(member) read_hash(s, i, &ret->member)
#define READ_CORES(member) read_cores(s, i, &ret->member)
#define READ_SHARES(member) shares_parse(column_text(s, i), &ret->member)
#define READ_REASON(member) read_reason(s, i, &ret->member)
#define READ_STATE(member)                           \
    _Generic((ret->member), enum job_state           \
             : job_state_parse, enum placement_state \
             : placement_state_parse)(column_text(s, i), &ret->member)
#define READ(name, kind, member)        \
    if (!READ_##kind(member) && !wrong) \
        wrong = #name;                  \
    i++;

const char *meta_read(sqlite3_stmt *s, int i, struct cluster_meta *ret)
{
    const char *wrong = NULL;
    *ret = (struct cluster_meta){0};
    META_COLUMNS(READ)
    return wrong;
}

const char *node_read(sqlite3_stmt *s, int i, struct node *ret)
{
    const char *wrong = NULL;
    *ret = (struct node){0};
    NODE_COLUMNS(READ)
    return wrong;
}

const char *job_read(sqlite3_stmt *s, int i, struct job *ret)
{
    const char *wrong = NULL;
    *ret = (struct job){0};
    JOB_COLUMNS(READ)
    return wrong;
}

const char *placement_read(sqlite3_stmt *s, int i, struct placement *ret)
{
    const char *wrong = NULL;
    *ret = (struct placement){0};
    PLACEMENT_COLUMNS(READ)
    return wrong;
}

const char *tally_read(sqlite3_stmt *s, int i, struct tally *ret)
{
    const char *wrong = NULL;
    *ret = (struct tally){0};
    TALLY_COLUMNS(READ)
    return wrong;
}

const char *wait_read(sqlite3_stmt *s, int i, struct wait *ret)
{
    const char *wrong = NULL;
    *ret = (struct wait){0};
    WAIT_COLUMNS(READ)
    return wrong;
}

const char *selector_read(sqlite3_stmt *s, int i, struct selector *ret)
{
    const char *wrong = NULL;
    *ret = (struct selector){0};
    SELECTOR_COLUMNS(READ)
    return wrong;
}

void job_row_clear(struct job *j)
{
    free(j->detail);
    free(j->verdict_detail);
    j->detail = j->verdict_detail = NULL;
}
