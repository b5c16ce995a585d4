#include "simulate/complaints.h"

#include "common/alloc.h"
#include "common/text.h"

#include <inttypes.h>
#include <stdlib.h>

void complain_at(struct complaints *c, const char *file, int64_t line, int64_t column,
                 const char *fmt, ...)
{
    if (c->count++ >= COMPLAINTS_KEPT)
        return;
    struct text t = {0};
    text_addf(&t, "%s:%" PRId64, file, line);
    if (column)
        text_addf(&t, ":%" PRId64, column);
    text_add(&t, ": ");
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    c->first[c->count - 1] = text_take(&t);
}

void complaints_free(struct complaints *c)
{
    for (size_t i = 0; i < COMPLAINTS_KEPT; i++)
        free(c->first[i]);
    *c = (struct complaints){0};
}
