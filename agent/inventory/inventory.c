#include "agent/inventory/inventory.h"

#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_machine_id(const char *root, char ret[40])
{
    if (sysfs_text(root, ret, 40, "/etc/machine-id") ||
        sysfs_text(root, ret, 40, "/var/lib/dbus/machine-id"))
        return;
    snprintf(ret, 40, "unknown");
    if (!*root)
        gethostname(ret, 39); // containers without one
}

static void read_names(const char *root, struct inventory *v)
{
    struct utsname u;
    read_machine_id(root, v->machine_id);
    if (*root || uname(&u))
        return;
    snprintf(v->hostname, sizeof v->hostname, "%s", u.nodename);
    snprintf(v->kernel, sizeof v->kernel, "%s", u.release);
    snprintf(v->architecture, sizeof v->architecture, "%s", u.machine);
}

// The smallest limit of the cgroups from ours to the root, in MiB; -1: none below the memory's
// size.
static int64_t limit_of(const char *mount, const char *path, const char *file, int64_t memory_mib)
{
    char dir[SYSFS_PATH_MAX];
    int64_t least = -1;
    snprintf(dir, sizeof dir, "%s", path);
    for (;;) {
        int64_t bytes = sysfs_number("", -1, "%s%s/%s", mount, dir, file);
        int64_t mib = bytes >> 20;
        if (bytes > 0 && mib < memory_mib && (least < 0 || mib < least))
            least = mib;
        char *slash = strrchr(dir, '/');
        if (!slash || !*dir)
            return least;
        *slash = 0;
    }
}

static int64_t read_memory_limit(int64_t memory_mib)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[SYSFS_PATH_MAX];
    int64_t limit = -1;
    while (f && limit < 0 && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        if (strcmp(controllers, ":memory") == 0)
            limit = limit_of("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", memory_mib);
        else if (strcmp(controllers, ":") == 0)
            limit = limit_of("/sys/fs/cgroup", path, "memory.max", memory_mib);
    }
    if (f)
        fclose(f);
    return limit;
}

static int read_memory(const char *root, struct inventory *v, struct err *err)
{
    struct sysinfo info;
    v->memory_limit_mib = -1;
    if (*root || getenv("HWLOC_XMLFILE"))
        return 0; // what hwloc found
    if (sysinfo(&info))
        return fail(err, E_SYSTEM, "cannot read the size of the memory: %m");
    v->memory_mib = (int64_t)((uint64_t)info.totalram * info.mem_unit >> 20);
    v->memory_limit_mib = read_memory_limit(v->memory_mib);
    return 0;
}

int inventory_read(const char *root, struct inventory *ret, struct err *err)
{
    struct inventory v = {0};
    struct pci_list pci = {0};
    read_names(root, &v);
    int rc = topology_read(root, &v, &pci, err);
    if (rc == 0)
        rc = read_memory(root, &v, err);
    if (rc == 0) {
        gpus_read(root, &pci, &v);
        if (!*root)
            nvml_read(NULL, &v);
        tpus_read(root, &pci, &v);
        accelerators_read(root, &pci, &v);
        volumes_read(root, &v);
        network_read(root, &v);
        *ret = v;
    } else {
        inventory_free(&v);
    }
    free(pci.at);
    return rc;
}

void inventory_free(struct inventory *v)
{
    free(v->packages);
    free(v->numa);
    free(v->cores);
    free(v->caches);
    free(v->gpus);
    free(v->tpus);
    free(v->accelerators);
    free(v->volumes);
    free(v->network);
    text_free(&v->notes);
    text_free(&v->topology);
    *v = (struct inventory){0};
}
