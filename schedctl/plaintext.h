// Whether a file is text that the YAML library may see.
#pragma once

#include <stddef.h>

// NULL if it is UTF-8 without control characters (tab and line ends are none) and without YAML
// directives; else what is wrong, with its line and column (characters, from 1).
const char *plaintext_wrong(const char *bytes, size_t len, int *ret_line, int *ret_column);
