#include "schedctl/exits.h"

#include "common/alloc.h"
#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum ctl_exit exit_of(enum errcode code)
{
    switch (code) {
    case E_UNREACHABLE:
        return CTL_NO_SCHEDULER;
    case E_REFUSED:
    case E_DENIED:
        return CTL_REFUSED;
    case E_NOT_FOUND:
        return CTL_NOT_FOUND;
    case E_TIMEOUT:
        return CTL_TIMEOUT;
    case E_INVALID:
    case E_TOO_LARGE:
        return CTL_USAGE;
    case E_IO:
    case E_EXISTS:
    case E_NO_SPACE:
    case E_CORRUPT:
    case E_VERSION:
    case E_SYSTEM:
        break;
    }
    return CTL_FAILED;
}

static void say(const char *message)
{
    size_t len = strlen(message);
    const char *end = len && strchr(".?!\n", message[len - 1]) ? "" : ".";
    fflush(stdout);
    fprintf(stderr, "schedctl: %s%s\n", message, end);
}

enum ctl_exit report(const struct err *err)
{
    say(err->message);
    return exit_of(err->code);
}

enum ctl_exit complain(enum ctl_exit code, const char *fmt, ...)
{
    AUTO(text) struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    say(text_str(&t));
    return code;
}

void remark(const char *fmt, ...)
{
    AUTO(text) struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    say(text_str(&t));
}
