// What the files of users and operators share: client.c (asking and being answered), client_job.c
// (what jobs ask for), client_mind.c (users change their minds), client_queue.c (the order of
// queues), operator.c (nodes, and what is put right in the end), operator_rules.c (queues,
// accounts, users, QoS, limits), operator_preempt.c (QoS that preempt others), operator_reserve.c
// (reservations). A noun more is a file more, with a start function called in clients_start().
#pragma once

#include "tests/sim/sim.h"

enum {
    CLIENT_JOBS_MAX = 120,
    CLIENT_ASKS_MAX = 8192,
    CLIENT_QUEUES = 2,
    PATIENCE_MS = 90000,
    WISH_DEPENDS_MAX = 3
};

struct wish { // a job that somebody wants
    struct input_submit in;
    struct depend_asked depends[WISH_DEPENDS_MAX]; // of in
    struct depend_asked change[WISH_DEPENDS_MAX];  // of the newest change
    bool changed;                                  // what it waits for now is not known
    bool answered, given_up;
    int tries;
    struct job_id job;
};

enum ask_of { ASK_WISH, ASK_JOB, ASK_OPERATOR, ASK_FENCE };
struct asked {
    enum ask_of of;
    int wish;
    enum input_kind kind;
    struct machine *machine;
};

struct client {
    struct wish wishes[CLIENT_JOBS_MAX];
    int wishes_count;
    struct asked asked[CLIENT_ASKS_MAX];
    uint64_t asked_count;
    struct rule queues[CLIENT_QUEUES]; // as the operators want them
    struct rule **rows;                // that operators have sent
    size_t rows_count, rows_cap;
    struct rule preempt_rows[PREEMPT_QOS_COUNT];
};

// Number of the request; 0: too many were asked in this world.
uint64_t note_asked(struct sim *s, struct asked of);
// It arrives a little later, or not at all.
void send_ask(struct sim *s, struct asked of, struct ask ask);
void operator_says(struct sim *s, const struct keeper *k, enum input_kind kind);

// A row for an operator to send, as new; lives as long as the clients.
struct rule *client_row(struct client *c, enum rule_kind kind);
struct input_submit any_job(struct sim *s);
// What it waits for (client_terms.c): named when it is submitted first.
int64_t wish_wall_ms(const struct sim *s); // of the scheduler
bool wish_any_other(struct sim *s, struct depend_asked *ret);
void wish_terms(struct sim *s, struct wish *x);
// Is it a refusal that terms may bring?
bool is_of_terms(const struct sim *s, enum reason_code why);
// For a submission; NULL: it names none.
const char *any_queue(struct sim *s);
// A QoS that preempts or is preempted, or NULL: users' jobs in worlds with preemption.
const char *preempt_any_qos(struct sim *s);
// Whose it is, and the queue, account and QoS that it names.
void wish_names(struct sim *s, struct input_submit *in);
// No limit is left, and whatever users name is there.
void rules_lift(struct sim *s);

// Each goes on until faults are over, or for ever.
void minds_start(struct sim *s);
void operators_start(struct sim *s);
// How the queue goes and where its jobs do.
void queue_any_order(struct world *w, struct rule *r);
void queues_start(struct sim *s);           // in worlds without rules
void operator_rules_start(struct sim *s);   // before the first any_job()
void operator_preempt_start(struct sim *s); // before the first any_job()
void reservations_start(struct sim *s);

const char *any_reservation(struct world *w);
void reservations_clear(struct sim *s); // in the end
