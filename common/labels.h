// What is said of a node in words: "zone=a,spot" is a label with a value and one without.
//
// A key and a value are of letters, digits and ._:/-+ ; a key comes once. What an operator sets
// lies over what the node tells: "!spot" takes a label off. The names of properties (gpu.model,
// gpu.memory, node, switch) are no labels.
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>

enum { LABELS_TEXT_MAX = 255 }; // of all together

bool label_char(char c);
// `what` names the list in the message. E_INVALID, E_TOO_LARGE.
int labels_check(const char *list, const char *what, struct err *err);
// The same, where "!key" is taken too.
int labels_check_change(const char *list, const char *what, struct err *err);
// Appends `set` with the changes over it; "!key" stays there.
void labels_change(const char *set, const char *change, struct text *ret);
// Appends the labels that hold: what is told with what is set over it, as many as LABELS_TEXT_MAX
// characters take.
void labels_hold(const char *told, const char *set, struct text *ret);
