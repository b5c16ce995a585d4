#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void (*check_on_failure)(const char *message);

void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
    char detail[512];
    char message[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    snprintf(message, sizeof message, "%s:%d: check failed: %s%s%s", file, line, cond,
             detail[0] ? ": " : "", detail);
    fprintf(stderr, "%s\n", message);
    if (check_on_failure)
        check_on_failure(message);
    abort();
}
