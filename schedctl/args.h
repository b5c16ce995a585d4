// A command line, parsed by the verb table. Strings point into argv.
//
// Options and operands may be mixed; "--" ends both, and what follows is the program of a verb that
// takes one. `--name value`, `--name=value`, `-n value`, `-nvalue` and joined switches are taken.
#pragma once

#include "schedctl/verb.h"

struct args_option {
    const struct opt *opt;
    const char *value; // NULL for a switch
};

struct args {
    const struct verb *verb;
    struct args_option *options; // in the order given
    size_t options_count, options_cap;
    char **operands;
    size_t operands_count, operands_cap;
    char **program; // NULL-terminated rest after "--", NULL if there was none
};

// argv[0] is the first word of the verb or a global option before it; ends with NULL. Without any
// verb, or with --help before it, the verb is `help`. E_INVALID.
int args_parse(char **argv, struct args *ret, struct err *err);
void args_free(struct args *a);

// The last value given, or NULL. The option must be in the verb's table.
const char *args_value(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
