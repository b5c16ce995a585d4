// The machine this agent is on, and what of it may be given out.
//
// A core of the scheduler is one physical core, numbered as hwloc numbers them logically; its
// hardware threads are the PUs that a task bound to it may use. Only what can be read is reported:
// an unknown number is -1 and null in the JSON.
#pragma once

#include "common/coreset.h"
#include "common/err.h"
#include "common/text.h"

struct machine_core {
    struct coreset pus;
    int32_t package, numa; // OS indexes; -1: unknown
};

struct machine {
    char hostname[65], machine_id[40], kernel[72], architecture[72];
    struct machine_core *cores;
    int32_t cores_count;
    int64_t memory_mib;
    int32_t packages, numa_nodes;

    // What may be given out: all of it, or what --resources declares.
    int32_t given_cores, given_gpus;
    int64_t given_memory_mib;
    int32_t *core_map; // given core -> core of the machine
    bool bound;        // tasks are bound to their cores; false when more is declared than there is
};

int machine_read(struct machine *ret, struct err *err);
// "cores=0-1,memory=2GiB,gpus=2"; NULL: everything but a memory reserve of 1/16, at most 1 GiB.
int machine_declare(struct machine *m, const char *resources, struct err *err);
// The PUs of a set of given cores; empty if they are not bound.
struct coreset machine_pus(const struct machine *m, const struct coreset *given);
void machine_json(const struct machine *m, const char *execution, struct text *ret);
void machine_free(struct machine *m);
