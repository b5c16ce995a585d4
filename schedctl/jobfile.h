// Job files: a YAML mapping with the keys of REQUEST_TABLE (schedctl/request.h).
//
//     name: hello
//     tasks: 4
//     memory: 2GiB
//     script: |
//       hostname
//
// Every complaint begins with FILE:LINE:COLUMN. Unknown and doubled keys, wrong types and missing
// units are refused; so are aliases, tags and a second document. Memory stays proportional to the
// file: nothing is expanded.
#pragma once

#include "common/err.h"

#include <jansson.h>
#include <stddef.h>

enum { JOBFILE_MAX = 1024 * 1024 };

// Adds the file's keys to the JobRequest object; on failure some may have been added. `path` "-" is
// standard input. E_INVALID, E_TOO_LARGE.
int jobfile_load(const char *path, json_t *request, struct err *err);
// The same from memory; `path` is used in messages only.
int jobfile_parse(const char *path, const char *bytes, size_t len, json_t *request,
                  struct err *err);
