#include "kernels/report.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum { SHOW_MS = 1000, SHOW_TERMINAL_MS = 100 };

void report_init(struct report *r, int rank, int tasks, bool json)
{
    const char *fd = getenv("MUSTER_REPORT_FD");
    *r = (struct report){
        .rank = rank,
        .tasks = tasks,
        .fd = fd ? (int)strtol(fd, NULL, 10) : -1,
        .json = json,
        .terminal = isatty(STDOUT_FILENO),
        .started_ms = clock_boot_ms(),
    };
}

static double rate(const struct report *r)
{
    int64_t ms = clock_boot_ms() - r->started_ms;
    return ms > 0 ? (double)r->samples * 1000.0 / (double)ms : 0;
}

static void end_line(struct report *r)
{
    if (r->line_open)
        putchar('\n');
    r->line_open = false;
}

static void to_channel(struct report *r, int64_t epoch, int64_t step, int64_t steps, double loss)
{
    if (r->fd < 0)
        return;
    AUTO_FREE char *line = xasprintf("{\"phase\":\"train\",\"epoch\":%" PRId64 ",\"step\":%" PRId64
                                     ",\"progress\":%.4f,\"loss\":%.6g,\"samples_per_s\":%.1f}\n",
                                     epoch, step, (double)step / (double)steps, loss, rate(r));
    if (dprintf(r->fd, "%s", line) < 0)
        r->fd = -1; // nobody listens
}

void report_step(struct report *r, int64_t epoch, int64_t epochs, int64_t step, int64_t steps,
                 double loss, size_t samples)
{
    int64_t now = clock_boot_ms();
    r->samples += (int64_t)samples;
    if (r->json && r->rank == 0) {
        printf("{\"step\":%" PRId64 ",\"epoch\":%" PRId64 ",\"loss\":%.9g}\n", step, epoch, loss);
        return;
    }
    if (now - r->shown_ms < (r->terminal ? SHOW_TERMINAL_MS : SHOW_MS))
        return;
    r->shown_ms = now;
    to_channel(r, epoch, step, steps, loss);
    if (r->rank)
        return;
    printf("%sepoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64
           "  loss %.4f  %.0f samples/s%s",
           r->terminal ? "\r" : "", epoch, epochs, step, steps, loss, rate(r),
           r->terminal ? "   " : "\n");
    r->line_open = r->terminal;
    fflush(stdout);
}

void report_epoch(struct report *r, int64_t epoch, int64_t epochs, double train_loss,
                  double test_loss, double accuracy)
{
    if (r->rank)
        return;
    end_line(r);
    if (r->json)
        printf("{\"epoch\":%" PRId64 ",\"train_loss\":%.9g,\"test_loss\":%.9g,"
               "\"test_accuracy\":%.4f}\n",
               epoch, train_loss, test_loss, accuracy);
    else
        printf("epoch %" PRId64 "/%" PRId64
               "  train loss %.4f  test loss %.4f  test accuracy %.1f %%\n",
               epoch, epochs, train_loss, test_loss, accuracy);
    fflush(stdout);
}

void report_end(struct report *r, double accuracy, const float *params, size_t count)
{
    unsigned long sum = crc32(0, (const unsigned char *)params, (unsigned)(count * sizeof *params));
    if (r->rank)
        return;
    end_line(r);
    if (r->json)
        printf("{\"test_accuracy\":%.4f,\"parameters_crc32\":\"%08lx\",\"tasks\":%d}\n", accuracy,
               sum, r->tasks);
    else
        printf("%d task(s), %.0f samples/s, parameters %08lx\ntest accuracy %.1f %%\n", r->tasks,
               rate(r), sum, accuracy);
    fflush(stdout);
}
