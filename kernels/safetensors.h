// Parameters as a safetensors file: 8 bytes little-endian length of a JSON header, the header, the
// tensors' bytes (float32, little-endian).
#pragma once

#include "common/err.h"
#include "kernels/network.h"

// Atomically: written beside it, synced, renamed.
int safetensors_save(const char *path, struct network *net, struct err *err);
