#include "agent/host/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 100 }; // each takes a descriptor while it is open

static DIR *open_below(int above, const char *name)
{
    int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void remove_below(int above, const char *name, int depth)
{
    struct dirent *d;
    if (unlinkat(above, name, 0) == 0 || depth > DEPTH_MAX)
        return;
    DIR *dir = open_below(above, name);
    while (dir && (d = readdir(dir)))
        if (!is_dots(d->d_name))
            remove_below(dirfd(dir), d->d_name, depth + 1);
    if (dir)
        closedir(dir);
    unlinkat(above, name, AT_REMOVEDIR);
}

void tree_remove(int above, const char *name)
{
    remove_below(above, name, 0);
}

static void look_below(int above, const char *name, int depth, struct tree_look *ret)
{
    struct dirent *d;
    struct stat st;
    if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) || depth > DEPTH_MAX)
        return;
    ret->bytes += (int64_t)st.st_blocks * 512;
    if (st.st_mtime > ret->newest_s)
        ret->newest_s = st.st_mtime;
    DIR *dir = S_ISDIR(st.st_mode) ? open_below(above, name) : NULL;
    while (dir && (d = readdir(dir)))
        if (!is_dots(d->d_name))
            look_below(dirfd(dir), d->d_name, depth + 1, ret);
    if (dir)
        closedir(dir);
}

struct tree_look tree_look(int above, const char *name)
{
    struct tree_look look = {0};
    look_below(above, name, 0, &look);
    return look;
}
