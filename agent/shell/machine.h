// What of this machine the agent gives out.
//
// A core of the scheduler is one physical core, numbered as hwloc numbers them logically; its
// hardware threads are the PUs that a task bound to it may use. A GPU's number is its place in the
// inventory (PCI order).
#pragma once

#include "agent/inventory/inventory.h"

struct machine {
    struct inventory has;

    // All of it, or what --resources declares.
    int32_t given_cores, given_gpus;
    int64_t given_memory_mib;
    int32_t *core_map, *gpu_map; // given number -> the machine's
    bool bound;         // tasks are bound to their cores; false when more is declared than there is
    char gpu_model[64]; // declared; "": as they are
    int64_t gpu_memory_mib; // declared, of each; 0: as they are
};

int machine_read(const char *root, struct machine *ret, struct err *err);
// "cores=0-1,memory=2GiB,gpus=2" or "gpu-list=2-3", gpu.model=A100, gpu.memory=40GiB; NULL:
// everything but a memory reserve of 1/16, at most 1 GiB. Within a cgroup with a memory limit, that
// is everything.
int machine_declare(struct machine *m, const char *resources, struct err *err);
// The PUs of a set of given cores; empty if they are not bound.
struct coreset machine_pus(const struct machine *m, const struct coreset *given);
// "CUDA_VISIBLE_DEVICES=GPU-...,GPU-..." for these given GPUs: NVIDIA's by UUID if it is known,
// else by number; AMD's ROCR_VISIBLE_DEVICES; Intel's ZE_AFFINITY_MASK. For none, the variable is
// empty where the machine has GPUs: a task without GPUs sees none.
void machine_gpu_environment(const struct machine *m, const uint32_t *given, size_t count,
                             struct text *ret);
// Writes the machine's topology to a file, for shepherds: reading it from the machine takes long.
void machine_save_topology(const struct machine *m, const char *path);
void machine_json(const struct machine *m, const char *execution, struct text *ret);

// What the scheduler chooses by (proto/muster.proto, Hello). What is not known is empty or 0.
struct machine_description {
    char gpu_model[64]; // of what is given out, if all are alike
    int64_t gpu_memory_mib;
    char numa_cores[96];
    char gpu_numa[INVENTORY_GPUS_MAX + 1];
};
void machine_describe(const struct machine *m, struct machine_description *ret);
// "NVIDIA A100-SXM4-40GB" -> "A100-SXM4-40GB": without the maker's name, a word that a selector can
// name. ret has `size` bytes.
void machine_model_word(const char *model, char *ret, size_t size);
void machine_free(struct machine *m);
