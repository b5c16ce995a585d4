// The operators' nouns as rows of settings: queues, accounts, users, QoS, reservations, and the
// cluster's own settings. One table a noun is the struct's members, the database's columns, the
// keys of the API's objects and those of `schedctl NOUN set key=value`.
//
// Numbers are int64_t, texts are char arrays. A key of people is the field's name without its unit
// (max_memory_mib: max_memory=2GiB). Absent limits are RULE_NONE. A row is created with the
// initial values of its table. Ids are given out by the core, for all nouns from one counter.
//
//     struct rule r;
//     rule_init(&r, RULE_QUEUE);
//     rule_set_text(&r, rule_field(RULE_QUEUE, "priority"), "10", &err);
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RULE_NONE = -1,       // no limit
    RULE_NAME_SIZE = 64,  // with the NUL
    RULE_WORD_SIZE = 16,  // one of the field's words
    RULE_LIST_SIZE = 512, // names joined by ","
    RULE_TEXT_SIZE = 256,
};

// Name, word, plural (path of the API).
#define RULE_KIND_TABLE(X)              \
    X(SETTINGS, "settings", "settings") \
    X(QOS, "qos", "qos")                \
    X(ACCOUNT, "account", "accounts")   \
    X(USER, "user", "users")            \
    X(QUEUE, "queue", "queues")         \
    X(RESERVATION, "reservation", "reservations")

enum rule_kind {
#define X(name, word, plural) RULE_##name,
    RULE_KIND_TABLE(X)
#undef X
        RULE_KIND_COUNT
};

// How a value is written, by people and in JSON.
enum rule_type {
    RULE_TYPE_NAME,        // "" is none; JSON null
    RULE_TYPE_LIST,        // JSON: array of names
    RULE_TYPE_TEXT,        //
    RULE_TYPE_WORD,        // one of `words`
    RULE_TYPE_INT,         //
    RULE_TYPE_FLAG,        // 0, 1; JSON: false, true
    RULE_TYPE_DURATION,    // ms; 0 is none; JSON null
    RULE_TYPE_AT,          // wall clock, ms since 1970; 0 is none; JSON null
    RULE_TYPE_LIMIT,       // RULE_NONE is none; JSON null
    RULE_TYPE_LIMIT_MS,    //
    RULE_TYPE_LIMIT_MIB,   //
    RULE_TYPE_HIDDEN,      // the core's own number: neither shown nor set
    RULE_TYPE_HIDDEN_LIST, // and its own text
};

// Limits at each level: member, type, help. The first LIMIT_USER_COUNT exist for each user of a
// queue or QoS too.
#define LIMIT_TABLE(X)                                                            \
    X(RUNNING_JOBS, max_running_jobs, LIMIT, "jobs that run at once")             \
    X(SUBMITTED_JOBS, max_submitted_jobs, LIMIT, "jobs that have not ended")      \
    X(CORES, max_cores, LIMIT, "cores held at once")                              \
    X(GPUS, max_gpus, LIMIT, "GPUs held at once")                                 \
    X(MEMORY, max_memory_mib, LIMIT_MIB, "memory held at once")                   \
    X(GPU_HOURS, max_gpu_hours, LIMIT, "used GPU-hours, by half-life and period") \
    X(JOB_CORES, max_job_cores, LIMIT, "cores of one job")                        \
    X(JOB_GPUS, max_job_gpus, LIMIT, "GPUs of one job")                           \
    X(JOB_NODES, max_job_nodes, LIMIT, "nodes of one job")                        \
    X(JOB_TIME, max_job_time_ms, LIMIT_MS,                                        \
      "time limit of one job; it becomes that of jobs without one")
#define LIMIT_USER_TABLE(X)                                                                       \
    X(RUNNING_JOBS, max_running_jobs_per_user, LIMIT, "jobs of one user that run at once")        \
    X(SUBMITTED_JOBS, max_submitted_jobs_per_user, LIMIT, "jobs of one user that have not ended") \
    X(CORES, max_cores_per_user, LIMIT, "cores that one user holds at once")                      \
    X(GPUS, max_gpus_per_user, LIMIT, "GPUs that one user holds at once")                         \
    X(MEMORY, max_memory_per_user_mib, LIMIT_MIB, "memory that one user holds at once")           \
    X(GPU_HOURS, max_gpu_hours_per_user, LIMIT, "GPU-hours that one user has used")

enum limit_kind {
#define X(name, member, type, help) LIMIT_##name,
    LIMIT_TABLE(X)
#undef X
        LIMIT_COUNT
};
enum {
#define X(...) +1
    LIMIT_USER_COUNT = 0 LIMIT_USER_TABLE(X)
#undef X
};

// Member, type, initial value as people write it, least and most (of INT; of a DURATION that may
// not be "none") or words (of WORD), help. A job's priority is a sum of parts, each a weight times
// a factor (scheduler/core/priority.h). By default a higher number goes first, of queues, QoS and
// submissions, and among equals the one that has waited longest; all of age is worth less than one
// of priority.
#define SETTINGS_FIELDS(X)                                                                         \
    X(enforce_accounts, FLAG, "false", 0, 1, NULL,                                                 \
      "refuse users without an account, instead of putting them into \"default\"")                 \
    X(half_life_ms, DURATION, "14d", 0, 0, NULL,                                                   \
      "time after which usage counts half; none: it never fades")                                  \
    X(usage_period_ms, DURATION, "none", 0, 0, NULL,                                               \
      "usage begins at 0 again at each multiple of this time since 1970 (UTC)")                    \
    X(core_weight, INT, "8", 0, 1000000, NULL, "weight of a core in usage")                        \
    X(gpu_weight, INT, "128", 0, 1000000, NULL, "weight of a GPU in usage")                        \
    X(memory_weight, INT, "1", 0, 1000000, NULL, "weight of a GiB of memory in usage")             \
    X(weight_priority, INT, "1048576", 0, 1 << 30, NULL,                                           \
      "priority: weight of the number that a submission names")                                    \
    X(weight_age, INT, "1048512", 0, 1 << 30, NULL,                                                \
      "priority: weight of the time waited, full after age_full")                                  \
    X(weight_size, INT, "0", 0, 1 << 30, NULL,                                                     \
      "priority: weight of the part of the cluster's cores that is asked for")                     \
    X(weight_nice, INT, "1024", 0, 1 << 30, NULL,                                                  \
      "priority: weight of the nice value, which is subtracted")                                   \
    X(weight_queue, INT, "1048576", 0, 1 << 30, NULL,                                              \
      "priority: weight of the priority of its queue")                                             \
    X(weight_qos, INT, "1048576", 0, 1 << 30, NULL, "priority: weight of the priority of its QoS") \
    X(weight_fair_share, INT, "0", 0, 1 << 30, NULL, "priority: weight of fair share")             \
    X(age_full_ms, DURATION, "7d", 60000, INT64_C(90) * 86400000, NULL,                            \
      "a job that has waited so long becomes no more urgent")                                      \
    X(backfill_reservations, INT, "1", 0, 10000, NULL,                                             \
      "first jobs that wait whose start others must not delay; 0: strict order")                   \
    X(backfill_depth, INT, "2000", 1, 10000000, NULL,                                              \
      "kinds of jobs behind the first that waits which may start before it")                       \
    X(next_rule, HIDDEN, "1", 0, 0, NULL, "")                                                      \
    X(usage_offset_ms, HIDDEN, "0", 0, 0, NULL, "")                                                \
    X(usage_epoch_ms, HIDDEN, "0", 0, 0, NULL, "")

#define QOS_FIELDS(X)                                                                              \
    X(name, NAME, "", 0, 0, NULL, "its name")                                                      \
    X(description, TEXT, "", 0, 0, NULL, "what it is for")                                         \
    X(priority, INT, "0", 0, 1000000, NULL, "priority factor of its jobs")                         \
    X(preempts, LIST, "", 0, 0, NULL, "QoS whose jobs its jobs may preempt")                       \
    X(preempt_mode, WORD, "requeue", 0, 0, "requeue|cancel", "what becomes of its preempted jobs") \
    X(min_run_time_ms, DURATION, "none", 0, 0, NULL,                                               \
      "time for which a started job of it is safe from preemption")                                \
    X(usage_percent, INT, "100", 0, 10000, NULL, "how much of its usage is charged")               \
    X(deny_on_limit, FLAG, "false", 0, 1, NULL,                                                    \
      "refuse a job that alone is over a limit, instead of letting it wait")

#define ACCOUNT_FIELDS(X)                                                              \
    X(name, NAME, "", 0, 0, NULL, "its name")                                          \
    X(description, TEXT, "", 0, 0, NULL, "what it is for")                             \
    X(parent, NAME, "root", 0, 0, NULL, "the account that it is part of")              \
    X(shares, INT, "1", 0, 1000000, NULL, "its share beside those of the same parent") \
    X(default_qos, NAME, "", 0, 0, NULL, "QoS of jobs that name none")                 \
    X(qos, LIST, "", 0, 0, NULL, "QoS that its jobs may name, those of its parts too; none: any")

#define USER_FIELDS(X)                                                                    \
    X(name, NAME, "", 0, 0, NULL, "the user's name")                                      \
    X(account, NAME, "default", 0, 0, NULL, "the account that the user is in")            \
    X(uid, INT, "-1", -1, 4294967295, NULL, "the user's number, found by name if absent") \
    X(shares, INT, "1", 0, 1000000, NULL, "share beside the others of the account")       \
    X(is_default, FLAG, "false", 0, 1, NULL, "the account of jobs that name none")

#define QUEUE_FIELDS(X)                                                                        \
    X(name, NAME, "", 0, 0, NULL, "its name")                                                  \
    X(description, TEXT, "", 0, 0, NULL, "what it is for")                                     \
    X(priority, INT, "0", 0, 1000000, NULL, "priority factor of its jobs")                     \
    X(state, WORD, "open", 0, 0, "open|closed|draining",                                       \
      "closed: takes no jobs; draining: starts none")                                          \
    X(default_time_ms, DURATION, "none", 0, 0, NULL, "time limit of jobs that name none")      \
    X(default_qos, NAME, "", 0, 0, NULL, "QoS of jobs that name none")                         \
    X(accounts, LIST, "", 0, 0, NULL, "accounts that may use it, with their parts; none: all") \
    X(qos, LIST, "", 0, 0, NULL, "QoS that its jobs may have; none: any")                      \
    X(placement, WORD, "default", 0, 0,                                                        \
      "default|best_fit|fgd|dot_product|gpu_packing|gpu_clustering|random",                    \
      "how nodes are chosen")                                                                  \
    X(order, WORD, "priority", 0, 0, "priority|fifo|las", "which job goes first")              \
    X(las_levels, INT, "4", 1, 16, NULL, "order las: levels of attained service")              \
    X(las_first_ms, DURATION, "1h", 0, 0, NULL, "GPU-time (or core-time) of the first level")  \
    X(las_factor, INT, "4", 2, 1000, NULL, "each further level ends at so many times as much") \
    X(las_promote, INT, "8", 0, 1000000, NULL,                                                 \
      "a job that has waited so many times as long as it ran begins anew; 0: never")

#define RESERVATION_FIELDS(X)                                                                 \
    X(name, NAME, "", 0, 0, NULL, "its name")                                                 \
    X(description, TEXT, "", 0, 0, NULL, "what it is for")                                    \
    X(start_ms, AT, "none", 0, 0, NULL, "when it begins (the first time)")                    \
    X(duration_ms, DURATION, "none", 0, 0, NULL, "how long it lasts")                         \
    X(repeat, WORD, "never", 0, 0, "never|daily|weekly", "how often")                         \
    X(nodes, TEXT, "", 0, 0, NULL, "its nodes, as n[1-4],login")                              \
    X(node_count, INT, "0", 0, 65535, NULL, "or so many of any")                              \
    X(accounts, LIST, "", 0, 0, NULL, "accounts, with their parts, whose jobs may run in it") \
    X(users, LIST, "", 0, 0, NULL, "users whose jobs may run in it")                          \
    X(maintenance, FLAG, "false", 0, 1, NULL, "nothing runs in it")                           \
    X(ignore_jobs, FLAG, "false", 0, 1, NULL, "though jobs run there that may reach into it") \
    X(chosen, HIDDEN_LIST, "", 0, 0, NULL, "")

#define RULE_MEMBER_NAME(m) char m[RULE_NAME_SIZE];
#define RULE_MEMBER_WORD(m) char m[RULE_WORD_SIZE];
#define RULE_MEMBER_LIST(m) char m[RULE_LIST_SIZE];
#define RULE_MEMBER_TEXT(m) char m[RULE_TEXT_SIZE];
#define RULE_MEMBER_INT(m) int64_t m;
#define RULE_MEMBER_FLAG(m) int64_t m;
#define RULE_MEMBER_DURATION(m) int64_t m;
#define RULE_MEMBER_AT(m) int64_t m;
#define RULE_MEMBER_HIDDEN(m) int64_t m;
#define RULE_MEMBER_HIDDEN_LIST(m) char m[RULE_LIST_SIZE];
#define RULE_MEMBER(m, type, initial, least, most, words, help) RULE_MEMBER_##type(m)
#define RULE_LIMIT_MEMBER(name, m, type, help) int64_t m;

// By name, or by enum limit_kind.
#define RULE_LIMITS                        \
    union {                                \
        struct {                           \
            LIMIT_TABLE(RULE_LIMIT_MEMBER) \
        };                                 \
        int64_t limits[LIMIT_COUNT];       \
    }
#define RULE_USER_LIMITS                        \
    union {                                     \
        struct {                                \
            LIMIT_USER_TABLE(RULE_LIMIT_MEMBER) \
        };                                      \
        int64_t user_limits[LIMIT_USER_COUNT];  \
    }

struct settings_rule {
    SETTINGS_FIELDS(RULE_MEMBER)
};
struct qos_rule {
    QOS_FIELDS(RULE_MEMBER)
    RULE_LIMITS;
    RULE_USER_LIMITS;
};
struct account_rule {
    ACCOUNT_FIELDS(RULE_MEMBER)
    RULE_LIMITS;
};
// A user in an account; named "USER/ACCOUNT".
struct user_rule {
    USER_FIELDS(RULE_MEMBER)
    RULE_LIMITS;
};
struct queue_rule {
    QUEUE_FIELDS(RULE_MEMBER)
    RULE_LIMITS;
    RULE_USER_LIMITS;
};
struct reservation_rule {
    RESERVATION_FIELDS(RULE_MEMBER)
};

struct rule {
    int64_t id;      // 0: none yet
    int64_t removed; // its last row: kept for the names of ended jobs
    enum rule_kind kind;
    union {
        struct settings_rule settings;
        struct qos_rule qos;
        struct account_rule account;
        struct user_rule user;
        struct queue_rule queue;
        struct reservation_rule reservation;
    };
};

struct rule_field {
    const char *name;
    enum rule_type type;
    size_t offset; // in struct rule
    const char *initial;
    int64_t least, most;
    const char *words; // joined by "|"
    const char *help;
};

const char *rule_kind_word(enum rule_kind k);
const char *rule_kind_plural(enum rule_kind k);
// RULE_KIND_COUNT: there is none.
enum rule_kind rule_kind_parse(const char *word);
// Bytes of struct rule that a row of this kind uses.
size_t rule_size(enum rule_kind k);

const struct rule_field *rule_fields(enum rule_kind k, size_t *ret_count);
// By name, or by the key that people write; NULL: there is none.
const struct rule_field *rule_field(enum rule_kind k, const char *name);
// The key that people write: the name without its unit.
void rule_field_key(const struct rule_field *f, struct text *ret);
bool rule_field_is_text(const struct rule_field *f);
bool rule_field_is_hidden(const struct rule_field *f);

void rule_init(struct rule *ret, enum rule_kind k);
// A text member, or NULL; a number member, or NULL.
const char *rule_text(const struct rule *r, const struct rule_field *f);
int64_t *rule_number(struct rule *r, const struct rule_field *f);
int64_t rule_number_of(const struct rule *r, const struct rule_field *f);
bool rule_field_equal(const struct rule *a, const struct rule *b, const struct rule_field *f);

// "gpu", "ann/physics"; "" for the settings.
void rule_name(const struct rule *r, struct text *ret);

// From what people write ("none" for no limit, "2GiB", "14d"); AT takes only ms since 1970.
// E_INVALID, and *r is as it was.
int rule_set_text(struct rule *r, const struct rule_field *f, const char *text, struct err *err);
// From a JSON number, or true and false as 1 and 0; also RULE_NONE for null. E_INVALID.
int rule_set_number(struct rule *r, const struct rule_field *f, int64_t v, struct err *err);
// As people read it.
void rule_add_value(const struct rule *r, const struct rule_field *f, struct text *ret);

// Letters, digits, "-", "_" and ".", not at the beginning "-" or "."; below RULE_NAME_SIZE.
bool rule_name_is_good(const char *name);
// Is the name one of the list's? An empty list has none.
bool rule_list_has(const char *list, const char *name);
// Steps through a list: copies the next name into ret; false at the end. *at begins at 0.
bool rule_list_next(const char *list, size_t *at, char ret[RULE_NAME_SIZE]);

// "max_gpus", "GPUs held at once".
const char *limit_word(enum limit_kind k);
const char *limit_user_word(enum limit_kind k);
