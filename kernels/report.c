#include "kernels/report.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { SHOW_MS = 1000, SHOW_TERMINAL_MS = 100, BAR = 24 };

// -1: there is none. What is closed or no pipe was not passed on; a file may get the number later.
static int channel(void)
{
    const char *word = getenv("MUSTER_REPORT_FD");
    struct stat st;
    int fd = word ? (int)strtol(word, NULL, 10) : -1;
    return fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? fd : -1;
}

void report_init(struct report *r, int rank, int tasks, bool json)
{
    *r = (struct report){
        .rank = rank,
        .tasks = tasks,
        .fd = channel(),
        .json = json,
        .terminal = isatty(STDOUT_FILENO),
    };
}

static double rate(const struct report *r)
{
    return r->ns > 0 ? (double)r->samples * 1e9 / (double)r->ns : 0;
}

void report_end_line(struct report *r)
{
    if (r->line_open)
        putchar('\n');
    r->line_open = false;
    fflush(stdout);
}

static void to_channel(struct report *r, const char *line)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    if (r->fd < 0)
        return;
    sigaction(SIGPIPE, &ignore, &before);
    if (dprintf(r->fd, "%s\n", line) < 0)
        r->fd = -1; // nobody listens
    sigaction(SIGPIPE, &before, NULL);
}

static void tell_step(struct report *r, const struct report_step *s)
{
    AUTO_FREE char *line = xasprintf(
        "{\"phase\":\"train\",\"epoch\":%" PRId64 ",\"epochs\":%" PRId64 ",\"step\":%" PRId64
        ",\"steps\":%" PRId64 ",\"progress\":%.4f,\"loss\":%.6g,\"samples_per_s\":%.1f}",
        s->epoch, s->epochs, s->step, s->steps, (double)s->step / (double)s->steps, s->loss,
        rate(r));
    to_channel(r, line);
}

static void draw_bar(double part)
{
    int full = (int)(part * BAR + 0.5);
    putchar('[');
    for (int i = 0; i < BAR; i++)
        putchar(i < full ? '#' : '.');
    printf("] %3.0f %%  ", 100 * part);
}

void report_step(struct report *r, const struct report_step *s)
{
    int64_t now = clock_boot_ms();
    r->samples += (int64_t)s->samples;
    r->ns += s->ns;
    r->exposed_ns += s->exposed_ns;
    r->loss_sum += s->loss;
    r->loss_steps++;
    if (r->json && r->rank == 0)
        printf("{\"step\":%" PRId64 ",\"epoch\":%" PRId64
               ",\"ms\":%.3f,\"exchange_ms\":%.3f,\"loss\":%.9g}\n",
               s->step, s->epoch, (double)s->ns / 1e6, (double)s->exposed_ns / 1e6, s->loss);
    if (now - r->shown_ms < (r->terminal ? SHOW_TERMINAL_MS : SHOW_MS) && s->step < s->steps)
        return;
    r->shown_ms = now;
    tell_step(r, s);
    if (r->rank || r->json)
        return;
    if (r->terminal) {
        putchar('\r');
        draw_bar((double)s->step / (double)s->steps);
    }
    printf("epoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64
           "  loss %.4f  %.0f samples/s%s",
           s->epoch, s->epochs, s->step, s->steps, s->loss, rate(r), r->terminal ? "   " : "\n");
    r->line_open = r->terminal;
    fflush(stdout);
}

void report_epoch(struct report *r, int64_t epoch, int64_t epochs, const char *part, double loss,
                  double accuracy)
{
    double train_loss = r->loss_steps ? r->loss_sum / (double)r->loss_steps : 0;
    r->loss_sum = 0;
    r->loss_steps = 0;
    if (r->rank)
        return;
    AUTO_FREE char *line = xasprintf("{\"phase\":\"%s\",\"epoch\":%" PRId64
                                     ",\"train_loss\":%.9g,\"%s_loss\":%.9g,\"%s_accuracy\":%.4f}",
                                     part, epoch, train_loss, part, loss, part, accuracy);
    to_channel(r, line);
    report_end_line(r);
    if (r->json)
        puts(line);
    else
        printf("epoch %" PRId64 "/%" PRId64
               "  train loss %.4f  %s loss %.4f  %s accuracy %.1f %%\n",
               epoch, epochs, train_loss, part, loss, part, accuracy);
    fflush(stdout);
}

void report_end(struct report *r, const struct metrics *m, metrics_name *name, const void *arg,
                const float *params, size_t count)
{
    uLong sum = crc32_z(0, (const Bytef *)params, count * sizeof *params);
    AUTO(text) struct text table = {0};
    double accuracy = metrics_accuracy(m);
    if (r->rank)
        return;
    AUTO_FREE char *line = xasprintf("{\"phase\":\"end\",\"progress\":1,\"test_loss\":%.9g,"
                                     "\"test_accuracy\":%.4f}",
                                     metrics_loss(m), accuracy);
    to_channel(r, line);
    report_end_line(r);
    if (r->json) {
        metrics_json(m, name, arg, &table);
        printf("%s{\"test_accuracy\":%.4f,\"parameters_crc32\":\"%08lx\",\"tasks\":%d,"
               "\"samples_per_s\":%.1f,\"train_s\":%.3f,\"exchange_exposed_s\":%.3f}\n",
               text_str(&table), accuracy, sum, r->tasks, rate(r), (double)r->ns / 1e9,
               (double)r->exposed_ns / 1e9);
    } else {
        metrics_table(m, name, arg, &table);
        printf("%s%d task%s, %.0f samples/s, %.1f s of exchange not hidden, parameters %08lx\n"
               "test accuracy %.1f %%\n",
               text_str(&table), r->tasks, r->tasks == 1 ? "" : "s", rate(r),
               (double)r->exposed_ns / 1e9, sum, accuracy);
    }
    fflush(stdout);
}
