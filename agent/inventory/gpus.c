// GPUs that compute, from PCI and what their kernel drivers publish.
//
// Left out: the graphics of boards and processors (ASPEED, Matrox, old Radeons, integrated Intel).
// AMD's driver publishes memory in mem_info_vram_total and a unique_id; NVIDIA's publishes model
// and UUID in /proc/driver/nvidia/gpus/ADDRESS/information, and its library (nvml.c) the rest.
#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VENDOR_NVIDIA = 0x10de,
    VENDOR_AMD = 0x1002,
    VENDOR_INTEL = 0x8086,
    CLASS_VGA = 0x0300,
    CLASS_3D = 0x0302,
    CLASS_OTHER_DISPLAY = 0x0380,
    CLASS_PROCESSING = 0x1200,
};

static bool is_gpu(const char *root, const struct pci_place *p, enum gpu_vendor *ret)
{
    bool headless = p->class == CLASS_OTHER_DISPLAY || p->class == CLASS_3D;
    switch (p->vendor) {
    case VENDOR_NVIDIA:
        *ret = GPU_NVIDIA;
        return headless || p->class == CLASS_VGA;
    case VENDOR_AMD: // desktop cards are VGA, and count when the compute driver has them
        *ret = GPU_AMD;
        return headless || p->class == CLASS_PROCESSING ||
               (p->class == CLASS_VGA &&
                sysfs_exists(root, "/sys/bus/pci/devices/%s/mem_info_vram_total", p->address));
    case VENDOR_INTEL:
        *ret = GPU_INTEL;
        return headless;
    }
    return false;
}

static void read_nvidia(const char *root, struct inventory_gpu *g)
{
    sysfs_field(root, "Model", g->model, sizeof g->model, "/proc/driver/nvidia/gpus/%s/information",
                g->pci.address);
    sysfs_field(root, "GPU UUID", g->uuid, sizeof g->uuid,
                "/proc/driver/nvidia/gpus/%s/information", g->pci.address);
    sysfs_text(root, g->driver, sizeof g->driver, "/sys/module/nvidia/version");
    if (strchr(g->uuid, '?')) // the driver has not started the GPU yet
        *g->uuid = 0;
}

static void read_amd(const char *root, struct inventory_gpu *g)
{
    char id[40];
    int64_t bytes =
        sysfs_number(root, -1, "/sys/bus/pci/devices/%s/mem_info_vram_total", g->pci.address);
    g->memory_mib = bytes < 0 ? -1 : bytes >> 20;
    sysfs_text(root, g->model, sizeof g->model, "/sys/bus/pci/devices/%s/product_name",
               g->pci.address);
    if (sysfs_text(root, id, sizeof id, "/sys/bus/pci/devices/%s/unique_id", g->pci.address))
        snprintf(g->uuid, sizeof g->uuid, "GPU-%s", id);
    sysfs_text(root, g->driver, sizeof g->driver, "/sys/module/amdgpu/version");
}

static void read_driver_name(const char *root, struct inventory_gpu *g)
{
    char name[16], version[24];
    snprintf(version, sizeof version, "%.23s", g->driver);
    if (!sysfs_link_name(root, name, sizeof name, "/sys/bus/pci/devices/%s/driver", g->pci.address))
        return;
    snprintf(g->driver, sizeof g->driver, "%s%s%s", name, *version ? " " : "", version);
}

void gpus_read(const char *root, const struct pci_list *pci, struct inventory *v)
{
    for (size_t i = 0; i < pci->count && v->gpus_count < INVENTORY_GPUS_MAX; i++) {
        enum gpu_vendor vendor = GPU_NVIDIA;
        if (!is_gpu(root, &pci->at[i], &vendor))
            continue;
        struct inventory_gpu *g = INVENTORY_ADD(v, gpus);
        g->vendor = vendor;
        g->pci = pci->at[i];
        g->memory_mib = g->mig = -1;
        if (vendor == GPU_NVIDIA)
            read_nvidia(root, g);
        else if (vendor == GPU_AMD)
            read_amd(root, g);
        read_driver_name(root, g);
    }
}
