#include "agent/shell/machine.h"

#include "common/alloc.h"
#include "common/units.h"

#include <fcntl.h>
#include <hwloc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_machine_id(char ret[40])
{
    static const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
    snprintf(ret, 40, "unknown");
    for (size_t i = 0; i < 2; i++) {
        FILE *f = fopen(paths[i], "re");
        bool found = f && fscanf(f, "%39s", ret) == 1;
        if (f)
            fclose(f);
        if (found)
            return;
    }
    gethostname(ret, 39); // containers without one
}

static struct coreset to_coreset(hwloc_const_bitmap_t bits)
{
    struct coreset s = {0};
    int i;
    for (i = hwloc_bitmap_first(bits); i >= 0 && i < CORESET_MAX; i = hwloc_bitmap_next(bits, i))
        coreset_add(&s, (unsigned)i);
    return s;
}

static int32_t above(hwloc_obj_t core, hwloc_topology_t t, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(t, type, core);
    return o ? (int32_t)o->os_index : -1;
}

static void read_cores(struct machine *m, hwloc_topology_t t)
{
    int n = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
    hwloc_obj_type_t type = n > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    n = hwloc_get_nbobjs_by_type(t, type);
    m->cores = xcalloc((size_t)n, sizeof *m->cores);
    for (int i = 0; i < n && i < CORESET_MAX; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(t, type, (unsigned)i);
        int numa = hwloc_bitmap_first(core->nodeset);
        m->cores[m->cores_count++] = (struct machine_core){
            .pus = to_coreset(core->cpuset),
            .package = above(core, t, HWLOC_OBJ_PACKAGE),
            .numa = numa,
        };
    }
    m->packages = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PACKAGE);
    m->numa_nodes = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_NUMANODE);
}

int machine_read(struct machine *ret, struct err *err)
{
    struct machine m = {0};
    struct utsname u;
    uname(&u);
    snprintf(m.hostname, sizeof m.hostname, "%s", u.nodename);
    snprintf(m.kernel, sizeof m.kernel, "%s", u.release);
    snprintf(m.architecture, sizeof m.architecture, "%s", u.machine);
    read_machine_id(m.machine_id);
    struct sysinfo info;
    if (sysinfo(&info))
        return fail(err, E_SYSTEM, "cannot read the size of the memory: %m");
    m.memory_mib = (int64_t)((uint64_t)info.totalram * info.mem_unit >> 20);
    hwloc_topology_t t;
    if (hwloc_topology_init(&t))
        return fail(err, E_SYSTEM, "hwloc cannot start");
    if (hwloc_topology_load(t)) {
        hwloc_topology_destroy(t);
        return fail(err, E_SYSTEM, "hwloc cannot read the machine's topology");
    }
    read_cores(&m, t);
    hwloc_topology_destroy(t);
    *ret = m;
    return 0;
}

static void give_all(struct machine *m)
{
    int64_t reserve = m->memory_mib / 16 < 1024 ? m->memory_mib / 16 : 1024;
    m->given_cores = m->cores_count;
    m->given_memory_mib = m->memory_mib - reserve;
    m->core_map = xcalloc((size_t)m->cores_count, sizeof *m->core_map);
    for (int32_t i = 0; i < m->cores_count; i++)
        m->core_map[i] = i;
    m->bound = true;
}

static int declare_cores(struct machine *m, const char *list, struct err *err)
{
    struct coreset set;
    int rc = coreset_parse(list, "cores", &set, err);
    if (rc)
        return rc;
    m->given_cores = (int32_t)coreset_count(&set);
    m->bound = true;
    m->core_map = xreallocarray(m->core_map, (size_t)m->given_cores + 1, sizeof *m->core_map);
    int32_t k = 0;
    for (unsigned i = coreset_next(&set, 0); i < CORESET_MAX; i = coreset_next(&set, i + 1)) {
        m->bound = m->bound && (int32_t)i < m->cores_count;
        m->core_map[k++] = (int32_t)i;
    }
    return 0;
}

static int declare_one(struct machine *m, char *word, struct err *err)
{
    char *value = strchr(word, '=');
    if (!value)
        return fail(err, E_INVALID,
                    "--resources: \"%s\" has no value. Write cores=0-1,memory=2GiB,gpus=1.", word);
    *value++ = 0;
    if (strcmp(word, "cores") == 0)
        return declare_cores(m, value, err);
    if (strcmp(word, "memory") == 0)
        return parse_size_mib(value, "memory", &m->given_memory_mib, err);
    if (strcmp(word, "gpus") == 0) {
        int64_t n;
        int rc = parse_int(value, "gpus", 0, 64, &n, err);
        if (rc == 0)
            m->given_gpus = (int32_t)n;
        return rc;
    }
    return fail(err, E_INVALID, "--resources: \"%s\" is unknown. Known are cores, memory, gpus.",
                word);
}

// A comma separates keys; within a list of cores it is followed by a digit.
int machine_declare(struct machine *m, const char *resources, struct err *err)
{
    give_all(m);
    if (!resources)
        return 0;
    AUTO_FREE char *copy = xstrdup(resources);
    for (char *word = copy, *next; word; word = next) {
        next = word;
        do
            next = strchr(next + 1, ',');
        while (next && next[1] >= '0' && next[1] <= '9');
        if (next)
            *next++ = 0;
        int rc = declare_one(m, word, err);
        if (rc)
            return rc;
    }
    return 0;
}

struct coreset machine_pus(const struct machine *m, const struct coreset *given)
{
    struct coreset pus = {0};
    for (unsigned i = coreset_next(given, 0); m->bound && i < CORESET_MAX;
         i = coreset_next(given, i + 1))
        if ((int32_t)i < m->given_cores)
            coreset_union(&pus, &m->cores[m->core_map[i]].pus);
    return pus;
}

static void add_number(struct text *t, const char *key, int64_t v, const char *end)
{
    if (v < 0)
        text_addf(t, "\"%s\":null%s", key, end);
    else
        text_addf(t, "\"%s\":%" PRId64 "%s", key, v, end);
}

void machine_json(const struct machine *m, const char *execution, struct text *t)
{
    text_addf(t, "{\"hostname\":\"%s\",\"machine_id\":\"%s\",\"kernel\":\"%s\",", m->hostname,
              m->machine_id, m->kernel);
    text_addf(t, "\"architecture\":\"%s\",", m->architecture);
    add_number(t, "memory_mib", m->memory_mib, ",");
    add_number(t, "packages", m->packages, ",");
    add_number(t, "numa_nodes", m->numa_nodes, ",");
    text_addf(t, "\"bound\":%s,\"execution\":\"%s\",\"cores\":[", m->bound ? "true" : "false",
              execution);
    for (int32_t i = 0; i < m->cores_count; i++) {
        text_addf(t, "%s{\"index\":%d,", i ? "," : "", i);
        add_number(t, "package", m->cores[i].package, ",");
        add_number(t, "numa", m->cores[i].numa, ",");
        text_add(t, "\"pus\":\"");
        text_add_coreset(t, &m->cores[i].pus);
        text_add(t, "\"}");
    }
    text_add(t, "]}");
}

void machine_free(struct machine *m)
{
    free(m->cores);
    free(m->core_map);
    *m = (struct machine){0};
}
