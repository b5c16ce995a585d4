// How the parts of an inventory are read; inventory.c calls them in this order.
#pragma once

#include "agent/inventory/inventory.h"

// A room for one more in a list of the inventory.
#define INVENTORY_ADD(v, list)                                                               \
    ((v)->list = xreallocarray((v)->list, (size_t)(v)->list##_count + 1, sizeof *(v)->list), \
     memset(&(v)->list[(v)->list##_count], 0, sizeof *(v)->list), &(v)->list[(v)->list##_count++])

// PCI devices that compute, in PCI order, with their place.
struct pci_list {
    struct pci_place *at;
    size_t count;
};

// Packages, NUMA nodes, cores, caches, the memory's size; and the PCI devices (display, processing
// accelerators, co-processors, everything of Google's), for the parts that follow.
int topology_read(const char *root, struct inventory *v, struct pci_list *ret, struct err *err);

void gpus_read(const char *root, const struct pci_list *pci, struct inventory *v);
// Models, memory, health and links of NVIDIA's GPUs, from the driver's library if there is one.
// library NULL: its standard name.
void nvml_read(const char *library, struct inventory *v);
void tpus_read(const char *root, const struct pci_list *pci, struct inventory *v);
void accelerators_read(const char *root, const struct pci_list *pci, struct inventory *v);
void volumes_read(const char *root, struct inventory *v);
void network_read(const char *root, struct inventory *v);
