// muster-report: one line on the report channel, from a shell.
//
//     muster-report phase=train step=120 steps=500 progress=0.24 loss=0.41
#include "common/alloc.h"
#include "common/json.h"
#include "common/text.h"
#include "common/units.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, NAME_MAX_BYTES = 63 };

static int complain(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int complain(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("muster-report: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return code;
}

// The channel's descriptor, -1 outside of a task. A program between the task and this one may have
// closed the channel and opened a file of its own under its number: that is not written to.
static int channel(int *ret_fd)
{
    const char *word = getenv("MUSTER_REPORT_FD");
    struct err err;
    struct stat st;
    int64_t fd = -1;
    if (word && *word && parse_int(word, "MUSTER_REPORT_FD", 0, INT_MAX, &fd, &err))
        return complain(1, "%s", err.message);
    *ret_fd = (int)fd;
    if (fd >= 0 && (fstat(*ret_fd, &st) || !S_ISFIFO(st.st_mode)))
        return complain(1,
                        "descriptor %d is not the report channel any more: the program that "
                        "started this one has to pass it on",
                        *ret_fd);
    return 0;
}

// One line in one write: lines of several processes do not mix.
static int write_line(int fd, const char *line, size_t len)
{
    if (len + 1 > LINE_MAX_BYTES)
        return complain(2, "the line has %zu bytes; at most %d are taken", len + 1, LINE_MAX_BYTES);
    char buf[LINE_MAX_BYTES];
    memcpy(buf, line, len);
    buf[len] = '\n';
    ssize_t n;
    do
        n = write(fd, buf, len + 1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? complain(1, "cannot write to the report channel: %s", strerror(errno)) : 0;
}

// "NAME=VALUE" as a member of the object.
static int add_pair(struct text *t, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char *end;
    if (!equals || equals == pair)
        return complain(2, "\"%s\" is not NAME=VALUE", pair);
    size_t name = (size_t)(equals - pair), value = strlen(equals + 1);
    bool phase = strncmp(pair, "phase=", 6) == 0;
    if (name > NAME_MAX_BYTES || (phase && (value == 0 || value > NAME_MAX_BYTES)))
        return complain(2, "\"%.80s\": names and phases have 1 to %d bytes", pair, NAME_MAX_BYTES);
    put_next(t);
    put_string(t, pair, name);
    text_addc(t, ':');
    if (phase) {
        put_string(t, equals + 1, value);
        return 0;
    }
    double v = strtod(equals + 1, &end);
    if (end == equals + 1 || *end)
        return complain(2, "\"%s\": the value is not a number (only \"phase\" is a word)", pair);
    if (strncmp(pair, "progress=", 9) == 0 && !(v >= 0 && v <= 1))
        return complain(2, "\"%s\": progress is a number from 0 to 1", pair);
    if (isfinite(v))
        text_addf(t, "%.17g", v);
    else
        text_add(t, "null");
    return 0;
}

static int report_pairs(int fd, char **pairs)
{
    AUTO(text) struct text t = {0};
    text_addc(&t, '{');
    for (; *pairs; pairs++)
        if (add_pair(&t, *pairs))
            return 2;
    text_addc(&t, '}');
    return fd < 0 ? 0 : write_line(fd, text_str(&t), t.len);
}

static int report_lines(int fd)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    while (rc != 1 && (n = getline(&line, &cap, stdin)) >= 0) {
        size_t len = (size_t)n - (n && line[n - 1] == '\n' ? 1 : 0);
        int one = fd < 0 ? 0 : write_line(fd, line, len);
        rc = one ? one : rc;
    }
    free(line);
    return rc;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_ARGS)
        return key == ARGP_KEY_NO_ARGS ? (argp_usage(state), EINVAL) : ARGP_ERR_UNKNOWN;
    *(char ***)state->input = state->argv + state->next;
    return 0;
}

static const struct argp arguments = {
    NULL,
    parse_option,
    "NAME=VALUE...\n-",
    "Reports numbers of a running task to Muster, for `schedctl job metrics`, `jobs` and `run`.\v"
    "Values are numbers; phase=WORD names what goes on. progress, from 0 to 1, draws a bar; step "
    "with steps, and epoch with epochs, are shown beside it. With \"-\" lines are read from "
    "standard input, each a JSON object. Outside of a Muster task nothing happens.\n\n"
    "Exit status: 0 reported, 1 the channel cannot be written, 2 usage.",
    NULL,
    NULL,
    NULL};

int main(int argc, char **argv)
{
    char **pairs = NULL;
    int fd;
    argp_err_exit_status = 2;
    argp_parse(&arguments, argc, argv, ARGP_IN_ORDER, NULL, &pairs);
    signal(SIGPIPE, SIG_IGN); // it is an error, and told as one
    if (channel(&fd))
        return 1;
    if (strcmp(pairs[0], "-") == 0 && !pairs[1])
        return report_lines(fd);
    return report_pairs(fd, pairs);
}
