#include "scheduler/core/selector.h"

#include "common/labels.h"
#include "common/units.h"
#include "scheduler/core/node.h"

#include <string.h>

static const char *skip_space(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

static const char *skip_word(const char *at)
{
    while (label_char(*at))
        at++;
    return at;
}

static bool key_is(const char *text, const struct selector_term *t, const char *key)
{
    return strlen(key) == t->key_len && memcmp(text + t->key, key, t->key_len) == 0;
}

static const char *parse_size(const char *text, struct selector_term *t)
{
    char size[32];
    if (!t->values_len || t->values_len >= sizeof size)
        return "gpu.memory needs a size such as 40GiB";
    memcpy(size, text + t->values, t->values_len);
    size[t->values_len] = 0;
    return parse_size_mib(size, "gpu.memory", &t->mib, NULL)
               ? "gpu.memory needs a size such as 40GiB"
               : NULL;
}

// From the operator on: "=a|b", ">=40GiB". *at moves behind it.
static const char *parse_values(const char *text, const char **at, struct selector_term *t)
{
    const char *s = *at;
    t->test = *s == '>' ? SELECTOR_AT_LEAST : *s == '<' ? SELECTOR_AT_MOST : SELECTOR_IS;
    s += t->test == SELECTOR_IS ? 1 : 2;
    if (s[-1] != '=')
        return "a term is key, key=value, key>=size or key<=size";
    *at = s = skip_space(s);
    t->values = (uint16_t)(s - text);
    const char *end = skip_word(s);
    while (end > s && *end == '|' && label_char(end[1]))
        end = skip_word(end + 1);
    if (end == s)
        return "a value is missing";
    t->values_len = (uint16_t)(end - s);
    const char *wrong = key_is(text, t, "gpu.memory") ? parse_size(text, t)
                        : t->test == SELECTOR_IS      ? NULL
                                                      : "only gpu.memory has an order";
    if (!wrong)
        *at = skip_space(end);
    return wrong;
}

static const char *parse_term(const char *text, const char **at, struct selector_term *t)
{
    const char *s = skip_space(*at);
    for (; *s == '!'; s = skip_space(s + 1))
        t->negated = !t->negated;
    *at = s;
    const char *end = skip_word(s);
    if (end == s)
        return "a label is missing";
    t->key = (uint16_t)(s - text);
    t->key_len = (uint16_t)(end - s);
    s = skip_space(end);
    if (key_is(text, t, "gpu.memory") && *s != '=' && *s != '<' && *s != '>')
        return "gpu.memory needs a size such as 40GiB";
    *at = s;
    if (**at == '=' || **at == '<' || **at == '>')
        return parse_values(text, at, t);
    return NULL;
}

// Parses term after term; *at stays where it stops.
static const char *parse_terms(struct selector *s, const char **at)
{
    s->terms_count = 0;
    do {
        if (s->terms_count == SELECTOR_TERMS_MAX)
            return "there are more than 16 terms";
        if (s->terms_count)
            ++*at; // the &
        struct selector_term *t = &s->terms[s->terms_count++];
        *t = (struct selector_term){0};
        const char *wrong = parse_term(s->text, at, t);
        if (wrong)
            return wrong;
    } while (**at == '&');
    return **at ? "terms are joined by &" : NULL;
}

const char *selector_parse(struct selector *s)
{
    const char *at = s->text;
    const char *wrong = parse_terms(s, &at);
    s->wrong_at = (uint16_t)(at - s->text);
    return wrong;
}

// Is one of "a|b" the value?
static bool one_of(const char *values, size_t len, const char *value, size_t value_len)
{
    const char *end = values + len;
    while (values < end) {
        const char *bar = memchr(values, '|', (size_t)(end - values));
        size_t n = (size_t)((bar ? bar : end) - values);
        if (n == value_len && memcmp(values, value, n) == 0)
            return true;
        values += n + 1;
    }
    return false;
}

// The place itself, or one above it.
static bool one_above(const char *values, size_t len, const char *path)
{
    for (const char *at = path; *at;) {
        at = strchrnul(at, '/');
        if (one_of(values, len, path, (size_t)(at - path)))
            return true;
        at += *at == '/';
    }
    return false;
}

// The value of a label in "zone=a,spot"; NULL if it is not there, "" if it has none.
static const char *label(const struct node *n, const char *key, size_t key_len, size_t *ret_len)
{
    for (const char *at = n->labels; *at;) {
        const char *end = strchrnul(at, ',');
        const char *eq = memchr(at, '=', (size_t)(end - at));
        const char *key_end = eq ? eq : end;
        if ((size_t)(key_end - at) == key_len && memcmp(at, key, key_len) == 0) {
            *ret_len = eq ? (size_t)(end - eq - 1) : 0;
            return eq ? eq + 1 : end;
        }
        at = *end ? end + 1 : end;
    }
    return NULL;
}

static bool memory_holds(const struct selector_term *t, int64_t mib)
{
    if (!mib)
        return false;
    return t->test == SELECTOR_AT_LEAST  ? mib >= t->mib
           : t->test == SELECTOR_AT_MOST ? mib <= t->mib
                                         : mib == t->mib;
}

static bool term_holds(const char *text, const struct selector_term *t, const struct node *n)
{
    const char *values = text + t->values;
    if (key_is(text, t, "gpu.memory"))
        return memory_holds(t, n->gpu_memory_mib);
    if (key_is(text, t, "switch"))
        return t->test == SELECTOR_HAS ? n->switch_path[0] != 0
                                       : one_above(values, t->values_len, n->switch_path);
    size_t len = 0;
    const char *value = NULL;
    if (key_is(text, t, "gpu.model"))
        value = n->gpu_model[0] ? n->gpu_model : NULL;
    else if (key_is(text, t, "node"))
        value = n->name;
    else
        value = label(n, text + t->key, t->key_len, &len);
    if (!value || t->test == SELECTOR_HAS)
        return value != NULL;
    if (value == n->gpu_model || value == n->name)
        len = strlen(value);
    return one_of(values, t->values_len, value, len);
}

bool selector_holds(const struct selector *s, const struct node *n)
{
    for (int i = 0; i < s->terms_count; i++)
        if (term_holds(s->text, &s->terms[i], n) == s->terms[i].negated)
            return false;
    return true;
}
