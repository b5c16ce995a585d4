// What a verb is, and the one table of them: parsing, help, suggestions and the manual page are all
// made from it.
//
// Each verb is one constant in a file of its own, named in verbs.c:
//
//     const struct verb verb_nodes = {
//         .name = "nodes", .usage = "[NODES]", .operands_max = 1, .summary = "list nodes",
//         .options = {{OPTIONS, COUNT(OPTIONS)}}, .run = run_nodes,
//     };
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct opt {
    char letter;          // 0: none
    const char *name;     // without dashes; NULL: this row is no option (skipped everywhere)
    const char *argument; // NULL: a switch
    const char *help;
};

struct opt_list {
    const struct opt *items;
    size_t count;
};

struct example {
    const char *command; // after "schedctl "
    const char *what;
};

enum { VERB_OPT_LISTS = 2, VERB_EXAMPLES = 4 };

struct ctl;
struct verb {
    const char *name;               // "job show"
    const char *usage;              // after the name; lines are alternatives
    int operands_min, operands_max; // max -1: any number
    bool program;                   // takes "-- PROGRAM ARGUMENTS"
    bool csv;                       // -o csv too
    const char *summary;            // half a line, lower case
    const char *text;               // more, as sentences; may be NULL
    struct opt_list options[VERB_OPT_LISTS];
    struct example examples[VERB_EXAMPLES]; // ends early at a NULL command
    int (*run)(struct ctl *ctl);            // returns the exit code; prints its own error
};

// Ends with NULL; in the order in which help shows them.
extern const struct verb *const verbs[];
// Options that every verb takes.
extern const struct opt_list global_options;

// "job show" if both words make a verb, else the one-word verb; *ret_words is how many were used.
// E_INVALID with a suggestion. argv ends with NULL and has at least one word.
int verb_find(char *const *argv, const struct verb **ret, int *ret_words, struct err *err);
// "job" begins verbs of two words.
bool verb_is_group(const char *word);
// The option, or NULL.
const struct opt *verb_option(const struct verb *v, const char *name);
const struct opt *verb_option_letter(const struct verb *v, char letter);
