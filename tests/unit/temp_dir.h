// A directory for a test, and its removal with all that is in it.
//
//     static char dir[] = "/tmp/muster-idx-XXXXXX";
//     if (temp_dir_make(dir)) ...            // any number of times
//     temp_dir_remove(dir);
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Fills in the six characters behind the last '-'. 0, or -1.
static inline int temp_dir_make(char *path)
{
    memcpy(strrchr(path, '-') + 1, "XXXXXX", 6);
    return mkdtemp(path) ? 0 : -1;
}

static inline int temp_dir_remove_one(const char *path, const struct stat *st, int type,
                                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int temp_dir_remove(const char *path)
{
    return nftw(path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// Makes a directory and what is missing above it. 0, or -1.
static inline int temp_dir_below(const char *path)
{
    char part[512];
    size_t len = strlen(path);
    for (size_t i = 1; i <= len && len < sizeof part; i++)
        if (path[i] == '/' || i == len) {
            memcpy(part, path, i);
            part[i] = 0;
            mkdir(part, 0700);
        }
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : -1;
}
