// Queues, accounts, users, QoS, reservations and settings: a whole row is made of what the request
// names and what stands, or begins, and given to the core, which judges it.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/rule.h"
#include "common/units.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

static int wrong_type(const struct rule_field *f, const char *want, struct err *err)
{
    return fail(err, E_INVALID, "\"%s\" must be %s", f->name, want);
}

static int take_list(struct rule *r, const struct rule_field *f, const json_t *v, struct err *err)
{
    AUTO(text) struct text list = {0};
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !*name)
            return wrong_type(f, "a list of names", err);
        text_addf(&list, "%s%s", i ? "," : "", name);
    }
    return rule_set_text(r, f, text_str(&list), err);
}

static int take_member(struct rule *r, const struct rule_field *f, const json_t *v, struct err *err)
{
    bool text = rule_field_is_text(f);
    if (json_is_null(v))
        return text ? rule_set_text(r, f, f->type == RULE_TYPE_WORD ? f->initial : "", err)
                    : rule_set_text(r, f, f->type == RULE_TYPE_INT ? f->initial : "none", err);
    if (f->type == RULE_TYPE_LIST) {
        if (!json_is_array(v))
            return wrong_type(f, "a list of names", err);
        return take_list(r, f, v, err);
    }
    if (text) {
        const char *s = json_string_value(v);
        if (!s || strlen(s) != json_string_length(v))
            return wrong_type(f, "a string", err);
        return rule_set_text(r, f, s, err);
    }
    if (f->type == RULE_TYPE_FLAG) {
        if (!json_is_boolean(v))
            return wrong_type(f, "true or false", err);
        return rule_set_number(r, f, json_is_true(v), err);
    }
    if (!json_is_integer(v))
        return wrong_type(f, "a whole number", err);
    int64_t n = json_integer_value(v);
    if (n < 0)
        return fail(err, E_INVALID, "\"%s\" is below 0. Absent or null is no limit.", f->name);
    return rule_set_number(r, f, n, err);
}

static int take_body(struct rule *r, const json_t *body, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)body, key, v)
    {
        const struct rule_field *f = rule_field(r->kind, key);
        if (!f || strcmp(f->name, key))
            return fail(err, E_INVALID, "unknown key \"%.64s\" of a %s", key,
                        rule_kind_word(r->kind));
        struct rule before = *r;
        int rc = take_member(r, f, v, err);
        if (rc)
            return rc;
        bool identity =
            strcmp(key, "name") == 0 || (r->kind == RULE_USER && !strcmp(key, "account"));
        if (identity && !rule_field_equal(&before, r, f) && *rule_text(&before, f))
            return fail(err, E_INVALID, "\"%s\" is \"%s\" in the path and \"%s\" in the body", key,
                        rule_text(&before, f), rule_text(r, f));
    }
    return 0;
}

// The machine's number of a new user who came without one.
static void find_uid(struct rule *r)
{
    struct err err;
    if (r->kind != RULE_USER || r->user.uid >= 0)
        return;
    const struct passwd *pw = getpwnam(r->user.name);
    if (pw)
        r->user.uid = pw->pw_uid;
    else if (parse_int(r->user.name, "user", 0, UINT32_MAX, &r->user.uid, &err))
        r->user.uid = -1;
}

// The path's name into the row; for users "NAME/ACCOUNT".
static int take_name(struct rule *r, const char *name, struct err *err)
{
    const char *slash = r->kind == RULE_USER ? strchrnul(name, '/') : name + strlen(name);
    AUTO_FREE char *first = xstrndup(name, (size_t)(slash - name));
    int rc = *first ? rule_set_text(r, rule_field(r->kind, "name"), first, err) : 0;
    if (!rc && *slash)
        rc = rule_set_text(r, rule_field(r->kind, "account"), slash + 1, err);
    return rc;
}

// The row that stands under the name. A user's name without an account stands for the only one;
// *ret_several: there are more.
static const struct rule_entry *standing(const struct cluster *c, enum rule_kind k,
                                         const char *name, bool *ret_several)
{
    const struct rule_entry *p = rule_find(c, k, name);
    *ret_several = false;
    if (p || k != RULE_USER || strchr(name, '/'))
        return p;
    size_t len = strlen(name);
    for (int64_t id = 1; id < rule_settings(c)->next_rule; id++) {
        const struct rule_entry *o = rule_by_id(c, id);
        if (!o || o->row->kind != RULE_USER || strncmp(o->key, name, len) || o->key[len] != '/')
            continue;
        *ret_several = p;
        p = o;
    }
    return p;
}

static int several(const char *name, struct err *err)
{
    return fail(err, E_INVALID, "user \"%.64s\" is in several accounts. Name one with it.", name);
}

// What stands, or begins, with what the body names.
static int merge(struct rule *row, const struct rule_entry *old, const char *name,
                 const json_t *body, struct err *err)
{
    enum rule_kind k = row->kind;
    int rc = 0;
    if (old)
        memcpy(row, old->row, rule_size(k));
    else if (k == RULE_USER && !strchr(name, '/'))
        row->user.account[0] = 0;
    if (!old && k != RULE_SETTINGS)
        rc = take_name(row, name, err);
    if (!rc)
        rc = take_body(row, body, err);
    if (!rc && k == RULE_USER && !*row->user.account)
        rc = rule_set_text(row, rule_field(k, "account"), "default", err);
    if (!rc && !old)
        find_uid(row);
    return rc;
}

int rule_order_input(const struct cluster *c, const struct rule_order *o, struct rule *row,
                     struct input *ret, struct err *err)
{
    bool change = o->verb == RULE_ORDER_CHANGE, remove = o->verb == RULE_ORDER_REMOVE, more;
    const struct rule_entry *old = standing(c, o->kind, o->name, &more);
    if ((change || remove) && more)
        return several(o->name, err);
    *ret = (struct input){.kind = remove ? INPUT_RULE_REMOVE : INPUT_RULE_SET};
    if (remove) {
        ret->rule_name.kind = o->kind;
        ret->rule_name.name = old ? old->key : o->name;
        return 0;
    }
    rule_init(row, o->kind);
    ret->rule.row = row;
    ret->rule.mode = change ? RULE_CHANGE : o->verb == RULE_ORDER_CREATE ? RULE_CREATE : RULE_PUT;
    return merge(row, change ? old : NULL, o->name, o->body, err);
}

static void order(struct server *s, const struct http_req *r, const struct rule_order *o)
{
    struct err err;
    struct rule row;
    struct input in;
    if (rule_order_input(s->cluster, o, &row, &in, &err)) {
        api_error(s, r->handle, 400, errcode_word(err.code), err.message, "");
        return;
    }
    in.caller = api_caller(r);
    turn_input(s, &in);
}

static void question(struct server *s, const struct http_req *r, enum rule_kind k, const char *name)
{
    struct read *q = read_new(s, READ_RULES, r->handle);
    q->rule = k;
    q->name = *name ? xstrdup(name) : NULL;
    read_start(q);
}

static void limits(struct server *s, const struct http_req *r)
{
    if (strcmp(r->method, "GET")) {
        api_wrong_method(s, r);
        return;
    }
    struct read *q = read_new(s, READ_LIMITS, r->handle);
    q->name = api_parameter(r, "user");
    q->queue = api_parameter(r, "queue");
    q->qos = api_parameter(r, "qos");
    read_start(q);
}

static void answer(struct server *s, const struct http_req *r, enum rule_kind k, const char *name)
{
    bool post = strcmp(r->method, "POST") == 0, patch = strcmp(r->method, "PATCH") == 0;
    bool put = strcmp(r->method, "PUT") == 0, settings = k == RULE_SETTINGS;
    struct rule_order o = {.kind = k, .name = name};
    o.verb = post ? RULE_ORDER_CREATE : patch ? RULE_ORDER_CHANGE : RULE_ORDER_PUT;
    if (strcmp(r->method, "GET") == 0) {
        question(s, r, k, name);
    } else if (strcmp(r->method, "DELETE") == 0 && *name) {
        o.verb = RULE_ORDER_REMOVE;
        order(s, r, &o);
    } else if ((post && !*name && !settings) || (patch && (*name || settings)) ||
               (put && *name && !settings)) {
        json_t *body = api_body(s, r);
        o.body = body;
        if (body)
            order(s, r, &o);
        json_decref(body);
    } else {
        api_wrong_method(s, r);
    }
}

bool api_rules(struct server *s, const struct http_req *r)
{
    if (strcmp(r->path, "/v1/limits") == 0) {
        limits(s, r);
        return true;
    }
    for (enum rule_kind k = 0; k < RULE_KIND_COUNT; k++) {
        const char *plural = rule_kind_plural(k), *rest = r->path + 4;
        size_t len = strlen(plural);
        if (strncmp(r->path, "/v1/", 4) || strncmp(rest, plural, len) ||
            (rest[len] && rest[len] != '/'))
            continue;
        answer(s, r, k, rest[len] ? rest + len + 1 : "");
        return true;
    }
    return false;
}
