// Lines of the report channel: any bytes are merged or refused with a word, within the bounds; what
// is taken can be said again and means the same.
#include "agent/core/sample.h"
#include "common/check.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sample *s)
{
    CHECK(s->count <= SAMPLE_METRICS_MAX && strlen(s->phase) <= SAMPLE_NAME_MAX);
    for (size_t i = 0; i < s->count; i++) {
        const struct metric *m = &s->metrics[i];
        CHECK(*m->name && strlen(m->name) <= SAMPLE_NAME_MAX);
        CHECK(strcmp(m->name, "progress") || (m->value >= 0 && m->value <= 1));
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(m->name, s->metrics[k].name) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sample s, again;
    const char *p = (const char *)data, *end = p + size;
    sample_clear(&s);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        struct err err = {0};
        struct sample before = s;
        int rc = sample_add(&s, 1, p, (size_t)(stop - p), &err);
        check(&s);
        if (rc) {
            CHECK(*err.message);
            CHECK(memcmp(&before, &s, sizeof s) == 0);
        } else {
            again = s;
            CHECK(sample_add(&again, 1, p, (size_t)(stop - p), &err) == 0);
            CHECK(again.count == s.count && strcmp(again.phase, s.phase) == 0);
        }
        p = stop + 1;
    }
    return 0;
}
