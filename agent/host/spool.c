#include "agent/host/spool.h"

#include "agent/host/attempt_files.h"
#include "agent/host/tree.h"

#include "common/alloc.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

struct kept {
    struct attempt_id id;
    int64_t wrote_s, bytes;
};

static int older_first(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    int by_time = (x->wrote_s > y->wrote_s) - (x->wrote_s < y->wrote_s);
    if (by_time)
        return by_time;
    return (x->id.job.v > y->id.job.v) - (x->id.job.v < y->id.job.v);
}

static bool is_held(const struct attempt_id *held, size_t count, struct job_uid job,
                    uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (held[i].job.v == job.v && held[i].number == number)
            return true;
    return false;
}

int spool_trim(const char *dir, const struct spool_limit *limit, const struct attempt_id *held,
               size_t held_count, struct spool_trimmed *ret, struct err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    struct kept *list = NULL;
    size_t count = 0, cap = 0;
    struct job_uid job;
    uint32_t number;
    *ret = (struct spool_trimmed){0};
    if (!d)
        return fail(err, E_IO, "cannot read \"%s\": %m", dir);
    int64_t now = time(NULL);
    while ((e = readdir(d))) {
        if (!attempt_name_parse(e->d_name, &job, &number))
            continue;
        struct tree_look look = tree_look(dirfd(d), e->d_name);
        ret->attempts++;
        ret->bytes += look.bytes;
        if (look.newest_s > now + limit->young_s)
            look.newest_s = 0; // set so, by whom the files belong to
        if (look.newest_s >= now - limit->young_s || is_held(held, held_count, job, number))
            continue;
        VEC_RESERVE(list, count, cap);
        list[count++] = (struct kept){{{0}, job, number}, look.newest_s, look.bytes};
    }
    if (count)
        qsort(list, count, sizeof *list, older_first);
    for (size_t i = 0; i < count && (ret->bytes > limit->bytes || ret->attempts > limit->attempts);
         i++) {
        char name[ATTEMPT_NAME_MAX];
        attempt_name(list[i].id, name);
        tree_remove(dirfd(d), name);
        ret->bytes -= list[i].bytes;
        ret->attempts--;
        ret->removed++;
    }
    closedir(d);
    free(list);
    return 0;
}

int64_t spool_limit_default(const char *dir)
{
    const int64_t most = INT64_C(10) << 30;
    struct statvfs fs;
    if (statvfs(dir, &fs))
        return most;
    int64_t tenth = (int64_t)(fs.f_blocks / 10) * (int64_t)fs.f_frsize;
    return tenth < most ? tenth : most;
}
