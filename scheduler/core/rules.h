// Queues, accounts, users, QoS, reservations and settings as the core holds them: the operators'
// rows (common/rule.h) with what follows from them. Names in rows are names of other rows; what is
// set is validated first, so that every name that stands in a row exists.
//
// Always there: the account "root" (of no other), the account "default" (of users who have none),
// the QoS "normal" and the queue "default".
//
//     accounts      root -- physics -- theory     a tree; a job counts for its user in the account,
//                                                 for the account and for all above it
//     users         ann/physics  ann/theory       one row for each account that a user is in
#pragma once

#include "common/ids.h"
#include "common/reason.h"
#include "common/rule.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/tally.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

enum {
    RULES_QOS_MAX = 64,
    RULES_DEPTH_MAX = 16, // accounts above each other
    RULES_MAX = 1 << 20,
    FAIR_SHARE_ONE = 1 << 20, // factors are 0 .. this
};
#define ACCOUNT_ROOT "root"
#define ACCOUNT_DEFAULT "default"
#define QOS_DEFAULT "normal"
#define QUEUE_DEFAULT "default"

struct cluster;
struct job;
struct placement;
struct request;

// Which of a queue's jobs goes first: priority.h.
enum queue_order { ORDER_PRIORITY, ORDER_FIFO, ORDER_LAS };

struct rule_entry {
    struct rule *row;               // rule_size() bytes
    struct rule_entry *parent;      // of an account; the account of a user
    struct rule_entry *next_of_uid; // another account of the same user, by id
    struct tally *tally;            // of queue, account, user, QoS
    struct tally *users;            // of the users of a queue or QoS
    int32_t index;                  // of a QoS: its bit
    uint64_t preempts;              // of a QoS: bits of those whose jobs it may preempt
    enum policy policy;             // of a queue: how nodes are chosen, its own or the cluster's
    enum queue_order order;         // of a queue
    struct las_held *held;          // of a queue in order of attained service, by level; else NULL
    uint32_t fair_share;            // of a user: 0 .. FAIR_SHARE_ONE, as last ranked
    bool dirty;
    char *key; // "gpu", "ann/physics"
    UT_hash_handle by_name;
};

struct rules {
    struct rule_entry **by_id; // id - 1; NULL: removed, or never there
    size_t count, cap;
    struct rule_entry *by_name[RULE_KIND_COUNT];
    struct rule_entry **by_uid; // the first of each uid, in order of uid
    size_t uids_count, uids_cap;
    struct rule_entry *settings;
    struct rule_entry *qos[RULES_QOS_MAX]; // by index
    struct tally *tallies;
    struct member *members;      // by the ids of queue, user and QoS
    bool started;                // counts are kept
    uint32_t pass;               // number of the pass, for tally.closed
    int64_t span_at_ms, span_ms; // S of that time
    bool span_known;
    int64_t ranked_at_ms; // fair share; policy time
    bool rank_wanted;
    uint64_t changed; // rises with every change of a row
};

// ---- what others ask ----

struct rule_entry *rule_find(const struct cluster *c, enum rule_kind k, const char *name);
struct rule_entry *rule_by_id(const struct cluster *c, int64_t id);
// The first account's row of the user; NULL: none.
struct rule_entry *rule_of_uid(const struct cluster *c, int64_t uid);
const struct settings_rule *rule_settings(const struct cluster *c);
// Of a job that lives.
const struct queue_rule *job_queue(const struct cluster *c, const struct job *j);
// NULL: its queue is not known, as of a damaged row before it is mended.
const struct rule_entry *queue_of(const struct cluster *c, const struct job *j);
const struct account_rule *job_account(const struct cluster *c, const struct job *j);
const struct qos_rule *job_qos(const struct cluster *c, const struct job *j);
// The account is `above` or a part of it.
bool account_below(const struct rule_entry *account, const struct rule_entry *above);
// May jobs of QoS a preempt those of b?
bool qos_may_preempt(const struct cluster *c, struct qos_id a, struct qos_id b);

// 0 (has used most for its share) .. FAIR_SHARE_ONE, by the Fair Tree: docs/scheduling.md.
uint32_t fair_share(const struct cluster *c, struct user_id u);
// Would the job be kept even if nobody else used anything: by its queue, which starts nothing, or
// by a limit that it alone is over? Then *ret says why.
bool limit_never(struct cluster *c, struct job *j, struct reason *ret);
// The least change of a row that does away with such a reason (queue_draining, limit_wait), as
// things are now. False: there is none. *ret_field: the member that differs from the row that
// stands.
bool limit_lift(struct cluster *c, const struct reason *r, struct rule *ret,
                const struct rule_field **ret_field);
// Ranks all users anew if the last time is FAIR_SHARE_MS ago or the tree has changed; true: it did.
enum { FAIR_SHARE_MS = 10000 };
bool fair_share_refresh(struct cluster *c);

// Used at this level up to now: core-, GPU- or GiB-milliseconds, faded.
int64_t usage_of(const struct cluster *c, const struct tally *t, enum tally_use use);
// Weighed by the settings: core_weight x core-ms + ..., in a scale of its own, for comparing.
int64_t usage_cost(struct cluster *c, const struct tally *t);
// 2^(-numerator / denominator) in 2^-63, for any numerator >= 0: within 2^-57.
uint64_t usage_half(int64_t numerator, int64_t denominator);

// The next time that the reservation holds at or after from_ms (wall clock): begins before *ret_end
// and ends after from_ms. False: never again.
bool reservation_next(const struct reservation_rule *r, int64_t from_ms, int64_t *ret_start,
                      int64_t *ret_end);

// Its nodes, as a list (common/hostlist.h).
const char *reservation_nodes(const struct reservation_rule *r);
// May jobs of the user in the account name it?
bool reservation_is_for(const struct reservation_rule *r, const struct rule_entry *user);

// One effective limit of a user, for the answer of `limit show`.
struct limit_row {
    const struct rule_entry *of;
    int64_t uid; // of whom; -1: of all
    enum limit_kind kind;
    const char *limit;        // its word
    int64_t most, used_milli; // thousandths
};
// All that bound jobs of this user in this queue and QoS. Appended to a malloc'ed array.
void limits_of_user(struct cluster *c, const struct rule_entry *user,
                    const struct rule_entry *queue, const struct rule_entry *qos,
                    struct limit_row **ret, size_t *ret_count);
// All limits there are; those of each user of a queue or QoS for those who use something of it.
void limits_of_all(struct cluster *c, struct limit_row **ret, size_t *ret_count);
// The name of the QoS of jobs that name none.
const char *qos_of_jobs(const struct rule_entry *queue, const struct rule_entry *user);
// "account \"physics\"", "user \"ann\" in queue \"gpu\""
void limit_add_level(const struct cluster *c, const struct rule_entry *of, int64_t uid,
                     struct text *ret);
// What a reason that a job waits at a limit says of it now: its detail. Nothing if it is gone.
void cluster_limit_text(struct cluster *c, const struct reason *r, struct text *ret);
// The name of a user; in digits where none is known.
void limit_add_user(const struct cluster *c, int64_t uid, struct text *ret);
// "ann 6, ben 2": who uses most of it, at most three.
void limit_add_top(struct cluster *c, const struct rule_entry *of, enum limit_kind kind,
                   struct text *ret);
