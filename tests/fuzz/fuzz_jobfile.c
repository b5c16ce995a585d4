// The job file parser takes any bytes: it ends with a request or with a message. Our own memory is
// not lost; libfyaml 0.7.12 itself loses some for odd plain scalars, which is left to it.
#include "common/check.h"
#include "schedctl/jobfile.h"

#include <stdint.h>
#include <string.h>

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    json_t *request = json_object();
    int rc = jobfile_parse("job.yaml", (const char *)data, size, request, &err);
    if (rc)
        CHECK(strncmp(err.message, "job.yaml:", 9) == 0);
    else
        CHECK(json_array_size(json_object_get(request, "argv")) > 0);
    json_decref(request);
    return 0;
}
