// Small files of /proc and /sys below a root.
//
// Paths are formats relative to the root: sysfs_text(root, buf, sizeof buf,
// "/sys/class/net/%s/mtu", name).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYSFS_PATH_MAX = 512 };

// First line without the newline; false (and "") if it cannot be read or is empty.
bool sysfs_text(const char *root, char *ret, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Decimal, or hexadecimal with 0x; `unknown` if it cannot be read.
int64_t sysfs_number(const char *root, int64_t unknown, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Last component of what the link points to; false if it is no link.
bool sysfs_link_name(const char *root, char *ret, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool sysfs_exists(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Value of the line "KEY: value" or "KEY value" of a file.
bool sysfs_field(const char *root, const char *key, char *ret, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
// Names in a directory, sorted as numbers are (eth2 before eth10), without dot files. The caller
// frees each and the array.
size_t sysfs_list(const char *root, char ***ret, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sysfs_list_free(char **names, size_t count);
