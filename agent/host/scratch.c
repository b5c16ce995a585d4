#include "agent/host/scratch.h"

#include "agent/host/attempt_files.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch scratch_name(struct attempt_id id, const char *node, uid_t uid)
{
    struct scratch s;
    char name[ATTEMPT_NAME_MAX];
    attempt_name(id, name);
    snprintf(s.dir, sizeof s.dir, "/tmp/muster-%u/%s.%s", uid, name, node);
    snprintf(s.shm, sizeof s.shm, "/dev/shm/muster-%s.%s", name, node);
    return s;
}

// The part of dir before its last slash.
static void parent(const struct scratch *s, char ret[SCRATCH_PATH_MAX])
{
    snprintf(ret, SCRATCH_PATH_MAX, "%s", s->dir);
    *strrchr(ret, '/') = 0;
}

int scratch_make(const struct scratch *s, struct err *err)
{
    char top[SCRATCH_PATH_MAX];
    struct stat st;
    parent(s, top);
    // Another attempt that ends may remove the parent in between: once more then.
    for (int i = 0; i < 5; i++) {
        if (mkdir(top, 0700) && errno != EEXIST)
            return fail(err, E_IO, "cannot make \"%s\": %m", top);
        if (lstat(top, &st) == 0 && (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()))
            return fail(err, E_DENIED, "\"%s\" belongs to somebody else. Remove it.", top);
        if (mkdir(s->dir, 0700) == 0 || errno == EEXIST)
            break;
        if (errno != ENOENT)
            return fail(err, E_IO, "cannot make \"%s\": %m", s->dir);
    }
    if (mkdir(s->shm, 0700) && errno != EEXIST)
        return fail(err, E_IO, "cannot make \"%s\": %m", s->shm);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void scratch_remove(const struct scratch *s)
{
    char top[SCRATCH_PATH_MAX];
    parent(s, top);
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(s->shm, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(top); // the last one out
}
