// hwloc's view of the machine: all that Muster takes from it.
#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VENDOR_GOOGLE = 0x1ae0,
    CLASS_DISPLAY = 0x03,
    CLASS_COPROCESSOR = 0x0b40,
    CLASS_PROCESSING = 0x12
};

static struct coreset to_coreset(hwloc_const_bitmap_t bits)
{
    struct coreset s = {0};
    for (int i = hwloc_bitmap_first(bits); i >= 0 && i < CORESET_MAX;
         i = hwloc_bitmap_next(bits, i))
        coreset_add(&s, (unsigned)i);
    return s;
}

static int32_t package_of(hwloc_topology_t t, hwloc_obj_t o)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_PACKAGE, o);
    return package ? (int32_t)package->os_index : -1;
}

static void read_packages(struct inventory *v, hwloc_topology_t t)
{
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PACKAGE, o));) {
        struct inventory_package *p = INVENTORY_ADD(v, packages);
        const char *model = hwloc_obj_get_info_by_name(o, "CPUModel");
        p->index = (int32_t)o->os_index;
        snprintf(p->model, sizeof p->model, "%s", model ? model : "");
    }
}

static void read_numa(struct inventory *v, hwloc_topology_t t)
{
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, o));) {
        struct inventory_numa *n = INVENTORY_ADD(v, numa);
        uint64_t bytes = o->attr->numanode.local_memory;
        n->index = (int32_t)o->os_index;
        n->package = package_of(t, o);
        n->memory_mib = bytes ? (int64_t)(bytes >> 20) : -1;
        n->pus = to_coreset(o->cpuset);
    }
}

static void read_cores(struct inventory *v, hwloc_topology_t t)
{
    bool cores = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE) > 0;
    hwloc_obj_type_t type = cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    bool alike = hwloc_cpukinds_get_nr(t, 0) < 2;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, type, o));) {
        if (v->cores_count == CORESET_MAX)
            break;
        struct inventory_core *c = INVENTORY_ADD(v, cores);
        int kind = alike ? -1 : hwloc_cpukinds_get_by_cpuset(t, o->cpuset, 0);
        c->pus = to_coreset(o->cpuset);
        c->package = package_of(t, o);
        c->numa = hwloc_bitmap_first(o->nodeset);
        c->efficiency = kind;
    }
}

static void read_caches(struct inventory *v, hwloc_topology_t t)
{
    for (int level = 1; level <= 5; level++) {
        int depth = hwloc_get_cache_type_depth(t, (unsigned)level, HWLOC_OBJ_CACHE_UNIFIED);
        if (depth < 0)
            depth = hwloc_get_cache_type_depth(t, (unsigned)level, HWLOC_OBJ_CACHE_DATA);
        for (hwloc_obj_t o = NULL; depth >= 0 && (o = hwloc_get_next_obj_by_depth(t, depth, o));) {
            int64_t kib = o->attr->cache.size ? (int64_t)(o->attr->cache.size >> 10) : -1;
            int32_t shared = hwloc_bitmap_weight(o->cpuset);
            int32_t i = 0;
            while (i < v->caches_count &&
                   (v->caches[i].level != level || v->caches[i].size_kib != kib ||
                    v->caches[i].pus_each != shared))
                i++;
            if (i == v->caches_count)
                *INVENTORY_ADD(v, caches) = (struct inventory_cache){level, 0, kib, shared};
            v->caches[i].count++;
        }
    }
}

static bool wanted(const struct hwloc_pcidev_attr_s *p)
{
    return p->class_id >> 8 == CLASS_DISPLAY || p->class_id >> 8 == CLASS_PROCESSING ||
           p->class_id == CLASS_COPROCESSOR || p->vendor_id == VENDOR_GOOGLE;
}

// The NUMA node: what sysfs says, else the only one that hwloc puts near.
static int32_t numa_of(const char *root, const char *address, hwloc_obj_t near)
{
    int64_t n = sysfs_number(root, -1, "/sys/bus/pci/devices/%s/numa_node", address);
    if (n >= 0)
        return (int32_t)n;
    return hwloc_bitmap_weight(near->nodeset) == 1 ? hwloc_bitmap_first(near->nodeset) : -1;
}

static int by_address(const void *a, const void *b)
{
    return strcmp(((const struct pci_place *)a)->address, ((const struct pci_place *)b)->address);
}

static struct pci_list read_pci(const char *root, hwloc_topology_t t)
{
    struct pci_list l = {0};
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_pcidev(t, o));) {
        const struct hwloc_pcidev_attr_s *p = &o->attr->pcidev;
        if (!wanted(p) || l.count == INVENTORY_LIST_MAX)
            continue;
        hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(t, o);
        struct pci_place place = {
            .vendor = p->vendor_id, .device = p->device_id, .class = p->class_id};
        snprintf(place.address, sizeof place.address, "%04x:%02x:%02x.%x", p->domain & 0xffff,
                 p->bus, p->dev & 0xff, p->func & 0xf);
        place.numa = numa_of(root, place.address, near);
        place.pus = to_coreset(near->cpuset);
        l.at = xreallocarray(l.at, l.count + 1, sizeof *l.at);
        l.at[l.count++] = place;
    }
    if (l.count)
        qsort(l.at, l.count, sizeof *l.at, by_address);
    return l;
}

static void read_names(struct inventory *v, hwloc_topology_t t)
{
    static const char *const keys[] = {"DMIProductName", "DMIBoardName", "PlatformModel"};
    hwloc_obj_t o = hwloc_get_root_obj(t);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !*v->board; i++) {
        const char *s = hwloc_obj_get_info_by_name(o, keys[i]);
        snprintf(v->board, sizeof v->board, "%s", s ? s : "");
    }
    v->memory_mib = o->total_memory ? (int64_t)(o->total_memory >> 20) : -1;
}

static void export_xml(struct inventory *v, hwloc_topology_t t)
{
    char *xml;
    int len;
    if (!hwloc_topology_is_thissystem(t) || hwloc_topology_export_xmlbuffer(t, &xml, &len, 0))
        return;
    text_add(&v->topology, xml);
    hwloc_free_xmlbuffer(t, xml);
}

int topology_read(const char *root, struct inventory *v, struct pci_list *ret, struct err *err)
{
    hwloc_topology_t t;
    if (*root) {
        setenv("HWLOC_FSROOT", root, 1);
        setenv("HWLOC_THISSYSTEM", "0", 1);
        setenv("HWLOC_COMPONENTS", "linux,stop", 1);
    }
    if (hwloc_topology_init(&t))
        return fail(err, E_SYSTEM, "hwloc cannot start");
    hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(t)) {
        hwloc_topology_destroy(t);
        return fail(err, E_SYSTEM, "hwloc cannot read the machine's topology%s%s",
                    *root ? " below " : "", root);
    }
    read_names(v, t);
    read_packages(v, t);
    read_numa(v, t);
    read_cores(v, t);
    read_caches(v, t);
    *ret = read_pci(root, t);
    export_xml(v, t);
    hwloc_topology_destroy(t);
    return 0;
}
