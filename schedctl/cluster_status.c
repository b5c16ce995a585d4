#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/lockfile.h"
#include "schedctl/present.h"
#include "schedctl/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// {"name","pid"|null}
static json_t *part(const char *lock, const char *name)
{
    pid_t pid = 0;
    bool held = lockfile_held(lock, &pid);
    return json_pack("{s:s,s:o}", "name", name, "pid",
                     held ? json_integer((json_int_t)pid) : json_null());
}

static json_t *parts_of(const char *dir, const struct private_cluster *p)
{
    json_t *parts = json_array();
    for (int64_t i = 0; i <= p->nodes; i++) {
        AUTO_FREE char *lock = private_lock_path(dir, i);
        AUTO_FREE char *name = i ? xasprintf("agent n%" PRId64, i) : xstrdup("scheduler");
        json_array_append_new(parts, part(lock, name));
    }
    return parts;
}

static void print_counts(const char *title, const json_t *counts)
{
    const char *key;
    json_t *n;
    bool any = false;
    printf("%-10s", title);
    json_object_foreach((json_t *)counts, key, n)
    {
        if (!json_integer_value(n))
            continue;
        printf("%s %" PRId64 " %s", any ? "," : "", (int64_t)json_integer_value(n), key);
        any = true;
    }
    puts(any ? "" : " none");
}

static void print_share(const char *title, const json_t *share)
{
    AUTO(text) struct text used = {0};
    add_amount(&used, share, "used");
    if (get_int(share, "total"))
        printf("%-10s %s of %" PRId64 " used\n", title, text_str(&used), get_int(share, "total"));
}

static void print_cluster(const json_t *c)
{
    AUTO(text) struct text used = {0}, total = {0};
    printf("%-10s %s, version %s, term %" PRId64 "\n", "cluster", get_str(c, "cluster_id"),
           get_str(c, "version"), get_int(c, "term"));
    printf("%-10s %s\n", "state", get_str(c, "state"));
    if (strcmp(get_str(c, "state"), "recovery_hold") == 0)
        puts("           The database is older than the cluster. Check it, then `schedctl recover "
             "--accept`.");
    print_counts("nodes", json_object_get(c, "nodes"));
    print_counts("jobs", json_object_get(c, "jobs"));
    print_share("cores", json_object_get(c, "cores"));
    print_share("GPUs", json_object_get(c, "gpus"));
    const json_t *memory = json_object_get(c, "memory_mib");
    text_add_size_mib(&used, get_int(memory, "used"));
    text_add_size_mib(&total, get_int(memory, "total"));
    printf("%-10s %s of %s used\n", "memory", text_str(&used), text_str(&total));
}

static void print_parts(const json_t *parts)
{
    size_t i, running = 0;
    json_t *p;
    json_array_foreach(parts, i, p) running += !is_null(p, "pid");
    printf("%-10s %zu of %zu run", "processes", running, json_array_size(parts));
    json_array_foreach(parts, i, p) if (is_null(p, "pid")) printf(
        "%s%s", running < json_array_size(parts) ? "; not running: " : ", ", get_str(p, "name")),
        running = json_array_size(parts);
    putchar('\n');
}

static int run_cluster_status(struct ctl *ctl)
{
    struct err err;
    struct private_cluster p;
    json_t *cluster = NULL, *parts = NULL;
    if (private_load(ctl->dir, &p, &err) == 0)
        parts = parts_of(ctl->dir, &p);
    if (ctl_connect(ctl, &err)) {
        json_decref(parts);
        return report(&err);
    }
    int rc = client_get(ctl->client, "/v1/cluster", &cluster, &err);
    if (ctl->json) {
        json_t *all =
            json_pack("{s:s,s:O?,s:O?}", "dir", ctl->dir, "processes", parts, "cluster", cluster);
        ctl_print_json(all);
        json_decref(all);
    } else {
        if (cluster)
            print_cluster(cluster);
        if (parts)
            print_parts(parts);
    }
    json_decref(parts);
    json_decref(cluster);
    return rc ? (int)report(&err) : CTL_OK;
}

const struct verb verb_cluster_status = {
    .name = "cluster status",
    .usage = "[--dir DIR]",
    .summary = "what runs, what is used, whether the scheduler answers",
    .text = "For a private cluster its processes are shown too. Exit code 3 if no scheduler "
            "answers.",
    .examples = {{"cluster status", "A few lines."}},
    .run = run_cluster_status,
};
