#include "agent/shell/machine.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int machine_read(const char *root, struct machine *ret, struct err *err)
{
    struct machine m = {0};
    int rc = inventory_read(root, &m.has, err);
    if (rc == 0)
        *ret = m;
    return rc;
}

static int32_t *count_up(int32_t count)
{
    int32_t *map = xcalloc((size_t)count + 1, sizeof *map);
    for (int32_t i = 0; i < count; i++)
        map[i] = i;
    return map;
}

static void give_all(struct machine *m)
{
    int64_t memory_mib = m->has.memory_limit_mib >= 0 ? m->has.memory_limit_mib : m->has.memory_mib;
    int64_t reserve_mib = memory_mib / 16 < 1024 ? memory_mib / 16 : 1024;
    m->given_cores = m->has.cores_count;
    m->given_gpus = m->has.gpus_count;
    m->given_memory_mib = memory_mib - reserve_mib;
    m->core_map = count_up(m->given_cores);
    m->gpu_map = count_up(m->given_gpus);
    m->bound = true;
}

// The set as a map from given number to the machine's; returns how many.
static int32_t to_map(const struct coreset *set, int32_t **ret)
{
    int32_t *map = xcalloc(coreset_count(set) + 1, sizeof *map), k = 0;
    for (unsigned i = coreset_next(set, 0); i < CORESET_MAX; i = coreset_next(set, i + 1))
        map[k++] = (int32_t)i;
    free(*ret);
    *ret = map;
    return k;
}

static int declare_cores(struct machine *m, const char *list, struct err *err)
{
    struct coreset set;
    int rc = coreset_parse(list, "cores", &set, err);
    if (rc)
        return rc;
    m->given_cores = to_map(&set, &m->core_map);
    m->bound = true;
    for (int32_t i = 0; i < m->given_cores; i++)
        m->bound = m->bound && m->core_map[i] < m->has.cores_count;
    return 0;
}

static int declare_gpus(struct machine *m, const struct coreset *set, struct err *err)
{
    if (coreset_count(set) > INVENTORY_GPUS_MAX)
        return fail(err, E_INVALID, "--resources: %u GPUs; a node gives out %d at most.",
                    coreset_count(set), INVENTORY_GPUS_MAX);
    m->given_gpus = to_map(set, &m->gpu_map);
    return 0;
}

static int declare_gpu_list(struct machine *m, const char *list, struct err *err)
{
    struct coreset set;
    int rc = coreset_parse(list, "gpu-list", &set, err);
    return rc ? rc : declare_gpus(m, &set, err);
}

static int declare_gpu_count(struct machine *m, const char *value, struct err *err)
{
    int64_t n;
    int rc = parse_int(value, "gpus", 0, INVENTORY_GPUS_MAX, &n, err);
    if (rc)
        return rc;
    struct coreset set = coreset_first((unsigned)n);
    return declare_gpus(m, &set, err);
}

static int declare_model(struct machine *m, const char *value, struct err *err)
{
    machine_model_word(value, m->gpu_model, sizeof m->gpu_model);
    if (!*value || strcmp(value, m->gpu_model) != 0)
        return fail(
            err, E_INVALID,
            "--resources: \"gpu.model=%.64s\" is no word of at most %zu letters, digits and "
            "._:/-+ without the maker's name.",
            value, sizeof m->gpu_model - 1);
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
    if (strcmp(word, "gpus") == 0)
        return declare_gpu_count(m, value, err);
    if (strcmp(word, "gpu-list") == 0)
        return declare_gpu_list(m, value, err);
    if (strcmp(word, "gpu.model") == 0)
        return declare_model(m, value, err);
    if (strcmp(word, "gpu.memory") == 0)
        return parse_size_mib(value, "gpu.memory", &m->gpu_memory_mib, err);
    return fail(err, E_INVALID,
                "--resources: \"%s\" is unknown. Known are cores, memory, gpus, gpu-list, "
                "gpu.model, gpu.memory.",
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
            coreset_union(&pus, &m->has.cores[m->core_map[i]].pus);
    return pus;
}

static const char *device_name(const struct machine *m, int32_t gpu, char number[16])
{
    const struct inventory_gpu *g = gpu < m->has.gpus_count ? &m->has.gpus[gpu] : NULL;
    if (g && g->vendor == GPU_NVIDIA && *g->uuid)
        return g->uuid;
    snprintf(number, 16, "%d", gpu);
    return number;
}

void machine_gpu_environment(const struct machine *m, const uint32_t *given, size_t count,
                             struct text *ret)
{
    static const char *const variables[GPU_VENDOR_COUNT] = {
        "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"};
    enum gpu_vendor vendor = m->has.gpus_count ? m->has.gpus[0].vendor : GPU_NVIDIA;
    if (count == 0 && m->has.gpus_count == 0)
        return;
    text_addf(ret, "%s=", variables[vendor]);
    for (size_t i = 0; i < count; i++) {
        char number[16];
        if ((int32_t)given[i] < m->given_gpus)
            text_addf(ret, "%s%s", i ? "," : "", device_name(m, m->gpu_map[given[i]], number));
    }
}

static void put_map(struct text *t, const char *key, const int32_t *map, int32_t count)
{
    AUTO(text) struct text list = {0};
    struct coreset set = {0};
    for (int32_t i = 0; i < count; i++)
        coreset_add(&set, (unsigned)map[i]);
    text_add_coreset(&list, &set);
    put_str(t, key, text_str(&list));
}

void machine_json(const struct machine *m, const char *execution, struct text *t)
{
    text_addc(t, '{');
    put_key(t, "bound");
    text_add(t, m->bound ? "true" : "false");
    put_str(t, "execution", execution);
    put_map(t, "given_cores", m->core_map, m->given_cores);
    put_map(t, "given_gpus", m->gpu_map, m->given_gpus);
    inventory_json(&m->has, t);
    text_addc(t, '}');
}

void machine_save_topology(const struct machine *m, const char *path)
{
    const struct text *xml = &m->has.topology;
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    FILE *f = xml->len ? fopen(temp, "we") : NULL;
    if (!f)
        return; // a shepherd without it reads the machine itself
    bool written = fwrite(text_str(xml), 1, xml->len, f) == xml->len;
    if (fclose(f) || !written || rename(temp, path))
        remove(temp);
}

void machine_free(struct machine *m)
{
    inventory_free(&m->has);
    free(m->core_map);
    free(m->gpu_map);
    *m = (struct machine){0};
}
