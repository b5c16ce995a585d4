// Programs that `cluster up` starts and leaves running.
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>
#include <sys/types.h>

struct daemon {
    pid_t pid;    // our child until schedctl ends; 0: not started here
    char *log;    // path
    off_t log_at; // its size before the start
};

// DIRECTORY-OF-SCHEDCTL/name, there or not; NULL if the directory is unknown. Caller frees.
char *daemon_beside(const char *name);
// The program beside schedctl, else in PATH. Caller frees *ret. E_INVALID.
int daemon_find(const char *program, char **ret, struct err *err);
// argv[0] is the path. In a session of its own, stdin from /dev/null, the rest appended to `log`.
int daemon_start(char *const *argv, const char *log, struct daemon *ret, struct err *err);
// Whether it has ended already (reaps it; pid becomes 0).
bool daemon_ended(struct daemon *d);
// SIGTERM, and SIGKILL after 5 s.
void daemon_stop(struct daemon *d);
// The last lines that it logged since its start: warnings and errors if there are any.
void daemon_last_words(const struct daemon *d, struct text *ret);
void daemon_free(struct daemon *d);
