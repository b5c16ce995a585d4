#include "schedctl/daemon.h"

#include "common/alloc.h"
#include "schedctl/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 5000, STOP_PAUSE_MS = 20, WORDS_LINES = 6, WORDS_BYTES = 65536 };

char *daemon_beside(const char *program)
{
    char me[4096];
    ssize_t n = readlink("/proc/self/exe", me, sizeof me - 1);
    if (n <= 0)
        return NULL;
    me[n] = 0;
    char *slash = strrchr(me, '/');
    if (!slash)
        return NULL;
    return xasprintf("%.*s/%s", (int)(slash - me), me, program);
}

int daemon_find(const char *program, char **ret, struct err *err)
{
    AUTO_FREE char *here = daemon_beside(program);
    if (here && access(here, X_OK) == 0) {
        *ret = TAKE(here);
        return 0;
    }
    for (const char *path = getenv("PATH"); path && *path;) {
        size_t len = strcspn(path, ":");
        AUTO_FREE char *full = xasprintf("%.*s/%s", (int)len, path, program);
        if (len && access(full, X_OK) == 0) {
            *ret = TAKE(full);
            return 0;
        }
        path += len;
        path += *path == ':';
    }
    return fail(err, E_INVALID,
                "program %s is neither beside schedctl nor in PATH. Build or install it.", program);
}

_Noreturn static void become(char *const *argv, int log)
{
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/"))
        _exit(127);
    close_range(3, ~0U, 0);
    execv(argv[0], argv);
    dprintf(2, "cannot start \"%s\": %s\n", argv[0], strerror(errno));
    _exit(127);
}

int daemon_start(char *const *argv, const char *log, struct daemon *ret, struct err *err)
{
    struct stat st;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st)) {
        if (fd >= 0)
            close(fd);
        return fail(err, E_IO, "cannot open \"%.200s\": %s", log, strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, fd);
    close(fd);
    if (pid < 0)
        return fail(err, E_SYSTEM, "cannot start \"%.200s\": %s", argv[0], strerror(errno));
    *ret = (struct daemon){.pid = pid, .log = xstrdup(log), .log_at = st.st_size};
    return 0;
}

bool daemon_ended(struct daemon *d)
{
    if (d->pid && waitpid(d->pid, NULL, WNOHANG) == d->pid)
        d->pid = 0;
    return d->pid == 0;
}

void daemon_stop(struct daemon *d)
{
    if (daemon_ended(d))
        return;
    kill(d->pid, SIGTERM); // our own child, not reaped yet: the number is its own
    for (int waited = 0; waited < STOP_MS; waited += STOP_PAUSE_MS) {
        if (daemon_ended(d))
            return;
        pause_ms(STOP_PAUSE_MS);
    }
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
    d->pid = 0;
}

static bool is_complaint(const char *line)
{
    return strstr(line, " error ") || strstr(line, " warning ") || strstr(line, "check failed") ||
           strncmp(line, "muster-", 7) == 0 || strncmp(line, "cannot", 6) == 0;
}

// Appends the last WORDS_LINES lines of text, all or only complaints. Returns their number.
static int add_lines(char *text, bool all, struct text *ret)
{
    char *lines[WORDS_LINES];
    int count = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (*line && (all || is_complaint(line)))
            lines[count++ % WORDS_LINES] = line;
    }
    for (int i = count > WORDS_LINES ? count - WORDS_LINES : 0; i < count; i++)
        text_addf(ret, "\n  %s", lines[i % WORDS_LINES]);
    return count;
}

void daemon_last_words(const struct daemon *d, struct text *ret)
{
    AUTO_FREE char *text = xcalloc(WORDS_BYTES + 1, 1), *copy = NULL;
    int fd = d->log ? open(d->log, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    off_t end = lseek(fd, 0, SEEK_END), from = d->log_at;
    if (end - from > WORDS_BYTES)
        from = end - WORDS_BYTES;
    ssize_t n = pread(fd, text, WORDS_BYTES, from);
    close(fd);
    if (n <= 0)
        return;
    text[n] = 0;
    copy = xstrdup(text);
    text_addf(ret, "\n%s:", d->log);
    if (add_lines(text, false, ret) == 0)
        add_lines(copy, true, ret);
}

void daemon_free(struct daemon *d)
{
    free(d->log);
    *d = (struct daemon){0};
}
