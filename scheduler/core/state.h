// The core's insides: the tables, and how a step marks, tells and decides. Private to the core.
//
// Ownership: the cluster owns every job, node and placement; pointers to jobs live until the job is
// retired (after the turn in which it ended and nothing of it is left), pointers to placements
// until part_remove(). Reading order: cluster.c (dispatch), submit.c, pass.c and fit.c (placing),
// attempt.c (the job machine), hello.c, link.c and report.c (agents), tick.c (leases).
#pragma once

#include "common/alloc.h"
#include "common/arena.h"
#include "common/check.h"
#include "common/index.h"
#include "common/planted.h"
#include "scheduler/core/backfill.h"
#include "scheduler/core/class.h"
#include "scheduler/core/cluster.h"
#include "scheduler/core/las.h"
#include "scheduler/core/placing.h"
#include "scheduler/core/preempt.h"
#include "scheduler/core/room.h"
#include "scheduler/core/topology.h"
#include "scheduler/core/window.h"

#include <inttypes.h>

enum {
    PREPARE_LEASE_MS = 60000, // an order's validity, and its lease until GO
    SILENT_HEARTBEATS = 4,    // a node silent for so many is unreachable
    RETRY_FIRST_MS = 1000,    // delay before an attempt after one that started nothing, doubling
    RETRY_LAST_MS = 60000,
    OVERDUE_MS = 60000,  // a job that has overstayed its limit for so long ends at no known time
    WHOLE_MAX = 4096,    // answers of whole.c
    PORT_TRIES_MAX = 10, // attempts in a row whose port another program had
};

TAILQ_HEAD(job_list, job);
RB_HEAD(terms_begins, job_terms);
RB_HEAD(terms_deadlines, job_terms);
int terms_begin_order(const struct job_terms *a, const struct job_terms *b);
int terms_deadline_order(const struct job_terms *a, const struct job_terms *b);
RB_PROTOTYPE(terms_begins, job_terms, begin_link, terms_begin_order)
RB_PROTOTYPE(terms_deadlines, job_terms, deadline_link, terms_deadline_order)
RB_HEAD(job_delayed, job);
RB_PROTOTYPE(job_delayed, job, queue_link, job_delayed_order)
RB_HEAD(placement_ends, placement);
RB_PROTOTYPE(placement_ends, placement, end_link, placement_ends_order)
int placement_ends_order(const struct placement *a, const struct placement *b);
int job_delayed_order(const struct job *a, const struct job *b);

struct pointers {
    void **items;
    size_t count, cap;
};

enum fit_view {
    FIT_FREE,   // what is free on usable nodes
    FIT_USABLE, // usable nodes as if empty
    FIT_ALL,    // every node known, as if empty
};

// An answer of whole.c.
struct whole {
    struct request shape;
    enum fit_view view;
    bool known;
    uint64_t generation;
    size_t count;
};

struct total {
    int64_t cores, gpus, memory_mib, nodes;
};

struct cluster {
    struct cluster_limits limits;
    struct cluster_meta meta;
    bool meta_dirty;
    struct now now; // of the present step

    struct job_list jobs; // in order of ids
    struct index jobs_by_id, jobs_by_uid, jobs_by_request;
    struct class_order queue;   // the classes by rank
    struct class_ages ages;     // the same by the time at which their first jobs were submitted
    struct job_delayed delayed; // pending jobs that must not start yet, by their time
    struct index classes_by_key, classes_by_id;
    struct class_list classes;       // all
    uint64_t rest_nodes, rest_rules; // usable_gen and rules.changed that resting classes are of
    struct class_list told;          // classes that wait for something else than their turn
    struct wait queue_wait;          // row 0
    bool queue_wait_dirty;
    struct job_id supposed_first; // before all others, on a copy (why.h); 0: none
    int64_t cores_count;          // of all nodes, as of the ranks
    struct {
        int64_t boot_ms, wall_ms; // the moment up to which ages are reckoned
        bool stale;               // weights have changed
        uint64_t hardware;        // generation of nodes that cores_count is of
        struct job_class *at;     // where ranks_refresh() goes on; NULL: it is done
        int64_t full_ms;          // it goes up to first jobs that were submitted then
    } ranked;
    struct waits_loaded *waits_loaded; // rows of waits, until the start
    struct fit_node *fit_scratch;      // one an node: what fit() returns, until its next call
    struct node **nodes;               // by id - 1
    size_t nodes_count, nodes_cap;
    struct rooms rooms; // what is free, by node
    struct room_index index;
    struct topology topology;
    struct total free; // of the usable nodes
    uint64_t looked;   // nodes that fit() looked at, ever
    // hardware_gen rises when a node has come or is another one, usable_gen with it and when a
    // node becomes usable or stops being it.
    uint64_t hardware_gen, usable_gen;
    struct placing placing;
    struct whole *whole;             // WHOLE_MAX answers, by hash of the shape
    uint32_t *fit_stamps, fit_stamp; // by node id - 1: chosen in this answer
    const struct kept **kept;        // by node id - 1: what the queue promised, soonest first; the
                                     // promises are the queue's, who writes them at each pass
    struct node *nodes_by_name, *nodes_by_machine;
    size_t parts_count;
    struct rules rules;
    struct las las;
    struct placement_ends ends; // by expected end: ends.c
    struct backfill backfill;   // reservations of jobs that wait: backfill.c
    struct preempting preempt;  // who is stopped for whom: preempt.c
    struct windows windows;     // reservations of the operators: window.c
    struct selector *selectors_by_id, *selectors_by_text;

    // What jobs wait for beside room: terms.h.
    struct {
        struct awaited *awaited;          // who waits for whom: depend.c
        struct same_name *names;          // of singletons: singleton.c
        struct terms_begins begins;       // those that wait for their begin, by it
        struct terms_deadlines deadlines; // by when something is to be done
        struct pointers changed;          // jobs to be looked at when the step ends
        bool started;
        uint64_t searches; // for cycles
    } terms;

    // Which nodes gained room: grown.c.
    struct {
        size_t *nodes; // indices, in order of their gain
        size_t count, cap;
        uint64_t base; // number of the first that is kept; they are counted from 1
    } grown;

    bool pass_wanted; // something changed since the last pass began
    struct {
        uint64_t number;
        bool running;
        int64_t began_ms;     // boot clock: it may take several steps
        uint64_t plan;        // backfill_hash() when it began
        bool placed;          // it has placed a job, or had others stopped for one
        bool again;           // another one follows, as this one has changed something
        int vain;             // passes in a row that placed nothing and changed what is promised
        int64_t settle_ms;    // after too many of them: when the next comes; INT64_MAX: none has to
        struct job_class *at; // where it goes on; NULL: it is over
        int64_t cost;         // of this step, in nodes looked at
        int64_t blocked;      // jobs that found too little room
        int64_t depth;        // classes looked at since the first of them
        struct job *
            *seconds; // not the first of their classes, but next for a reservation; last first
        size_t seconds_count, seconds_cap;
    } pass;
    int64_t tick_at_ms; // not later than the next thing that time alone brings
    uint64_t dropped;   // messages of foreign sessions and the like

    // The turn.
    struct arena arena;
    struct pointers dirty_jobs, dirty_nodes, dirty_parts, dirty_classes, dirty_rules, dirty_tallies,
        retired;
    struct outcome out;
    struct {
        size_t events, effects, tasks, gone, waits_gone, selectors, tallies_gone;
    } cap;
    struct event *events;
    struct effect *effects;
    struct task_row *tasks;
    uint64_t *gone, *waits_gone, *tallies_gone;
    struct selector *selectors_new;
};

// ---- tables (table.c, part.c) ----
struct job *job_find(const struct cluster *c, struct job_id id);
struct job *job_find_uid(const struct cluster *c, struct job_uid uid);
struct job *job_find_request(const struct cluster *c, struct request_id id);
struct job *job_add(struct cluster *c, const struct job *row);
// Its row was its last: it leaves memory at the start of the next turn.
void job_retire(struct cluster *c, struct job *j);
struct node *node_find(const struct cluster *c, struct node_id id);
struct node *node_find_name(const struct cluster *c, const char *name);
// On the switch of its path; the node must not be counted as usable.
void node_hang(struct cluster *c, struct node *n);
struct node *node_add(struct cluster *c, const struct node *row);
struct placement *part_add(struct cluster *c, const struct placement *row);
// Does the row hold something of the node that is held?
bool part_conflicts(const struct node *n, const struct placement *row);
// Returns what it held; p is gone.
void part_remove(struct cluster *c, struct placement *p);
struct placement *part_find(const struct cluster *c, const struct node *n, struct job_uid uid,
                            uint32_t attempt);
// Is this placement of the job's newest attempt, and does it still count?
bool part_current(const struct job *j, const struct placement *p);
void pointers_push(struct pointers *v, void *p);

// ---- selectors (selectors.c) ----
// The id of the text's selector, made when there is none, for a constraint and for a preference.
// NULL, or what is wrong with it and where. What no job comes to hold must be forgotten in the same
// step.
const char *selector_get(struct cluster *c, const char *text, struct selector_id *ret);
const char *selector_prefer(struct cluster *c, const char *text, struct selector_id *ret);
void selector_forget_unused(struct cluster *c, struct selector_id id);
void selector_hold(struct cluster *c, struct selector_id id); // a live job names it
void selector_release(struct cluster *c, struct selector_id id);
// A usual task (placing.h) names it; sign -1: no longer.
void selector_usual(struct cluster *c, struct selector_id id, int32_t sign);
const struct selector *selector_find(const struct cluster *c, struct selector_id id);
// NULL holds for every node.
bool selector_has(const struct selector *s, const struct node *n);
void selectors_judge_node(struct cluster *c, const struct node *n);
void selectors_fini(struct cluster *c);

// ---- marks and words (emit.c) ----
void job_mark(struct cluster *c, struct job *j);
void node_mark(struct cluster *c, struct node *n);
void part_mark(struct cluster *c, struct placement *p);
void meta_mark(struct cluster *c);
// A fact with its narration. job and node may be NULL.
struct event *emit(struct cluster *c, enum event_kind kind, const struct job *j,
                   const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
struct effect *effect_add(struct cluster *c, enum effect_kind kind);
// An effect for the node's link; NULL when it has none that is ready.
struct effect *effect_to(struct cluster *c, struct node *n, enum effect_kind kind);
void reply_ok(struct cluster *c, const struct caller *to, struct job_id job);
void reply_refuse(struct cluster *c, const struct caller *to, struct reason r, const char *detail);
void wake_by(struct cluster *c, int64_t at_ms);
// The reason's sentence, in the turn's arena.
const char *reason_say(struct cluster *c, const struct reason *r, const char *detail);
// "17", or "17_3" for an element.
const char *job_label(struct cluster *c, const struct job *j);

// ---- deciding ----
void submit(struct cluster *c, const struct caller *who, const struct input_submit *in); // submit.c
void queue_insert(struct cluster *c, struct job *j);                                     // queue.c
void queue_remove(struct cluster *c, struct job *j);
// Delayed jobs whose time has come enter their classes.
void queue_due(struct cluster *c);
void pass(struct cluster *c); // pass.c
// The job leaves the queue while a pass may be under way.
void pass_forget(struct cluster *c, const struct job *j);

// Priority: priority.c.
int64_t rank_of(const struct cluster *c, const struct job *j);
// Is a considered before b?
bool goes_before(const struct cluster *c, const struct job *a, const struct job *b);
void ranks_stale(struct cluster *c);
// Have the ranks to be reckoned anew? If not, wakes when they have.
bool ranks_due(struct cluster *c);
// Does it, in steps; false: not done yet.
bool ranks_refresh(struct cluster *c);

// Which nodes gained room: grown.c. The log's numbers rise for ever; those below grown.base are
// gone.
void node_grew(struct cluster *c, const struct node *n);
uint64_t grown_end(const struct cluster *c); // one after the last
size_t grown_node(const struct cluster *c, uint64_t at);
void grown_cut(struct cluster *c); // if it has become long

// The stored row of a class whose first job is being loaded; NULL: it has none.
const struct wait *pending_wait(const struct cluster *c, struct class_id id); // load.c
void waits_loaded_free(struct cluster *c);

// Where tasks go: fit.c.
struct fit_node {
    struct node *node;
    int32_t capacity; // tasks that fit
    int32_t tasks;    // tasks given
    int32_t gpu;      // 1 + the GPU for its one share; 0: any
};
// Chooses nodes for the whole gang, in order of name; *ret lives until the next call. False if
// it does not fit. FIT_FREE leaves what is kept for others (struct kept). The other two views say
// how many nodes it would take, not which: *ret is NULL.
bool fit(struct cluster *c, const struct request *r, enum fit_view view,
         const struct fit_node **ret, size_t *ret_count);
// For the job, by its queue's policy, on what is free now.
bool fit_job(struct cluster *c, const struct job *j, const struct fit_node **ret,
             size_t *ret_count);
// The same on the usable nodes with these rooms, what is kept for others included.
bool fit_in(struct cluster *c, const struct request *r, const struct rooms *rooms,
            const struct fit_node **ret, size_t *ret_count);
// And from a time on (boot clock; INT64_MAX: not known), by the reservations of then.
bool fit_at(struct cluster *c, const struct request *r, const struct rooms *rooms, int64_t at_ms,
            const struct fit_node **ret, size_t *ret_count);
// Tasks of r that fit on the node.
int32_t fit_capacity(const struct cluster *c, const struct node *n, const struct request *r,
                     enum fit_view view);
bool node_usable(const struct node *n);
// What r may take of the node now: `store` has NODE_GPUS_MAX numbers for it to use.
struct room_view fit_room(const struct cluster *c, const struct node *n, const struct request *r,
                          uint16_t *store);
// The node's room is counted again: after every change of what it has or holds, of its link and of
// the operators' wishes for it.
void node_recount(struct cluster *c, struct node *n);
// Why nothing known could hold it.
struct reason fit_shortage(struct cluster *c, const struct request *r);

// What a part of these tasks holds: grant.c. Writes tasks, cores, GPUs, memory into *p.
void grant(const struct cluster *c, const struct request *r, const struct fit_node *f,
           struct placement *p);
void node_learn_numa(struct node *n);

// Ports of machines: port.c.
void machine_join(struct cluster *c, struct node *n);  // by its machine id
void machine_leave(struct cluster *c, struct node *n); // alone from now on
void port_take(struct node *n, int32_t port);
void port_return(struct node *n, int32_t port);
bool port_held(const struct node *n, int32_t port);
// The next free one in turn of the node's machine; 0: all are held.
int32_t port_find(const struct cluster *c, const struct node *n);

// The job machine: attempt.c, settle.c.
void job_move(struct cluster *c, struct job *j, enum job_state to);
void job_set_reason(struct cluster *c, struct job *j, struct reason r, const char *detail);
void job_set_verdict(struct job *j, struct reason r, const char *detail);
void attempt_place(struct cluster *c, struct job *j, const struct fit_node *nodes, size_t count,
                   int32_t port);
void attempt_launch_part(struct cluster *c, struct job *j, struct placement *p);
void attempt_started(struct cluster *c, struct job *j, struct placement *p);
void attempt_progress(struct cluster *c, struct job *j);
// The attempt must end: the first reason stays. Every part is told.
void attempt_condemn(struct cluster *c, struct job *j, struct reason r, const char *detail);
// Called whenever a part ended or was judged over: ends or requeues the job when all are.
void attempt_settle(struct cluster *c, struct job *j);
void part_kill(struct cluster *c, struct placement *p);
// The attempt counts as over here though no END came.
void part_judge_over(struct cluster *c, struct placement *p, struct reason why);
void part_lease_from(struct cluster *c, struct placement *p, int64_t from_ms);
void job_end(struct cluster *c, struct job *j, enum job_state state, struct reason r,
             const char *detail);

// Arrays: array.c.
struct job *array_next_element(struct cluster *c, struct job *array);
void array_element_started(struct cluster *c, struct job *element);
void array_element_ended(struct cluster *c, struct job *element);
void array_cancel(struct cluster *c, struct job *array, struct reason r);
// One more of it has started, or ended without.
void array_element_begun(struct cluster *c, struct job *array);
bool array_at_limit(const struct job *array); // as many of it live as may at once
// No more of it is started; what runs goes on.
void array_cut(struct cluster *c, struct job *array, struct reason r, const char *detail);
void array_settle(struct cluster *c, struct job *array);

// Terms: terms.c.
void terms_enter(struct cluster *c, struct job *j); // it lives, and is in the tables
void terms_leave(struct cluster *c, struct job *j); // it has ended
// The terms alone, of a job that goes on.
void terms_attach(struct cluster *c, struct job *j);
void terms_detach(struct cluster *c, struct job *j);
// Do its terms keep it out of its class? Then it waits with them until terms_release().
bool terms_keep(struct cluster *c, struct job *j);
void terms_release(struct cluster *c, struct job *j);
bool terms_wait(const struct job *j);
bool terms_never(const struct job *j); // it waits for what can never hold
// It is looked at when the step ends.
void terms_changed(struct cluster *c, struct job *j);
// At the begin and at the end of each step.
void terms_due(struct cluster *c);
void terms_settle(struct cluster *c);
// Boot clock: when the next time of a job's terms comes; INT64_MAX: never.
int64_t terms_wake_ms(const struct cluster *c);
void terms_start(struct cluster *c);
void terms_fini(struct cluster *c);
// depend.c
void depend_link(struct cluster *c, struct job *j);
void depend_unlink(struct cluster *c, struct job *j);
void depend_drop(struct cluster *c, struct depend *d); // it holds
// It has started or ended: those that wait for it hear of it.
void depend_tell(struct cluster *c, const struct job *j);
// "job 12 did not complete"
void depend_add_never(const struct depend *d, struct text *ret);
// What of this does not hold yet, appended; what is wrong with it otherwise.
enum reason_code depend_judge(struct cluster *c, const struct depend_asked *asked, size_t count,
                              bool allow_never, struct depend_list *ret, struct text *wrong);
void depend_start(struct cluster *c);
// singleton.c: the first job of its owner's and name that lives, if it was submitted before it.
const struct job *singleton_before(const struct cluster *c, const struct job *j);
void singleton_enter(struct cluster *c, struct job *j);
void singleton_leave(struct cluster *c, struct job *j);
void singleton_changed(struct cluster *c, struct job *j); // it may wait so now, or not any more
void singleton_start(struct cluster *c);
void singleton_fini(struct cluster *c);
// job_set.c
void job_set(struct cluster *c, const struct caller *who, struct job *j,
             const struct input_job_set *in);
// deadline.c: after each change of what waits or runs of it.
void deadline_watch(struct cluster *c, struct job *j);
void deadline_unwatch(struct cluster *c, struct job *j);
void deadline_due(struct cluster *c);
int64_t deadline_next_ms(const struct cluster *c); // wall clock; INT64_MAX: never
// Could it, begun at its begin or now, not be over by then?
bool deadline_missed(const struct cluster *c, int64_t begin_ms, int64_t time_limit_ms,
                     int64_t deadline_ms);

// Requests: command.c. Nodes by operators: node_command.c.
void job_command(struct cluster *c, const struct input *in);
void node_command(struct cluster *c, const struct input *in);
// Its labels are those that it tells with those that are set over them; selectors are judged anew.
void node_judge_labels(struct cluster *c, struct node *n);
void recover(struct cluster *c, const struct caller *who);

// Agents: link.c, hello.c, report.c, tick.c.
void link_up(struct cluster *c, const char *name, uint64_t link);
void link_down(struct cluster *c, uint64_t link);
void link_welcome(struct cluster *c, struct node *n, uint64_t link);
void hello(struct cluster *c, const struct input_hello *h);
void heartbeat(struct cluster *c, const struct input_heartbeat *h);
// Answers the node's newest request: renews those of the attempts that may go on.
void lease_grant(struct cluster *c, struct node *n, const struct attempt_id *ids, size_t count);
// The agent's word on an attempt that the database knows.
void part_heard(struct cluster *c, struct node *n, struct placement *p,
                const struct reported_attempt *a);
// Nothing can run on the node any more: all parts are over and what they held is free, but for
// those that h lists as ended.
void node_parts_over(struct cluster *c, struct node *n, struct reason why,
                     const struct input_hello *h);
void attempt_report(struct cluster *c, const struct input_report *in);
void end(struct cluster *c, const struct input_end *in);
void tick(struct cluster *c);
void node_unreachable(struct cluster *c, struct node *n, const char *why);
void hold_enter(struct cluster *c, uint64_t term_seen, const char *why);

// ---- queues, accounts, users, QoS: rules*.c, tally.c, limit.c, admit.c, usage.c ----

// Where a job counts, and the limits there: LIMIT_COUNT of them, or LIMIT_USER_COUNT of one user.
struct level {
    struct rule_entry *of;
    struct tally *tally;
    const int64_t *limits;
    int count;
};
enum { LEVELS_MAX = 5 + RULES_DEPTH_MAX };
struct levels {
    struct level items[LEVELS_MAX];
    int count;
};
// To what jobs belong: one for all with the same queue, user and QoS. Their account is the user's
// parent.
struct member {
    uint32_t ids[3];
    struct rule_entry *queue, *user, *qos;
    struct levels levels;
    uint64_t free_at; // rules.changed that `free` is of
    bool free;        // limit_none()
    UT_hash_handle by_ids;
};
struct member *member_get(struct cluster *c, struct rule_entry *queue, struct rule_entry *user,
                          struct rule_entry *qos);
struct member *member_of(struct cluster *c, struct job *j);
// After the tree of accounts has changed.
void members_relevel(struct cluster *c);
// All that belong to what is removed.
void members_drop(struct cluster *c, const struct rule_entry *p);

// Rows. rule_make() gives out the id.
struct rule_entry *rule_add(struct cluster *c, const struct rule *row);
struct rule_entry *rule_make(struct cluster *c, const struct rule *row);
void rule_drop(struct cluster *c, struct rule_entry *p);
void rule_mark(struct cluster *c, struct rule_entry *p);
// What follows from its names; all of them are there.
void rule_resolve(struct cluster *c, struct rule_entry *p);
void queue_resolve(struct cluster *c, struct rule_entry *p);
void queue_check(const struct rule *row, struct text *wrong);
bool rule_is_level(enum rule_kind k);
// "queue \"gpu\"", "user \"ann\" in account \"physics\""
void rule_add_title(const struct rule *r, struct text *ret);
// "default, gpu", at most ten.
void rule_add_names(const struct cluster *c, enum rule_kind k, struct text *ret);
void rules_start(struct cluster *c, bool same_boot);
void rules_turn_begin(struct cluster *c);
void rules_fini(struct cluster *c);

// Requests of operators.
void rule_set(struct cluster *c, const struct input *in);
void rule_remove(struct cluster *c, const struct input *in);
// What is wrong with a row, beyond names that do not exist; nothing appended: nothing.
void account_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
                   struct text *wrong);
void user_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
                struct text *wrong);
void qos_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
               struct text *wrong);
void reservation_check(const struct cluster *c, const struct rule *row,
                       const struct rule_entry *old, struct text *wrong);
// The nodes of a row that is right: chosen if it says only how many. Refused if another one has
// them then, or jobs are in the way.
void reservation_take_nodes(struct cluster *c, struct rule *row, const struct rule_entry *old,
                            struct text *wrong);
// At a boundary: chosen nodes that are not usable give way to others. True: some did.
bool reservation_mend(struct cluster *c, struct rule_entry *p);
void account_break_cycles(struct cluster *c);
void user_set(struct cluster *c, struct rule_entry *p);
void user_in_use(const struct cluster *c, const struct rule_entry *p, struct text *by);
// The account of jobs that name none; NULL: the user is in none.
struct rule_entry *user_default(const struct cluster *c, int64_t uid);
// The user's row in the account "default", made where it is missing.
struct rule_entry *user_join_default(struct cluster *c, uint32_t uid, const char *name);

// Counts. uid -1: of all users.
struct tally *tally_find(const struct cluster *c, int64_t rule, int64_t uid);
struct tally *tally_get(struct cluster *c, int64_t rule, int64_t uid);
struct tally *tally_add(struct cluster *c, const struct tally *row);
void tally_drop(struct cluster *c, struct tally *t);
void tally_mark(struct cluster *c, struct tally *t);
// After a change of the job's state or of what its array has left.
void tally_job(struct cluster *c, struct job *j);
// p has been added (1) or is removed (-1); j NULL: it is of no job that is known.
void tally_part(struct cluster *c, struct job *j, const struct placement *p, int sign);
// Does it belong to anything still? Else nothing of it counts any more.
bool tally_counts_job(const struct job *j);
// Everything anew from jobs and placements: when levels or percents have changed.
void tally_recount(struct cluster *c);
void tally_sum(struct cluster *c);
bool tally_is_sum(const struct tally *t);

// Ms that jobs have counted up to now at rate 1, in the scale of the epoch (tally.h, S).
int64_t usage_span(struct cluster *c);
int64_t usage_clock(const struct cluster *c);
// at_ms becomes the epoch, and what was used up to then the base, or (forget) nothing.
void usage_rebase(struct cluster *c, int64_t at_ms, bool forget);

// May the submission enter? Then *ret is to what it belongs, and *req what it asks for with the
// defaults of there; else it has been answered.
bool admit(struct cluster *c, const struct caller *who, const struct input_submit *in,
           struct request *req, struct member **ret);
bool limit_submit(struct cluster *c, const struct member *m, const struct request *r, int64_t jobs,
                  struct text *wrong);
// The least max_job_time that bounds it; 0: none does.
int64_t limit_time_ms(const struct member *m);
// At the begin of a pass over the queue: no limit has stopped a job yet.
void limit_pass_begin(struct cluster *c);
// May the job start now, on these nodes (count 0: not known yet)? If not: why. Jobs asked for in a
// pass come in the order of the queue.
bool limit_start(struct cluster *c, struct job *j, const struct fit_node *f, size_t count,
                 struct reason *ret);
// What the job needs of limits is kept for it in this pass: those behind it count it as used.
void limit_hold(struct cluster *c, struct job *j);
// limit_start() refuses neither the job nor others for it, whatever is held, until rules.changed
// rises: no limit is set at any of its levels, and its queue starts jobs.
bool limit_none(struct cluster *c, struct job *j);
