#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_OF(path, root, fmt)        \
    char path[SYSFS_PATH_MAX];          \
    do {                                \
        va_list ap;                     \
        va_start(ap, fmt);              \
        path_make(path, root, fmt, ap); \
        va_end(ap);                     \
    } while (0)

static void __attribute__((format(printf, 3, 0)))
path_make(char path[SYSFS_PATH_MAX], const char *root, const char *fmt, va_list ap)
{
    int n = snprintf(path, SYSFS_PATH_MAX, "%s", root);
    if (n < SYSFS_PATH_MAX)
        vsnprintf(path + n, (size_t)(SYSFS_PATH_MAX - n), fmt, ap);
}

static bool read_line(const char *path, char *ret, size_t size)
{
    FILE *f = fopen(path, "re");
    *ret = 0;
    if (!f)
        return false;
    if (!fgets(ret, (int)size, f))
        *ret = 0;
    fclose(f);
    size_t n = strcspn(ret, "\n");
    while (n && (ret[n - 1] == ' ' || ret[n - 1] == '\t'))
        n--;
    ret[n] = 0;
    return n > 0;
}

bool sysfs_text(const char *root, char *ret, size_t size, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    return read_line(path, ret, size);
}

int64_t sysfs_number(const char *root, int64_t unknown, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    char line[64], *end;
    if (!read_line(path, line, sizeof line))
        return unknown;
    long long v = strtoll(line, &end, 0);
    return end == line ? unknown : (int64_t)v;
}

bool sysfs_link_name(const char *root, char *ret, size_t size, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    char target[SYSFS_PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    *ret = 0;
    if (n <= 0)
        return false;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(ret, size, "%s", slash ? slash + 1 : target);
    return true;
}

bool sysfs_exists(const char *root, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    return access(path, F_OK) == 0;
}

bool sysfs_field(const char *root, const char *key, char *ret, size_t size, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    FILE *f = fopen(path, "re");
    char line[512];
    size_t n = strlen(key);
    bool found = false;
    *ret = 0;
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) != 0 || !strchr(": \t", line[n]))
            continue;
        char *value = line + n + strspn(line + n, ": \t");
        value[strcspn(value, "\n")] = 0;
        snprintf(ret, size, "%s", value);
        found = *ret != 0;
    }
    if (f)
        fclose(f);
    return found;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

size_t sysfs_list(const char *root, char ***ret, const char *fmt, ...)
{
    PATH_OF(path, root, fmt);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, visible, versionsort);
    char **names = xcalloc((size_t)(n > 0 ? n : 0) + 1, sizeof *names);
    for (int i = 0; i < n; i++) {
        names[i] = xstrdup(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    *ret = names;
    return n > 0 ? (size_t)n : 0;
}

void sysfs_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
