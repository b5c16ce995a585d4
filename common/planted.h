// Faults that are planted on purpose, to prove that the simulator finds them (tests/sim). In every
// other build PLANTED() is the constant false, and nothing of it is left in the objects.
//
//     if (PLANTED(REUSE_ATTEMPT)) ...
#pragma once

// Name; what goes wrong.
#define PLANTED_TABLE(X)                                                             \
    X(NONE, "nothing")                                                               \
    X(LEAK_ON_REQUEUE, "a slot is not returned when the job is requeued")            \
    X(OLD_SESSION, "a message of an old session is accepted")                        \
    X(OVERTAKEN_LINK, "a link that another one overtakes stays open")                \
    X(REUSE_ATTEMPT, "an attempt that started nothing gives its number to the next") \
    X(REQUEUE_EARLY, "an attempt counts as over before its lease has ended")         \
    X(GO_EARLY, "GO is decided when all parts but one are prepared")                 \
    X(FORGET_CANCEL, "a cancelled job is requeued")                                  \
    X(COUNT_TWICE_AT_LOAD, "what a placement holds counts twice after a restart")    \
    X(REBOOT_OF_A_CLONE, "another machine under the name is evidence of a reboot")   \
    X(REBOOT_BEATS_END, "a reboot takes back an end that was journaled before it")   \
    X(PASS_FORGETS, "what changes during a pass is not asked about again")           \
    X(LEASE_FROM_RECEIPT, "a lease counts from when the grant arrived")              \
    X(END_NOT_JOURNALED, "an end is told and not journaled")                         \
    X(ORDER_NOT_JOURNALED, "an order is forked and not journaled")                   \
    X(OBEY_OLD_TERM, "an old term is obeyed")                                        \
    X(LATE_LAUNCH, "a launch that came after its lease is obeyed")                   \
    X(FREE_AT_LEASE_END, "a lease's end frees what the attempt holds on the node")   \
    X(LATE_GO_DROPPED, "a GO that came after its lease is dropped without a word")   \
    X(KILL_OF_UNKNOWN_DROPPED, "a KILL of an unknown attempt is not answered")       \
    X(END_NOT_REPEATED, "an end is told once")                                       \
    X(ONE_KEEPER, "the shepherd does not watch the deadline")                        \
    X(END_BEFORE_LAST, "an end is told while a process is left")                     \
    X(DEADLINE_INVENTED, "a restarted agent gives an order a new deadline")          \
    X(FORK_AFTER_ORDER, "an attempt whose shepherd took the order is forked again")  \
    X(REPLY_EARLY, "a reply leaves before its commit")                               \
    X(LAUNCH_EARLY, "a launch leaves before its commit")                             \
    X(ACK_EARLY, "an end is acknowledged before its commit")                         \
    X(WELCOME_EARLY, "a session is opened before its commit")                        \
    X(FORGET_REQUEST, "a request id is forgotten when its job has ended")            \
    X(REQUEST_NOT_DURABLE, "a request id is forgotten until its job is durable")     \
    X(FENCE_NOT_REPEATED, "a fence is told once")                                    \
    X(WINDOW_WITHOUT_GRACE, "a job's grace may reach into a reservation")            \
    X(WINDOW_ONCE, "a reservation that is repeated counts once")                     \
    X(FENCE_OWES_NOTHING, "a part ends though another one still needs its fence")    \
    X(FATE_NOT_DURABLE, "what became of a job is unknown until it is durable")       \
    X(DEPENDENCY_FORGOTTEN, "a restart forgets what jobs wait for")                  \
    X(DEADLINE_FORGOTTEN, "a job that runs has no deadline")                         \
    X(ARRAY_LIMIT_LATE, "one element more lives than the limit of its array")        \
    X(OUTPUT_BEFORE_SYNC, "what an agent says does not wait for its journal")        \
    X(PREEMPT_AT_ONCE, "a job is preempted before its QoS's min_run_time")           \
    X(PREEMPT_IN_VAIN, "jobs are stopped for one that does not start by it")         \
    X(PREEMPT_TOO_MANY, "jobs are stopped that are not in the way")                  \
    X(PREEMPTION_COUNTS, "being preempted uses up an attempt")                       \
    X(ATTAINED_FORGOTTEN, "what an attempt has had of the cluster is forgotten")     \
    X(LAS_ANY_LEVEL, "jobs are preempted that have had less than the one that starts")

#ifdef MUSTER_PLANTED
enum planted {
#define X(name, text) PLANTED_##name,
    PLANTED_TABLE(X)
#undef X
        PLANTED_COUNT
};
extern enum planted planted;
#define PLANTED(name) (planted == PLANTED_##name)
#else
#define PLANTED(name) false
#endif
