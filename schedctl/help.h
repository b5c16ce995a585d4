// Help and the manual page, made from the verb table.
#pragma once

#include "common/text.h"
#include "schedctl/verb.h"

// `schedctl VERB --help` on stdout.
void help_verb(const struct verb *v);
void help_verb_text(const struct verb *v, struct text *ret);
// `schedctl GROUP --help`: its verbs, with an example of each.
void help_group_text(const char *group, struct text *ret);
// schedctl(1) in man(7) format.
void help_man(struct text *ret);
