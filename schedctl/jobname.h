// Jobs as people name them: "17", or "17_3" for element 3 of array 17.
#pragma once

#include "common/err.h"

// E_INVALID if it is no such name.
int job_name_check(const char *name, struct err *err);
// "/v1/jobs/NAME" and `rest`; the caller frees. Checked before.
char *job_path(const char *name, const char *rest);
