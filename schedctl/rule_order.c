// Changes: create, set, remove.
#include "schedctl/rule_order.h"

#include "common/alloc.h"
#include "common/check.h"
#include "schedctl/rule_json.h"

#include <string.h>

static enum rule_kind kind_of(const struct ctl *ctl)
{
    const char *name = ctl->args.verb->name;
    AUTO_FREE char *word = xstrndup(name, strcspn(name, " "));
    enum rule_kind k = rule_kind_parse(word);
    CHECK(k < RULE_KIND_COUNT);
    return k;
}

// A user's account belongs to the name.
static void add_path(struct text *path, enum rule_kind k, const char *name, const char *account)
{
    AUTO_FREE char *first = xstrndup(name, k == RULE_USER ? strcspn(name, "/") : strlen(name));
    text_addf(path, "/v1/%s/", rule_kind_plural(k));
    client_escape(path, first);
    if (!account && strlen(first) < strlen(name))
        account = name + strlen(first) + 1;
    if (account) {
        text_addc(path, '/');
        client_escape(path, account);
    }
}

int rule_take_settings(const struct args *a, size_t from, struct rule *r, json_t *body,
                       struct err *err)
{
    int rc = 0;
    for (size_t i = from; !rc && i < a->operands_count; i++)
        rc = rule_take_setting(a->operands[i], r, body, err);
    return rc;
}

static int send_order(struct ctl *ctl, const char *method, const char *path, const json_t *body)
{
    struct err err;
    if (ctl_connect(ctl, &err) || client_send(ctl->client, method, path, body, NULL, &err))
        return report(&err);
    return CTL_OK;
}

static int order(struct ctl *ctl, enum rule_kind k, const char *method)
{
    struct err err;
    struct rule r;
    json_t *body = json_object();
    const char *name = ctl->args.operands[0];
    AUTO(text) struct text path = {0};
    rule_init(&r, k);
    int rc = rule_take_settings(&ctl->args, 1, &r, body, &err);
    if (rc) {
        json_decref(body);
        return report(&err);
    }
    const char *account =
        k == RULE_USER ? json_string_value(json_object_get(body, "account")) : NULL;
    if (strcmp(method, "POST") == 0) {
        AUTO_FREE char *first = xstrndup(name, k == RULE_USER ? strcspn(name, "/") : strlen(name));
        json_object_set_new(body, "name", json_string(first));
        if (!account && strlen(first) < strlen(name))
            json_object_set_new(body, "account", json_string(name + strlen(first) + 1));
        text_addf(&path, "/v1/%s", rule_kind_plural(k));
    } else {
        add_path(&path, k, name, account);
    }
    int code = send_order(ctl, method, text_str(&path), body);
    json_decref(body);
    return code;
}

int run_rule_create(struct ctl *ctl)
{
    return order(ctl, kind_of(ctl), "POST");
}

int run_rule_set(struct ctl *ctl)
{
    return order(ctl, kind_of(ctl), "PATCH");
}

int run_rule_remove(struct ctl *ctl)
{
    AUTO(text) struct text path = {0};
    const char *account = NULL;
    if (ctl->args.operands_count > 1) {
        if (strncmp(ctl->args.operands[1], "account=", 8))
            return complain(CTL_USAGE, "unexpected \"%.64s\": schedctl %s %s",
                            ctl->args.operands[1], ctl->args.verb->name, ctl->args.verb->usage);
        account = ctl->args.operands[1] + 8;
    }
    add_path(&path, kind_of(ctl), ctl->args.operands[0], account);
    return send_order(ctl, "DELETE", text_str(&path), NULL);
}

int run_settings_set(struct ctl *ctl)
{
    struct err err;
    struct rule r;
    json_t *body = json_object();
    rule_init(&r, RULE_SETTINGS);
    int code = rule_take_settings(&ctl->args, 0, &r, body, &err)
                   ? (int)report(&err)
                   : send_order(ctl, "PATCH", "/v1/settings", body);
    json_decref(body);
    return code;
}
