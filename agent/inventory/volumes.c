// Mounted volumes: disks, memory and network file systems, not the kernel's own.
//
// A file system is shown once, at its first mount. The size of a network file system is asked in a
// child with a bound of two seconds: a server that is away must not hold the agent.
#include "agent/inventory/bounded.h"
#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { NETWORK_WAIT_MS = 2000 };

struct room {
    int64_t size_mib, free_mib;
};

static bool is_network(const char *type)
{
    static const char *const types[] = {"nfs",       "nfs4",  "lustre",         "ceph",
                                        "beegfs",    "cifs",  "smb3",           "gpfs",
                                        "glusterfs", "9p",    "fuse.glusterfs", "fuse.sshfs",
                                        "fuse.ceph", "afs",   "fuse.juicefs",   "wekafs",
                                        "virtiofs",  "pvfs2", "fuse.gcsfuse",   "fuse.s3fs"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

static void ask_room(void *path, void *answer)
{
    struct statvfs s;
    struct room *r = answer;
    *r = (struct room){-1, -1};
    if (statvfs(path, &s) == 0)
        *r = (struct room){(int64_t)((uint64_t)s.f_blocks * s.f_frsize >> 20),
                           (int64_t)((uint64_t)s.f_bavail * s.f_frsize >> 20)};
}

// "ssd" or "disk" by the block device's own word; "" if there is none.
static void read_kind(const char *root, const char *device, char ret[16])
{
    char name[64], parent[64];
    const char *slash = strrchr(device, '/');
    snprintf(name, sizeof name, "%.63s", slash ? slash + 1 : device);
    int64_t rotational = sysfs_number(root, -1, "/sys/block/%s/queue/rotational", name);
    if (rotational < 0) { // a partition lies in its disk's directory
        char **disks;
        size_t n = sysfs_list(root, &disks, "/sys/block");
        for (size_t i = 0; i < n && rotational < 0; i++) {
            snprintf(parent, sizeof parent, "%.63s", disks[i]);
            if (sysfs_exists(root, "/sys/block/%s/%s", parent, name))
                rotational = sysfs_number(root, -1, "/sys/block/%s/queue/rotational", parent);
        }
        sysfs_list_free(disks, n);
    }
    snprintf(ret, 16, "%s", rotational < 0 ? "" : rotational ? "disk" : "ssd");
}

static bool wanted(const struct inventory *v, const struct mntent *m)
{
    bool memory = strcmp(m->mnt_type, "tmpfs") == 0;
    if (m->mnt_fsname[0] != '/' && !memory && !is_network(m->mnt_type) &&
        strcmp(m->mnt_type, "zfs") != 0 && strcmp(m->mnt_type, "overlay") != 0)
        return false;
    if (strcmp(m->mnt_type, "squashfs") == 0 ||
        (memory && strcmp(m->mnt_dir, "/dev/shm") != 0 && strcmp(m->mnt_dir, "/tmp") != 0))
        return false;
    for (int32_t i = 0; i < v->volumes_count; i++)
        if (strcmp(v->volumes[i].mount, m->mnt_dir) == 0 ||
            (m->mnt_fsname[0] == '/' && strcmp(v->volumes[i].device, m->mnt_fsname) == 0))
            return false;
    return true;
}

static void add_volume(const char *root, struct inventory *v, const struct mntent *m)
{
    struct inventory_volume *x = INVENTORY_ADD(v, volumes);
    struct room room = {-1, -1};
    bool network = is_network(m->mnt_type);
    snprintf(x->mount, sizeof x->mount, "%s", m->mnt_dir);
    snprintf(x->device, sizeof x->device, "%s", m->mnt_fsname);
    snprintf(x->filesystem, sizeof x->filesystem, "%s", m->mnt_type);
    x->read_only = hasmntopt(m, "ro") != NULL;
    if (network)
        snprintf(x->kind, sizeof x->kind, "network");
    else if (strcmp(m->mnt_type, "tmpfs") == 0)
        snprintf(x->kind, sizeof x->kind, "memory");
    else
        read_kind(root, m->mnt_fsname, x->kind);
    if (!*root && network)
        bounded_ask(ask_room, x->mount, &room, sizeof room, NETWORK_WAIT_MS);
    else if (!*root)
        ask_room(x->mount, &room);
    x->size_mib = room.size_mib;
    x->free_mib = room.free_mib;
    if (network && !*root && room.size_mib < 0)
        text_addf(&v->notes, "\"%s\" (%s) gives no answer\n", x->mount, x->filesystem);
}

void volumes_read(const char *root, struct inventory *v)
{
    char path[SYSFS_PATH_MAX], line[4096];
    struct mntent m;
    snprintf(path, sizeof path, "%s/proc/self/mounts", root);
    FILE *f = setmntent(path, "re");
    if (!f) {
        snprintf(path, sizeof path, "%s/proc/mounts", root);
        f = setmntent(path, "re");
    }
    while (f && getmntent_r(f, &m, line, sizeof line))
        if (v->volumes_count < INVENTORY_LIST_MAX && wanted(v, &m))
            add_volume(root, v, &m);
    if (f)
        endmntent(f);
}
