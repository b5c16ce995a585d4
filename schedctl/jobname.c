#include "schedctl/jobname.h"

#include "common/alloc.h"

#include <string.h>

int job_name_check(const char *name, struct err *err)
{
    static const char digits[] = "0123456789";
    size_t id = strspn(name, digits), element = 0;
    if (id && name[id] == '_')
        element = 1 + strspn(name + id + 1, digits);
    if (id == 0 || id > 19 || element == 1 || element > 20 || name[id + element])
        return fail(err, E_INVALID,
                    "\"%.64s\" is no job. Jobs are numbers, as 17, or 17_3 for an element of an "
                    "array.",
                    name);
    return 0;
}

char *job_path(const char *name, const char *rest)
{
    return xasprintf("/v1/jobs/%s%s", name, rest);
}
