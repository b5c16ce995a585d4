// Google's TPUs and accelerators of other makers.
//
// A TPU is reached through /dev/accelN (its own driver) or /dev/vfio/GROUP. Device ids: JAX,
// jax/_src/hardware_utils.py. The maker's network cards and disks (in its cloud) are not TPUs.
#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR_GOOGLE = 0x1ae0, CLASS_STORAGE = 0x01, CLASS_NETWORK = 0x02 };

static const struct {
    uint16_t device;
    const char *model;
} models[] = {
    {0x0027, "v2/v3"}, {0x005e, "v4"},  {0x0062, "v5p"},
    {0x0063, "v5e"},   {0x006f, "v6e"}, {0x0076, "7x"},
};

static bool is_tpu(const struct pci_place *p)
{
    return p->vendor == VENDOR_GOOGLE && p->class >> 8 != CLASS_STORAGE &&
           p->class >> 8 != CLASS_NETWORK;
}

static void find_device(const char *root, struct inventory_tpu *t)
{
    char **names, group[24], device[24];
    size_t n = sysfs_list(root, &names, "/sys/class/accel");
    for (size_t i = 0; i < n && !*t->device; i++)
        if (sysfs_link_name(root, device, sizeof device, "/sys/class/accel/%s/device", names[i]) &&
            strcmp(device, t->pci.address) == 0)
            snprintf(t->device, sizeof t->device, "/dev/%.24s", names[i]);
    sysfs_list_free(names, n);
    if (!*t->device &&
        sysfs_link_name(root, group, sizeof group, "/sys/bus/pci/devices/%s/iommu_group",
                        t->pci.address) &&
        sysfs_exists(root, "/dev/vfio/%s", group))
        snprintf(t->device, sizeof t->device, "/dev/vfio/%.20s", group);
}

void tpus_read(const char *root, const struct pci_list *pci, struct inventory *v)
{
    for (size_t i = 0; i < pci->count; i++) {
        if (!is_tpu(&pci->at[i]))
            continue;
        struct inventory_tpu *t = INVENTORY_ADD(v, tpus);
        t->pci = pci->at[i];
        for (size_t k = 0; k < sizeof models / sizeof *models; k++)
            if (models[k].device == t->pci.device)
                snprintf(t->model, sizeof t->model, "%s", models[k].model);
        find_device(root, t);
    }
}

static bool is_known(const struct inventory *v, const struct pci_place *p)
{
    for (int32_t i = 0; i < v->gpus_count; i++)
        if (strcmp(v->gpus[i].pci.address, p->address) == 0)
            return true;
    return is_tpu(p);
}

void accelerators_read(const char *root, const struct pci_list *pci, struct inventory *v)
{
    for (size_t i = 0; i < pci->count; i++) {
        const struct pci_place *p = &pci->at[i];
        if ((p->class != 0x0b40 && p->class >> 8 != 0x12) || is_known(v, p))
            continue;
        struct inventory_accelerator *a = INVENTORY_ADD(v, accelerators);
        a->pci = *p;
        sysfs_link_name(root, a->name, sizeof a->name, "/sys/bus/pci/devices/%s/driver",
                        p->address);
    }
}
