// Bugs end the process, in release too.
//
// CHECK(x) is for what can only be false when Muster itself is wrong. What the outside world can
// make false is a refusal (common/reason.h) or a failure (common/err.h), never a CHECK.
//
//     CHECK(node->cores_free >= 0);
//     CHECKF(job, "job %" PRIu64 " is not in the table", id.v);
#pragma once

// Called before abort() when set, e.g. to dump the ring of the last steps.
extern void (*check_on_failure)(const char *message);

_Noreturn void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), cold));

#define CHECK(cond)                                            \
    do {                                                       \
        if (__builtin_expect(!(cond), 0))                      \
            check_failed(__FILE__, __LINE__, #cond, "%s", ""); \
    } while (0)

#define CHECKF(cond, ...)                                         \
    do {                                                          \
        if (__builtin_expect(!(cond), 0))                         \
            check_failed(__FILE__, __LINE__, #cond, __VA_ARGS__); \
    } while (0)
