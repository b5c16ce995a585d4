// What a shepherd that was killed leaves behind. The zygote is a subreaper above its shepherds, as
// each of them is above its tasks: the descendants of a dead one become the zygote's children,
// those too that fled from their session, their parent and their environment. Children that it did
// not fork are such, and are killed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct strays {
    pid_t *shepherds;
    size_t count, cap;
};

// Needs SIGCHLD at its default. 0, or -1 when the kernel does not take the process as a subreaper.
int strays_init(struct strays *s);
void strays_fini(struct strays *s);
// The zygote forked a shepherd.
void strays_add(struct strays *s, pid_t shepherd);
// After SIGCHLD: reaps who ended, kills who was left by them.
void strays_reap(struct strays *s);
