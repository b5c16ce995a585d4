#include "schedctl/private.h"

#include "common/alloc.h"
#include "schedctl/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 60000, LOCK_PAUSE_MS = 50 };

static char *config_path(const char *dir)
{
    return xasprintf("%s/cluster.json", dir);
}

int private_load(const char *dir, struct private_cluster *ret, struct err *err)
{
    AUTO_FREE char *path = config_path(dir);
    struct private_cluster p;
    json_int_t nodes, cpus, memory, gpus;
    json_error_t e;
    if (access(path, F_OK))
        return fail(err, E_NOT_FOUND, "\"%.200s\" holds no private cluster", dir);
    json_t *root = json_load_file(path, 0, &e);
    if (!root)
        return fail(err, E_INVALID, "%.200s:%d:%d: %s", path, e.line, e.column, e.text);
    const char *labels = "", *model = "";
    int rc = json_unpack_ex(root, &e, 0, "{s:I,s:I,s:I,s:I,s?s,s?s}", "nodes", &nodes, "cpus",
                            &cpus, "memory_mib", &memory, "gpus", &gpus, "labels", &labels,
                            "gpu_model", &model);
    memset(&p, 0, sizeof p);
    if (rc == 0) {
        snprintf(p.labels, sizeof p.labels, "%s", labels);
        snprintf(p.gpu_model, sizeof p.gpu_model, "%s", model);
    }
    json_decref(root);
    if (rc)
        return fail(err, E_INVALID, "%.200s: %s", path, e.text);
    p.nodes = nodes;
    p.cpus = cpus;
    p.memory_mib = memory;
    p.gpus = gpus;
    if (nodes < 1 || nodes > PRIVATE_NODES_MAX || cpus < 1 || memory < 1 || gpus < 0)
        return fail(err, E_INVALID, "%.200s: a number is out of range", path);
    *ret = p;
    return 0;
}

int private_save(const char *dir, const struct private_cluster *p, struct err *err)
{
    AUTO_FREE char *path = config_path(dir), *draft = xasprintf("%s.new", path);
    json_t *root = json_pack("{s:I,s:I,s:I,s:I,s:s,s:s}", "nodes", (json_int_t)p->nodes, "cpus",
                             (json_int_t)p->cpus, "memory_mib", (json_int_t)p->memory_mib, "gpus",
                             (json_int_t)p->gpus, "labels", p->labels, "gpu_model", p->gpu_model);
    int rc = json_dump_file(root, draft, JSON_INDENT(2));
    json_decref(root);
    if (rc || rename(draft, path))
        return fail(err, E_IO, "cannot write \"%.200s\": %s", path, strerror(errno));
    return 0;
}

int private_lock(const char *dir, int *ret_fd, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, E_INVALID, "cannot open \"%.200s\": %s", dir, strerror(errno));
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOCK_PAUSE_MS) {
        if (waited >= LOCK_WAIT_MS) {
            close(fd);
            return fail(err, E_TIMEOUT,
                        "another `schedctl cluster up` or `down` works in \"%.200s\"", dir);
        }
        pause_ms(LOCK_PAUSE_MS);
    }
    *ret_fd = fd;
    return 0;
}

char *private_lock_path(const char *dir, int64_t node)
{
    return node ? xasprintf("%s/nodes/n%" PRId64 "/lock", dir, node)
                : xasprintf("%s/scheduler/lock", dir);
}

void private_paths_find(const char *dir, const char *pattern, struct private_paths *ret)
{
    glob_t g = {0};
    AUTO_FREE char *here = NULL;
    // the directory's own name may hold characters that mean something to glob()
    struct private_paths p = {0};
    size_t cap = 0;
    char *quoted = xcalloc(2 * strlen(dir) + 1, 1), *q = quoted;
    for (const char *c = dir; *c; c++) {
        if (strchr("*?[]\\", *c))
            *q++ = '\\';
        *q++ = *c;
    }
    here = xasprintf("%s/%s", quoted, pattern);
    free(quoted);
    if (glob(here, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++) {
            VEC_RESERVE(p.items, p.count, cap);
            p.items[p.count++] = xstrdup(g.gl_pathv[i]);
        }
    globfree(&g);
    *ret = p;
}

void private_paths_free(struct private_paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i]);
    free(p->items);
    *p = (struct private_paths){0};
}
