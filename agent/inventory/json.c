// The inventory as the scheduler's store reads it (scheduler/shell/store_inventory.c).
#include "agent/inventory/inventory.h"

#include "common/alloc.h"
#include "common/json.h"

#include <stdio.h>

static void put_word(struct text *t, const char *key, const char *s)
{
    put_str(t, key, *s ? s : NULL);
}

static void put_known(struct text *t, const char *key, int64_t v)
{
    if (v < 0)
        put_null(t, key);
    else
        put_int(t, key, v);
}

static void put_set(struct text *t, const char *key, const struct coreset *set)
{
    AUTO(text) struct text s = {0};
    text_add_coreset(&s, set);
    put_word(t, key, text_str(&s));
}

static void put_place(struct text *t, const struct pci_place *p)
{
    put_str(t, "pci", p->address);
    put_known(t, "numa", p->numa);
    put_set(t, "pus", &p->pus);
}

static void put_topology(struct text *t, const struct inventory *v)
{
    put_open(t, "packages", '[');
    for (int32_t i = 0; i < v->packages_count; i++) {
        put_open(t, NULL, '{');
        put_int(t, "index", v->packages[i].index);
        put_word(t, "model", v->packages[i].model);
        text_addc(t, '}');
    }
    text_addc(t, ']');
    put_open(t, "numa", '[');
    for (int32_t i = 0; i < v->numa_count; i++) {
        put_open(t, NULL, '{');
        put_int(t, "index", v->numa[i].index);
        put_known(t, "package", v->numa[i].package);
        put_known(t, "memory_mib", v->numa[i].memory_mib);
        put_set(t, "pus", &v->numa[i].pus);
        text_addc(t, '}');
    }
    text_addc(t, ']');
    put_open(t, "caches", '[');
    for (int32_t i = 0; i < v->caches_count; i++) {
        put_open(t, NULL, '{');
        put_int(t, "level", v->caches[i].level);
        put_known(t, "size_kib", v->caches[i].size_kib);
        put_int(t, "count", v->caches[i].count);
        put_int(t, "pus_each", v->caches[i].pus_each);
        text_addc(t, '}');
    }
    text_addc(t, ']');
    put_open(t, "cores", '[');
    for (int32_t i = 0; i < v->cores_count; i++) {
        put_open(t, NULL, '{');
        put_int(t, "index", i);
        put_known(t, "package", v->cores[i].package);
        put_known(t, "numa", v->cores[i].numa);
        if (v->cores[i].efficiency >= 0)
            put_int(t, "efficiency", v->cores[i].efficiency);
        put_set(t, "pus", &v->cores[i].pus);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_gpus(struct text *t, const struct inventory *v)
{
    static const char *const vendors[GPU_VENDOR_COUNT] = {"nvidia", "amd", "intel"};
    put_open(t, "gpus", '[');
    for (int32_t i = 0; i < v->gpus_count; i++) {
        const struct inventory_gpu *g = &v->gpus[i];
        put_open(t, NULL, '{');
        put_int(t, "index", i);
        put_str(t, "vendor", vendors[g->vendor]);
        put_word(t, "model", g->model);
        put_word(t, "uuid", g->uuid);
        put_known(t, "memory_mib", g->memory_mib);
        put_place(t, &g->pci);
        put_word(t, "driver", g->driver);
        put_known(t, "mig", g->mig);
        put_word(t, "health", g->health);
        put_set(t, "links", &g->links);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_accelerators(struct text *t, const struct inventory *v)
{
    put_open(t, "tpus", '[');
    for (int32_t i = 0; i < v->tpus_count; i++) {
        put_open(t, NULL, '{');
        put_int(t, "index", i);
        put_word(t, "model", v->tpus[i].model);
        put_word(t, "device", v->tpus[i].device);
        put_place(t, &v->tpus[i].pci);
        text_addc(t, '}');
    }
    text_addc(t, ']');
    put_open(t, "accelerators", '[');
    for (int32_t i = 0; i < v->accelerators_count; i++) {
        const struct pci_place *p = &v->accelerators[i].pci;
        char id[16];
        snprintf(id, sizeof id, "%04x:%04x", p->vendor, p->device);
        put_open(t, NULL, '{');
        put_str(t, "id", id);
        put_word(t, "driver", v->accelerators[i].name);
        put_place(t, p);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_volumes(struct text *t, const struct inventory *v)
{
    put_open(t, "volumes", '[');
    for (int32_t i = 0; i < v->volumes_count; i++) {
        const struct inventory_volume *x = &v->volumes[i];
        put_open(t, NULL, '{');
        put_str(t, "mount", x->mount);
        put_word(t, "device", x->device);
        put_str(t, "filesystem", x->filesystem);
        put_word(t, "kind", x->kind);
        put_known(t, "size_mib", x->size_mib);
        put_known(t, "free_mib", x->free_mib);
        put_null(t, "read_mib_s"); // measured when somebody asks for it
        put_null(t, "write_mib_s");
        put_int(t, "read_only", x->read_only);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_network(struct text *t, const struct inventory *v)
{
    put_open(t, "network", '[');
    for (int32_t i = 0; i < v->network_count; i++) {
        const struct inventory_interface *n = &v->network[i];
        put_open(t, NULL, '{');
        put_str(t, "name", n->name);
        put_word(t, "mac", n->mac);
        put_known(t, "speed_mbit", n->speed_mbit);
        put_word(t, "rdma", n->rdma);
        put_known(t, "numa", n->numa);
        put_word(t, "addresses", n->addresses);
        put_known(t, "up", n->up);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_notes(struct text *t, const struct text *notes)
{
    const char *p = text_str(notes);
    put_open(t, "notes", '[');
    for (size_t n; *p; p += n + (p[n] == '\n')) {
        n = 0;
        while (p[n] && p[n] != '\n')
            n++;
        put_next(t);
        put_string(t, p, n);
    }
    text_addc(t, ']');
}

void inventory_json(const struct inventory *v, struct text *ret)
{
    put_word(ret, "hostname", v->hostname);
    put_word(ret, "machine_id", v->machine_id);
    put_word(ret, "board", v->board);
    put_word(ret, "kernel", v->kernel);
    put_word(ret, "architecture", v->architecture);
    put_known(ret, "memory_mib", v->memory_mib);
    put_known(ret, "memory_limit_mib", v->memory_limit_mib);
    put_topology(ret, v);
    put_gpus(ret, v);
    put_accelerators(ret, v);
    put_volumes(ret, v);
    put_network(ret, v);
    put_notes(ret, &v->notes);
}
