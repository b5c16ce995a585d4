// NVIDIA's management library, loaded if the machine has it: no GPU machine is needed to build.
//
// Names and layouts: NVML API reference, 2015 onward (the functions used are stable since then; a
// missing one leaves its value unknown). A driver that hangs must not hold the agent: all calls are
// made in a child with a bound.
#include "agent/inventory/bounded.h"
#include "agent/inventory/parts.h"

#include "common/alloc.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct nvml_device *nvml_device;

struct nvml_pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32]; // 00000000:3B:00.0
};

struct nvml_memory {
    unsigned long long total, free, used; // bytes
};

enum {
    NVML_WAIT_MS = 30000,
    NVML_OK = 0,
    NVML_LINKS_MAX = 18,
    NVML_ECC_UNCORRECTED = 1,
    NVML_VOLATILE = 0
};

struct nvml {
    void *library;
    int (*init)(void);
    int (*driver_version)(char *, unsigned);
    int (*count)(unsigned *);
    int (*by_index)(unsigned, nvml_device *);
    int (*name)(nvml_device, char *, unsigned);
    int (*uuid)(nvml_device, char *, unsigned);
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*pci)(nvml_device, struct nvml_pci *);
    int (*mig)(nvml_device, unsigned *current, unsigned *pending);
    int (*ecc_errors)(nvml_device, int type, int counter, unsigned long long *);
    int (*remapped)(nvml_device, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                    unsigned *failed);
    int (*link_state)(nvml_device, unsigned link, unsigned *active);
    int (*link_remote)(nvml_device, unsigned link, struct nvml_pci *);
};

static void *symbol(const struct nvml *n, const char *name)
{
    return dlsym(n->library, name);
}

static bool load(struct nvml *n, const char *library)
{
    *n = (struct nvml){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
    if (!n->library)
        return false;
#define GET(member, name) *(void **)&n->member = symbol(n, name)
    GET(init, "nvmlInit_v2");
    GET(driver_version, "nvmlSystemGetDriverVersion");
    GET(count, "nvmlDeviceGetCount_v2");
    GET(by_index, "nvmlDeviceGetHandleByIndex_v2");
    GET(name, "nvmlDeviceGetName");
    GET(uuid, "nvmlDeviceGetUUID");
    GET(memory, "nvmlDeviceGetMemoryInfo");
    GET(pci, "nvmlDeviceGetPciInfo_v3");
    GET(mig, "nvmlDeviceGetMigMode");
    GET(ecc_errors, "nvmlDeviceGetTotalEccErrors");
    GET(remapped, "nvmlDeviceGetRemappedRows");
    GET(link_state, "nvmlDeviceGetNvLinkState");
    GET(link_remote, "nvmlDeviceGetNvLinkRemotePciInfo_v2");
#undef GET
    return n->init && n->count && n->by_index && n->pci;
}

// NVML writes eight digits of domain, in capitals; sysfs four.
static bool same_place(const struct nvml_pci *p, const char *address)
{
    size_t n = strnlen(p->bus_id, sizeof p->bus_id);
    size_t m = strlen(address);
    return n >= m && strncasecmp(p->bus_id + n - m, address, m) == 0;
}

static int32_t find(const struct inventory *v, const struct nvml_pci *p)
{
    for (int32_t i = 0; i < v->gpus_count; i++)
        if (v->gpus[i].vendor == GPU_NVIDIA && same_place(p, v->gpus[i].pci.address))
            return i;
    return -1;
}

static void read_health(const struct nvml *n, nvml_device d, struct inventory_gpu *g)
{
    unsigned long long errors = 0;
    unsigned corrected, uncorrected, pending = 0, failed = 0;
    bool known = false;
    if (n->ecc_errors && n->ecc_errors(d, NVML_ECC_UNCORRECTED, NVML_VOLATILE, &errors) == NVML_OK)
        known = true;
    if (n->remapped && n->remapped(d, &corrected, &uncorrected, &pending, &failed) == NVML_OK)
        known = true;
    if (failed)
        snprintf(g->health, sizeof g->health, "row remapping failed: replace the GPU");
    else if (pending)
        snprintf(g->health, sizeof g->health, "rows wait to be remapped: reset the GPU");
    else if (errors)
        snprintf(g->health, sizeof g->health,
                 "%llu uncorrected ECC errors since the driver started", errors);
    else if (known)
        snprintf(g->health, sizeof g->health, "ok");
}

static void read_links(const struct nvml *n, nvml_device d, const struct inventory *v,
                       struct inventory_gpu *g)
{
    for (unsigned l = 0; l < NVML_LINKS_MAX && n->link_state && n->link_remote; l++) {
        struct nvml_pci far = {0};
        unsigned active = 0;
        if (n->link_state(d, l, &active) != NVML_OK || !active ||
            n->link_remote(d, l, &far) != NVML_OK)
            continue;
        int32_t i = find(v, &far); // a switch is nobody's GPU
        if (i >= 0)
            coreset_add(&g->links, (unsigned)i);
    }
}

static void read_device(const struct nvml *n, nvml_device d, struct inventory *v)
{
    struct nvml_pci place = {0};
    struct nvml_memory memory;
    unsigned mig, pending;
    if (n->pci(d, &place) != NVML_OK)
        return;
    int32_t i = find(v, &place);
    if (i < 0) {
        text_addf(&v->notes, "the driver knows a GPU at %.32s that PCI does not show\n",
                  place.bus_id);
        return;
    }
    struct inventory_gpu *g = &v->gpus[i];
    if (n->name && n->name(d, g->model, sizeof g->model) != NVML_OK)
        *g->model = 0;
    if (n->uuid && n->uuid(d, g->uuid, sizeof g->uuid) != NVML_OK)
        *g->uuid = 0;
    if (n->memory && n->memory(d, &memory) == NVML_OK)
        g->memory_mib = (int64_t)(memory.total >> 20);
    if (n->mig && n->mig(d, &mig, &pending) == NVML_OK)
        g->mig = mig != 0;
    read_health(n, d, g);
    read_links(n, d, v, g);
}

// What the child sends back.
struct answer {
    struct inventory_gpu gpus[INVENTORY_GPUS_MAX];
    char notes[2048];
};

struct question {
    const char *library;
    struct inventory *v;
};

static void ask_nvml(void *arg, void *to)
{
    struct question *q = arg;
    struct answer *a = to;
    struct inventory *v = q->v;
    struct nvml n;
    unsigned count = 0;
    text_clear(&v->notes);
    if (!load(&n, q->library)) {
        text_add(&v->notes,
                 "NVIDIA GPUs without the driver's library libnvidia-ml.so.1: memory and "
                 "health are unknown\n");
    } else if (n.init() != NVML_OK || n.count(&count) != NVML_OK) {
        text_add(&v->notes, "NVIDIA's driver does not answer: see dmesg and nvidia-smi\n");
    }
    for (unsigned i = 0; i < count; i++) {
        nvml_device d;
        if (n.by_index(i, &d) == NVML_OK)
            read_device(&n, d, v);
        else
            text_addf(&v->notes, "GPU %u gives no answer: see dmesg and nvidia-smi\n", i);
    }
    memcpy(a->gpus, v->gpus, (size_t)v->gpus_count * sizeof *v->gpus);
    snprintf(a->notes, sizeof a->notes, "%s", text_str(&v->notes));
}

void nvml_read(const char *library, struct inventory *v)
{
    struct question q = {library ? library : "libnvidia-ml.so.1", v};
    bool any = false;
    for (int32_t i = 0; i < v->gpus_count; i++)
        any = any || v->gpus[i].vendor == GPU_NVIDIA;
    if (!any)
        return;
    struct answer *a = xcalloc(1, sizeof *a);
    if (bounded_ask(ask_nvml, &q, a, sizeof *a, NVML_WAIT_MS)) {
        memcpy(v->gpus, a->gpus, (size_t)v->gpus_count * sizeof *v->gpus);
        text_add(&v->notes, a->notes);
    } else {
        text_addf(&v->notes,
                  "NVIDIA's driver gives no answer within %d s: see dmesg and nvidia-smi\n",
                  NVML_WAIT_MS / 1000);
    }
    free(a);
}
