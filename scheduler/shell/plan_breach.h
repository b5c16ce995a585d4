// Which breaches (scheduler/core/breach.h) a planned change would bring.
#pragma once

#include "common/text.h"
#include "scheduler/core/breach.h"

// Those that were not there before, as JSON objects; *hash is mixed with what they are.
void breaches_tell(const struct breaches *now, const struct breaches *before, uint64_t *hash,
                   struct text *ret);
// FNV-1a.
void plan_mix(uint64_t *hash, const void *bytes, size_t len);
