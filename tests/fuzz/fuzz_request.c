// The body of POST /v1/jobs: any bytes end as a submission that the core takes or refuses, or with
// a message.
#include "scheduler/shell/server.h"

#include "tests/unit/core_harness.h"

#include <jansson.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct submission s = {0};
    if (!body)
        return 0;
    if (translate_submission(body, 1000, 1000, &s, &err)) {
        CHECK(*err.message);
    } else {
        struct harness h;
        struct input in = {.kind = INPUT_SUBMIT, .submit = s.submit};
        in.submit.uid.v = 0x17;
        harness_init(&h);
        harness_step(&h, &in);
        harness_compare(&h);
        harness_fini(&h);
        submission_free(&s);
    }
    json_decref(body);
    return 0;
}
