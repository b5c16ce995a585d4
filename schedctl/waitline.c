#include "schedctl/waitline.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WAITLINE_AFTER_MS = 1000 };

void waitline_show(struct waitline *w, struct client *c, const char *job)
{
    struct winsize size;
    struct err err;
    json_t *why = NULL;
    int64_t now = clock_boot_ms();
    if (w->since_ms == 0)
        w->since_ms = now;
    if (now - w->since_ms < WAITLINE_AFTER_MS || !isatty(STDERR_FILENO) ||
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        return;
    AUTO_FREE char *path = job_path(job, "/why");
    if (client_get(c, path, &why, &err))
        return;
    AUTO(text) struct text t = {0};
    text_addf(&t, "job %s ", job);
    text_add_clean(&t, reason_of(why));
    fprintf(stderr, "\r\033[K%.*s", size.ws_col - 1, text_str(&t));
    w->shown = true;
    json_decref(why);
}

void waitline_clear(struct waitline *w)
{
    if (w->shown)
        fputs("\r\033[K", stderr);
    w->shown = false;
}
