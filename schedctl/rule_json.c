#include "schedctl/rule_json.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/present.h"
#include "schedctl/suggest.h"
#include "schedctl/when.h"

#include <string.h>
#include <time.h>

static void take_list(const json_t *v, const struct rule_field *f, struct rule *r)
{
    struct err err;
    AUTO(text) struct text list = {0};
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item) text_addf(
        &list, "%s%s", i ? "," : "", json_string_value(item) ? json_string_value(item) : "");
    rule_set_text(r, f, text_str(&list), &err);
}

void rule_from_json(const json_t *object, enum rule_kind k, struct rule *ret)
{
    struct err err;
    size_t count;
    const struct rule_field *f = rule_fields(k, &count);
    rule_init(ret, k);
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_object_get(object, f[i].name);
        if (json_is_string(v))
            rule_set_text(ret, &f[i], json_string_value(v), &err);
        else if (json_is_array(v))
            take_list(v, &f[i], ret);
        else if (json_is_boolean(v))
            rule_set_number(ret, &f[i], json_is_true(v), &err);
        else if (json_is_integer(v))
            rule_set_number(ret, &f[i], json_integer_value(v), &err);
        else if (json_is_null(v))
            rule_set_text(ret, &f[i], "none", &err);
    }
}

json_t *rule_field_json(const struct rule *r, const struct rule_field *f)
{
    const char *text = rule_text(r, f);
    if (f->type == RULE_TYPE_LIST) {
        char name[RULE_NAME_SIZE];
        json_t *list = json_array();
        size_t at = 0;
        while (rule_list_next(text, &at, name))
            json_array_append_new(list, json_string(name));
        return list;
    }
    if (text)
        return f->type == RULE_TYPE_NAME && !*text ? json_null() : json_string(text);
    int64_t v = rule_number_of(r, f);
    if (f->type == RULE_TYPE_FLAG)
        return json_boolean(v);
    bool limit = f->type == RULE_TYPE_LIMIT || f->type == RULE_TYPE_LIMIT_MS ||
                 f->type == RULE_TYPE_LIMIT_MIB;
    return limit && v == RULE_NONE ? json_null() : json_integer(v);
}

void rule_add_local(const struct rule *r, const struct rule_field *f, struct text *ret)
{
    if (f->type == RULE_TYPE_AT && rule_number_of(r, f))
        add_full_time(ret, rule_number_of(r, f));
    else if (f->type == RULE_TYPE_TEXT)
        text_add(ret, rule_text(r, f));
    else
        rule_add_value(r, f, ret);
}

// ---- settings ----

static int unknown_key(enum rule_kind k, const char *key, struct err *err)
{
    struct suggest s = suggest_begin(key);
    size_t count;
    const struct rule_field *f = rule_fields(k, &count);
    AUTO(text) struct text list = {0};
    struct text keys[64] = {{0}};
    CHECK(count <= 64);
    for (size_t i = 0; i < count; i++) {
        if (rule_field_is_hidden(&f[i]) || strcmp(f[i].name, "name") == 0)
            continue;
        rule_field_key(&f[i], &keys[i]);
        suggest_offer(&s, text_str(&keys[i]));
        text_addf(&list, "%s%s", list.len ? ", " : "", text_str(&keys[i]));
    }
    const char *what = k == RULE_QOS ? "a QoS" : rule_kind_word(k);
    int rc = s.best ? fail(err, E_INVALID, "%s has no setting \"%.64s\". Did you mean \"%s\"?",
                           what, key, s.best)
                    : fail(err, E_INVALID, "%s has no setting \"%.64s\". It has %s.", what, key,
                           text_str(&list));
    for (size_t i = 0; i < count; i++)
        text_free(&keys[i]);
    return rc;
}

static int take_end(const char *text, struct rule *r, json_t *object, struct err *err)
{
    const struct rule_field *f = rule_field(RULE_RESERVATION, "duration");
    int64_t end_ms;
    int rc = parse_when(text, "end", &end_ms, err);
    if (rc)
        return rc;
    if (!r->reservation.start_ms || end_ms <= r->reservation.start_ms)
        return fail(err, E_INVALID, "end \"%.64s\" is not after start. Give start= before end=.",
                    text);
    r->reservation.duration_ms = end_ms - r->reservation.start_ms;
    json_object_set_new(object, f->name, rule_field_json(r, f));
    return 0;
}

int rule_take_setting(const char *setting, struct rule *r, json_t *object, struct err *err)
{
    const char *equals = strchr(setting, '=');
    if (!equals)
        return fail(err, E_INVALID, "\"%.64s\" is no setting. Write key=value.", setting);
    AUTO_FREE char *key = xstrndup(setting, (size_t)(equals - setting));
    const char *text = equals + 1;
    const struct rule_field *f = rule_field(r->kind, key);
    if (r->kind == RULE_RESERVATION && strcmp(key, "end") == 0)
        return take_end(text, r, object, err);
    if (!f || strcmp(key, "name") == 0)
        return unknown_key(r->kind, key, err);
    int rc;
    if (f->type == RULE_TYPE_AT) {
        rc = parse_when(text, key, rule_number(r, f), err);
    } else {
        rc = rule_set_text(r, f, text, err);
    }
    if (rc)
        return rc;
    json_object_set_new(object, f->name, rule_field_json(r, f));
    return 0;
}
