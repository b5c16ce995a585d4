// What a machine has: cores, caches, memory, GPUs, TPUs, other accelerators, volumes, network.
//
// Only what can be read is reported. An unknown number is -1, an unknown word is empty; both are
// null in the JSON. Reading never fails as a whole because a device is broken: what a device does
// not answer stays unknown, and `note` says so.
//
// The machine is read below `root`: "" for this one, or a recorded tree of /proc and /sys. With
// HWLOC_XMLFILE the topology comes from that file.
//
//     struct inventory v;
//     if (inventory_read("", &v, err))
//         return -1;
//     inventory_json(&v, &text);      // members of an object, without its braces
//     inventory_free(&v);
#pragma once

#include "common/coreset.h"
#include "common/err.h"
#include "common/text.h"

#include <stdint.h>

enum { INVENTORY_GPUS_MAX = 64, INVENTORY_LIST_MAX = 1024 };

struct inventory_package {
    int32_t index; // as the kernel numbers them, everywhere here
    char model[96];
};

struct inventory_numa {
    int32_t index, package;
    int64_t memory_mib;
    struct coreset pus;
};

struct inventory_core {
    int32_t package, numa;
    int32_t efficiency; // kind of core, 0 the most economical; -1: all are alike or unknown
    struct coreset pus;
};

struct inventory_cache {
    int32_t level, count; // how many of this size
    int64_t size_kib;
    int32_t pus_each; // PUs that share one
};

struct pci_place {
    char address[16];               // 0000:3b:00.0
    uint16_t vendor, device, class; // class 0x0302: 3D controller
    int32_t numa;
    struct coreset pus; // near it
};

enum gpu_vendor { GPU_NVIDIA, GPU_AMD, GPU_INTEL, GPU_VENDOR_COUNT };

struct inventory_gpu {
    enum gpu_vendor vendor;
    struct pci_place pci;
    char model[96], uuid[64], driver[48];
    int64_t memory_mib;
    int32_t mig;          // 1: partitioned (MIG); -1: unknown
    char health[96];      // "ok", or what is wrong; "": unknown
    struct coreset links; // GPUs (by place in the list) that NVLink joins to it directly
};

struct inventory_tpu {
    struct pci_place pci;
    char model[16];
    char device[32]; // /dev/accel0 or /dev/vfio/7
};

struct inventory_accelerator { // neither GPU nor TPU; shown, not given out
    struct pci_place pci;
    char name[32];
};

struct inventory_volume {
    char mount[256], device[256], filesystem[32];
    char kind[16]; // ssd, disk, memory, network
    int64_t size_mib, free_mib;
    bool read_only;
};

struct inventory_interface {
    char name[32], mac[64], rdma[32];
    int64_t speed_mbit;
    int32_t numa, up;
    char addresses[512]; // "10.0.0.1,fd00::1"
};

struct inventory {
    char hostname[65], machine_id[40], kernel[72], architecture[72], board[96];
    int64_t memory_mib;       // of the machine
    int64_t memory_limit_mib; // of the cgroup that the agent lives in; -1: none
    struct inventory_package *packages;
    struct inventory_numa *numa;
    struct inventory_core *cores; // in hwloc's logical order
    struct inventory_cache *caches;
    struct inventory_gpu *gpus; // in PCI order
    struct inventory_tpu *tpus;
    struct inventory_accelerator *accelerators;
    struct inventory_volume *volumes;
    struct inventory_interface *network;
    int32_t packages_count, numa_count, cores_count, caches_count, gpus_count, tpus_count,
        accelerators_count, volumes_count, network_count;
    struct text notes;    // what could not be read, a line each
    struct text topology; // hwloc's, as XML; empty if it is not this machine's
};

int inventory_read(const char *root, struct inventory *ret, struct err *err);
void inventory_json(const struct inventory *v, struct text *ret);
void inventory_free(struct inventory *v);
