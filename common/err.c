#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

int fail(struct err *err, enum errcode code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->message, sizeof err->message, fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return (int)code;
}

const char *errcode_word(enum errcode code)
{
    switch (code) {
#define X(name, value, word, doc) \
    case name:                    \
        return word;
        ERRCODE_TABLE(X)
#undef X
    }
    return "unknown";
}
