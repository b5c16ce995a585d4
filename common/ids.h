// Identifiers as one-field structs, so that a node cannot pass as a job. 0 means "none".
#pragma once

#include <stdbool.h>
#include <stdint.h>

// The small number that people type; unique within one database.
struct job_id {
    uint64_t v;
};
// Pending jobs that are alike but for their age; unique within one database.
struct class_id {
    uint64_t v;
};
// A node's number within one database; nodes are named by people.
struct node_id {
    uint32_t v;
};
// Random, made with the database; a message of another cluster is refused.
struct cluster_id {
    uint64_t v;
};
// Random 64 bits beside the job's number; survives copied and restored databases.
struct job_uid {
    uint64_t v;
};

// The operators' nouns (common/rule.h): one counter gives out the ids of all.
struct queue_id {
    uint32_t v;
};
struct account_id {
    uint32_t v;
};
struct user_id { // a user in an account
    uint32_t v;
};
struct qos_id {
    uint32_t v;
};
struct reservation_id {
    uint32_t v;
};

// One placement of one job. Every launch, report and kill names one (docs/protocol.md, Names).
struct attempt_id {
    struct cluster_id cluster;
    struct job_uid job;
    uint32_t number; // 1, 2, ...
};

static inline bool attempt_id_eq(struct attempt_id a, struct attempt_id b)
{
    return a.cluster.v == b.cluster.v && a.job.v == b.job.v && a.number == b.number;
}
