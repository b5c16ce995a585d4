#include "schedctl/verbs.h"

#include "common/alloc.h"
#include "common/text.h"
#include "schedctl/suggest.h"
#include "schedctl/verb.h"

#include <string.h>

const struct verb *const verbs[] = {
#define X(name) &verb_##name,
    VERB_TABLE(X)
#undef X
        NULL,
};

static const struct opt GLOBAL[] = {
    {0, "dir", "DIR", "the cluster's directory (else $MUSTER_HOME, else /var/lib/muster)"},
    {'o', "output", "FORMAT",
     "\"table\" for people (the default), or \"json\", the API's objects (`job metrics`: \"csv\" "
     "too)"},
    {'h', "help", NULL, "explain this verb"},
};
const struct opt_list global_options = {GLOBAL, COUNT(GLOBAL)};

static const struct verb *find(const char *name)
{
    for (size_t i = 0; verbs[i]; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

bool verb_is_group(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; verbs[i]; i++)
        if (strncmp(verbs[i]->name, word, len) == 0 && verbs[i]->name[len] == ' ')
            return true;
    return false;
}

static int unknown_member(const char *group, const char *member, struct err *err)
{
    AUTO(text) struct text list = {0};
    struct suggest s = suggest_begin(member ? member : "");
    size_t len = strlen(group);
    for (size_t i = 0; verbs[i]; i++) {
        const char *name = verbs[i]->name;
        if (strncmp(name, group, len) || name[len] != ' ')
            continue;
        text_addf(&list, "%s%s", list.len ? ", " : "", name + len + 1);
        if (member)
            suggest_offer(&s, name + len + 1);
    }
    if (!member)
        return fail(err, E_INVALID, "\"%s\" needs one of: %s.", group, text_str(&list));
    if (s.best)
        return fail(err, E_INVALID, "there is no verb \"%s %.64s\". Did you mean \"%s %s\"?", group,
                    member, group, s.best);
    return fail(err, E_INVALID, "there is no verb \"%s %.64s\". \"%s\" takes one of: %s.", group,
                member, group, text_str(&list));
}

static int unknown_verb(const char *word, const char *second, struct err *err)
{
    AUTO_FREE char *both = xasprintf("%s %s", word, second ? second : "");
    struct suggest s = suggest_begin(word), two = suggest_begin(both);
    for (size_t i = 0; verbs[i]; i++) {
        const char *name = verbs[i]->name, *last = strchr(name, ' ');
        suggest_offer(last ? &two : &s, name);
        if (last)
            suggest_offer(&s, last + 1);
    }
    const char *best = s.best;
    if (second && two.best && (!s.best || two.distance <= s.distance))
        best = two.best;
    // "cancel" is found as the last word of "job cancel"
    for (size_t i = 0; best == s.best && best && verbs[i]; i++)
        if (best > verbs[i]->name && best <= verbs[i]->name + strlen(verbs[i]->name))
            best = verbs[i]->name;
    if (best)
        return fail(err, E_INVALID, "there is no verb \"%.64s\". Did you mean \"%s\"?", word, best);
    return fail(err, E_INVALID, "there is no verb \"%.64s\". `schedctl help` lists them.", word);
}

int verb_find(char *const *argv, const struct verb **ret, int *ret_words, struct err *err)
{
    const char *second = argv[1] && argv[1][0] != '-' ? argv[1] : NULL;
    if (verb_is_group(argv[0])) {
        AUTO_FREE char *both = xasprintf("%s %s", argv[0], second ? second : "");
        const struct verb *v = find(both);
        if (!v)
            return unknown_member(argv[0], second, err);
        *ret = v;
        *ret_words = 2;
        return 0;
    }
    const struct verb *v = find(argv[0]);
    if (!v)
        return unknown_verb(argv[0], second, err);
    *ret = v;
    *ret_words = 1;
    return 0;
}

const struct opt *verb_option(const struct verb *v, const char *name)
{
    for (size_t l = 0; l < VERB_OPT_LISTS + 1; l++) {
        const struct opt_list *list = l < VERB_OPT_LISTS ? &v->options[l] : &global_options;
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].name && strcmp(list->items[i].name, name) == 0)
                return &list->items[i];
    }
    return NULL;
}

const struct opt *verb_option_letter(const struct verb *v, char letter)
{
    for (size_t l = 0; l < VERB_OPT_LISTS + 1; l++) {
        const struct opt_list *list = l < VERB_OPT_LISTS ? &v->options[l] : &global_options;
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].name && list->items[i].letter == letter)
                return &list->items[i];
    }
    return NULL;
}
