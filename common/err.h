// Failures of the outside world: files, sockets, other programs, bad input.
//
// A function that can fail takes a `struct err *` last and returns 0 or a negative `enum errcode`;
// on failure its outputs are untouched. Whoever handles an error prints it, once. Messages are
// lower case, quote names, say what happened, then what to do as a sentence.
//
//     if (fd < 0)
//         return fail(err, E_IO, "cannot open \"%s\": %m. Check that the directory exists.", path);
#pragma once

// A row: name, value, text that scripts may match. Values are negative and stable.
#define ERRCODE_TABLE(X)                                                                   \
    X(E_IO, -1, "io", "a file, socket or device failed")                                   \
    X(E_INVALID, -2, "invalid", "the input is malformed or out of range")                  \
    X(E_NOT_FOUND, -3, "not_found", "the thing named does not exist")                      \
    X(E_REFUSED, -4, "refused", "the request was understood and refused")                  \
    X(E_EXISTS, -5, "exists", "the thing exists already or is in use")                     \
    X(E_NO_SPACE, -6, "no_space", "a disk or a bound is full")                             \
    X(E_CORRUPT, -7, "corrupt", "stored data is damaged")                                  \
    X(E_VERSION, -8, "version", "the other side or the stored data is of another version") \
    X(E_TIMEOUT, -9, "timeout", "no answer in time")                                       \
    X(E_UNREACHABLE, -10, "unreachable", "no connection could be made")                    \
    X(E_DENIED, -11, "denied", "permission denied")                                        \
    X(E_TOO_LARGE, -12, "too_large", "the input exceeds a documented bound")               \
    X(E_SYSTEM, -13, "system", "the operating system or a library refused")

enum errcode {
#define X(name, value, word, doc) name = value,
    ERRCODE_TABLE(X)
#undef X
};

struct err {
    enum errcode code;
    char message[1024];
};

// Fills err (may be NULL) and returns code. `%m` may be used: errno is kept for the formatting.
int fail(struct err *err, enum errcode code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));

// "io", "not_found", ...
const char *errcode_word(enum errcode code);
