// The verbs by name: a row is the constant verb_NAME of the file NAME.c or its group's.
#pragma once

#include "schedctl/verb.h"

// In the order of `schedctl help`.
#define VERB_TABLE(X)     \
    X(cluster_up)         \
    X(cluster_down)       \
    X(cluster_status)     \
    X(submit)             \
    X(run)                \
    X(jobs)               \
    X(job_show)           \
    X(job_why)            \
    X(job_events)         \
    X(job_metrics)        \
    X(job_wait)           \
    X(job_cancel)         \
    X(job_hold)           \
    X(job_release)        \
    X(logs)               \
    X(nodes)              \
    X(node_show)          \
    X(node_drain)         \
    X(node_resume)        \
    X(node_label)         \
    X(node_fence)         \
    X(cluster_settings)   \
    X(cluster_set)        \
    X(queue_list)         \
    X(queue_show)         \
    X(queue_create)       \
    X(queue_set)          \
    X(queue_remove)       \
    X(account_list)       \
    X(account_show)       \
    X(account_create)     \
    X(account_set)        \
    X(account_remove)     \
    X(user_list)          \
    X(user_show)          \
    X(user_create)        \
    X(user_set)           \
    X(user_remove)        \
    X(qos_list)           \
    X(qos_show)           \
    X(qos_create)         \
    X(qos_set)            \
    X(qos_remove)         \
    X(reservation_list)   \
    X(reservation_show)   \
    X(reservation_create) \
    X(reservation_set)    \
    X(reservation_remove) \
    X(limit_show)         \
    X(recover)            \
    X(plan_submit)        \
    X(plan_drain)         \
    X(plan_resume)        \
    X(plan_remove_node)   \
    X(plan_add_nodes)     \
    X(plan_reserve)       \
    X(plan_limit)         \
    X(simulate)           \
    X(doctor)             \
    X(version)            \
    X(help)

#define X(name) extern const struct verb verb_##name;
VERB_TABLE(X)
#undef X
