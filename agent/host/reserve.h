// A file that is now and then written anew and must need no disk space for that: PATH and
// PATH.spare have theirs reserved and change places.
//
//     reserve_open(path, bytes, &fd, &err);   // the spare, all zeros
//     ... write, fsync ...
//     reserve_swap(path, &err);               // now it is PATH; fsync the directory
//
// A crash at any point leaves PATH as it was or the new one, whole. A file system that cannot
// reserve space is written to without.
#pragma once

#include "common/err.h"

#include <sys/types.h>

// The descriptor of the spare, `bytes` long. E_NO_SPACE if the disk is full and there was none yet.
int reserve_open(const char *path, off_t bytes, int *ret_fd, struct err *err);
// The spare becomes PATH; what PATH was is the spare from now on.
int reserve_swap(const char *path, struct err *err);
// Sees to it that there is a spare for the next time.
int reserve_prepare(const char *path, off_t bytes, struct err *err);
