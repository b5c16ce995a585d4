#include "common/labels.h"

#include <ctype.h>
#include <string.h>

bool label_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("._:/-+", c));
}

// One of a list: [at, end), the key without its "!".
struct label {
    const char *at, *end, *key, *key_end;
    bool off;
};

// The label at `at`; false: there is none any more.
static bool label_at(const char *at, struct label *ret)
{
    if (!*at)
        return false;
    const char *end = strchrnul(at, ','), *key = at + (*at == '!');
    const char *eq = memchr(key, '=', (size_t)(end - key));
    *ret = (struct label){at, end, key, eq ? eq : end, *at == '!'};
    return true;
}

static const char *after(const struct label *l)
{
    return *l->end ? l->end + 1 : l->end;
}

static bool same_key(const struct label *a, const struct label *b)
{
    size_t len = (size_t)(a->key_end - a->key);
    return len == (size_t)(b->key_end - b->key) && memcmp(a->key, b->key, len) == 0;
}

static bool names(const char *list, const struct label *l, struct label *ret)
{
    for (const char *at = list; label_at(at, ret); at = after(ret))
        if (same_key(ret, l))
            return true;
    return false;
}

static bool is_property(const struct label *l)
{
    static const char *const properties[] = {"gpu.model", "gpu.memory", "node", "switch"};
    size_t len = (size_t)(l->key_end - l->key);
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strlen(properties[i]) == len && memcmp(properties[i], l->key, len) == 0)
            return true;
    return false;
}

static const char *wrong(const struct label *l, bool may_be_off)
{
    if (l->off && !may_be_off)
        return "a node does not tell what it is not";
    if (l->key == l->key_end)
        return "a label is missing";
    if (l->off && l->key_end < l->end)
        return "a label is taken off by its name alone";
    if (l->key_end < l->end && l->key_end + 1 == l->end)
        return "a value is missing behind =";
    for (const char *c = l->key; c < l->end; c++)
        if (!label_char(*c) && c != l->key_end)
            return "labels are of letters, digits and ._:/-+";
    return is_property(l) ? "this is the name of a property, not of a label" : NULL;
}

static int check(const char *list, const char *what, bool may_be_off, struct err *err)
{
    struct label l, other;
    if (strlen(list) > LABELS_TEXT_MAX)
        return fail(err, E_TOO_LARGE, "%s: labels have at most %d characters together", what,
                    LABELS_TEXT_MAX);
    for (const char *at = list; *at || at > list; at = after(&l)) {
        if (!label_at(at, &l))
            l = (struct label){at, at, at, at, false}; // behind the last comma
        const char *why = wrong(&l, may_be_off);
        if (!why && names(list, &l, &other) && other.at != l.at)
            why = "this label is there twice";
        if (why)
            return fail(err, E_INVALID, "%s \"%.64s\", at \"%.*s\": %s. Write zone=a or spot.",
                        what, list, (int)(l.end - l.at < 64 ? l.end - l.at : 64), l.at, why);
        if (!*l.end)
            break;
    }
    return 0;
}

int labels_check(const char *list, const char *what, struct err *err)
{
    return check(list, what, false, err);
}

int labels_check_change(const char *list, const char *what, struct err *err)
{
    return check(list, what, true, err);
}

static void add(struct text *t, size_t start, const struct label *l)
{
    if (t->len > start)
        text_addc(t, ',');
    text_add_bytes(t, l->at, (size_t)(l->end - l->at));
}

void labels_change(const char *set, const char *change, struct text *ret)
{
    struct label l, other;
    size_t start = ret->len;
    for (const char *at = set; label_at(at, &l); at = after(&l))
        if (!names(change, &l, &other))
            add(ret, start, &l);
    for (const char *at = change; label_at(at, &l); at = after(&l))
        add(ret, start, &l);
}

static void add_held(struct text *t, size_t start, const struct label *l)
{
    size_t had = t->len - start, more = (size_t)(l->end - l->at) + (had > 0);
    if (!l->off && had + more <= LABELS_TEXT_MAX)
        add(t, start, l);
}

void labels_hold(const char *told, const char *set, struct text *ret)
{
    struct label l, over;
    size_t start = ret->len;
    for (const char *at = set; label_at(at, &l); at = after(&l))
        add_held(ret, start, &l);
    for (const char *at = told; label_at(at, &l); at = after(&l))
        if (!names(set, &l, &over))
            add_held(ret, start, &l);
}
