// Named tensors in a safetensors file: 8 bytes little-endian length of a JSON header, the header,
// the tensors' bytes, little-endian. float32 (F32) and bytes (U8); metadata are strings.
//
//     struct safetensors s = {0};
//     safetensors_meta(&s, "step", "%d", 17);
//     safetensors_add(&s, "layers.0.weight", SAFETENSOR_F32, 2, shape, data);   // borrowed
//     safetensors_write(path, &s, &err);
//
// Bounds of what is read: a header of 16 MiB, 4096 tensors, 8 GiB. A checksum of the tensors
// ("crc32" among the metadata) is verified where it is there; files that others may edit have none.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_HEADER_MAX = 16 << 20, SAFETENSORS_MAX = 4096, SAFETENSOR_DIMS_MAX = 4 };

enum safetensor_type { SAFETENSOR_F32, SAFETENSOR_U8 };

struct safetensor {
    char *name;
    enum safetensor_type type;
    size_t dims, shape[SAFETENSOR_DIMS_MAX];
    size_t bytes;
    const void *data; // of what was read: not aligned
};

struct safetensors {
    struct safetensor *list;
    size_t count, cap;
    struct safetensors_meta {
        char *key, *value;
    } * meta;
    size_t meta_count, meta_cap;
    bool checked; // write the checksum
    void *owned;  // memory of the tensors that were read
};

void safetensors_free(struct safetensors *s);
void safetensors_meta(struct safetensors *s, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void safetensors_add(struct safetensors *s, const char *name, enum safetensor_type type,
                     size_t dims, const size_t *shape, const void *data);
// Atomically and durably: written beside it, synced, renamed, the directory synced. E_IO,
// E_NO_SPACE.
int safetensors_write(const char *path, const struct safetensors *s, struct err *err);
// Could a file be made there? Before the work that it is to hold. E_IO.
int safetensors_try(const char *path, struct err *err);
// E_NOT_FOUND, E_IO, E_CORRUPT (and what is wrong), E_TOO_LARGE.
int safetensors_read(const char *path, struct safetensors *ret, struct err *err);
// NULL: there is none.
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_value(const struct safetensors *s, const char *key);
