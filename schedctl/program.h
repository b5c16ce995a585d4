// Whether a job's program and directory exist where it is submitted. What is found here may still
// be missing on a node: this catches typing errors, no more.
#pragma once

#include "common/err.h"

#include <jansson.h>

// `request` is a JobRequest with argv and cwd. E_INVALID.
int program_check(const json_t *request, struct err *err);
