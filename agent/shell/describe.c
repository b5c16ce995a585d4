// What the scheduler chooses nodes, cores and GPUs by, from the inventory of what is given out.
#include "agent/shell/machine.h"

#include "common/labels.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { DOMAINS_MAX = 16 };

void machine_model_word(const char *model, char *ret, size_t size)
{
    static const char *const makers[] = {"NVIDIA ", "AMD ", "Intel ", "Intel(R) "};
    size_t n = 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strncasecmp(model, makers[i], strlen(makers[i])) == 0) {
            model += strlen(makers[i]);
            break;
        }
    for (; *model && n + 1 < size; model++)
        ret[n++] = label_char(*model) ? *model : '-';
    ret[n] = 0;
}

// The inventory's entry of a GPU that is given out; NULL: it is only declared.
static const struct inventory_gpu *gpu_at(const struct machine *m, int32_t given)
{
    int32_t g = m->gpu_map[given];
    return g < m->has.gpus_count ? &m->has.gpus[g] : NULL;
}

// A job that asks for a model or for memory must find it whichever GPU it gets.
static void describe_gpus(const struct machine *m, struct machine_description *ret)
{
    for (int32_t i = 0; i < m->given_gpus; i++) {
        const struct inventory_gpu *g = gpu_at(m, i);
        char word[sizeof ret->gpu_model] = "";
        int64_t mib = g && g->memory_mib > 0 ? g->memory_mib : 0;
        if (g)
            machine_model_word(g->model, word, sizeof word);
        if (i == 0)
            memcpy(ret->gpu_model, word, sizeof word);
        else if (strcmp(ret->gpu_model, word) != 0)
            ret->gpu_model[0] = 0;
        if (!word[0])
            ret->gpu_model[0] = 0;
        if (i == 0 || mib < ret->gpu_memory_mib)
            ret->gpu_memory_mib = mib;
    }
    if (!m->given_gpus)
        return;
    if (m->gpu_model[0])
        memcpy(ret->gpu_model, m->gpu_model, sizeof ret->gpu_model);
    if (m->gpu_memory_mib)
        ret->gpu_memory_mib = m->gpu_memory_mib;
}

// The domains of the given cores in order, as the kernel numbers them, with how many cores each
// has. 0: there is one, or they are not one behind the other.
static int32_t find_domains(const struct machine *m, int32_t numbers[DOMAINS_MAX],
                            int32_t cores[DOMAINS_MAX])
{
    int32_t count = 0;
    for (int32_t i = 0; i < m->given_cores; i++) {
        int32_t numa = m->has.cores[m->core_map[i]].numa;
        if (count && numbers[count - 1] == numa) {
            cores[count - 1]++;
            continue;
        }
        for (int32_t k = 0; k < count; k++)
            if (numbers[k] == numa)
                return 0;
        if (numa < 0 || count == DOMAINS_MAX)
            return 0;
        numbers[count] = numa;
        cores[count++] = 1;
    }
    return count > 1 ? count : 0;
}

static void describe_numa(const struct machine *m, struct machine_description *ret)
{
    int32_t numbers[DOMAINS_MAX], cores[DOMAINS_MAX];
    int32_t count = m->bound ? find_domains(m, numbers, cores) : 0;
    size_t at = 0;
    for (int32_t i = 0; i < count; i++)
        at += (size_t)snprintf(ret->numa_cores + at, sizeof ret->numa_cores - at, "%s%d",
                               i ? "," : "", cores[i]);
    for (int32_t i = 0; count && i < m->given_gpus; i++) {
        const struct inventory_gpu *g = gpu_at(m, i);
        ret->gpu_numa[i] = '-';
        for (int32_t k = 0; g && k < count; k++)
            if (numbers[k] == g->pci.numa)
                ret->gpu_numa[i] = "0123456789abcdef"[k];
    }
}

void machine_describe(const struct machine *m, struct machine_description *ret)
{
    *ret = (struct machine_description){0};
    describe_gpus(m, ret);
    describe_numa(m, ret);
}
