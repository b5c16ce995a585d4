#include "common/rule.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIELD(kind, m, type, initial, least, most, words, help) \
    {#m, RULE_TYPE_##type, offsetof(struct rule, kind.m), initial, least, most, words, help},
#define LIMIT_FIELD(kind, m, type, help) \
    FIELD(kind, m, type, "none", 0, INT64_C(1) << 50, NULL, help)

#define X(m, type, initial, least, most, words, help) \
    FIELD(settings, m, type, initial, least, most, words, help)
static const struct rule_field settings_fields[] = {SETTINGS_FIELDS(X)};
#undef X
#define X(m, type, initial, least, most, words, help) \
    FIELD(qos, m, type, initial, least, most, words, help)
#define L(name, m, type, help) LIMIT_FIELD(qos, m, type, help)
static const struct rule_field qos_fields[] = {QOS_FIELDS(X) LIMIT_TABLE(L) LIMIT_USER_TABLE(L)};
#undef X
#undef L
#define X(m, type, initial, least, most, words, help) \
    FIELD(account, m, type, initial, least, most, words, help)
#define L(name, m, type, help) LIMIT_FIELD(account, m, type, help)
static const struct rule_field account_fields[] = {ACCOUNT_FIELDS(X) LIMIT_TABLE(L)};
#undef X
#undef L
#define X(m, type, initial, least, most, words, help) \
    FIELD(user, m, type, initial, least, most, words, help)
#define L(name, m, type, help) LIMIT_FIELD(user, m, type, help)
static const struct rule_field user_fields[] = {USER_FIELDS(X) LIMIT_TABLE(L)};
#undef X
#undef L
#define X(m, type, initial, least, most, words, help) \
    FIELD(queue, m, type, initial, least, most, words, help)
#define L(name, m, type, help) LIMIT_FIELD(queue, m, type, help)
static const struct rule_field queue_fields[] = {QUEUE_FIELDS(X) LIMIT_TABLE(L)
                                                     LIMIT_USER_TABLE(L)};
#undef X
#undef L
#define X(m, type, initial, least, most, words, help) \
    FIELD(reservation, m, type, initial, least, most, words, help)
static const struct rule_field reservation_fields[] = {RESERVATION_FIELDS(X)};
#undef X

#define FIELDS_OF(array) array, sizeof(array) / sizeof *(array)
static const struct {
    const char *word, *plural;
    size_t size;
    const struct rule_field *fields;
    size_t fields_count;
} kinds[RULE_KIND_COUNT] = {
#define SIZE_OF(kind) offsetof(struct rule, kind) + sizeof(struct kind##_rule)
    [RULE_SETTINGS] = {"settings", "settings", SIZE_OF(settings), FIELDS_OF(settings_fields)},
    [RULE_QOS] = {"qos", "qos", SIZE_OF(qos), FIELDS_OF(qos_fields)},
    [RULE_ACCOUNT] = {"account", "accounts", SIZE_OF(account), FIELDS_OF(account_fields)},
    [RULE_USER] = {"user", "users", SIZE_OF(user), FIELDS_OF(user_fields)},
    [RULE_QUEUE] = {"queue", "queues", SIZE_OF(queue), FIELDS_OF(queue_fields)},
    [RULE_RESERVATION] = {"reservation", "reservations", SIZE_OF(reservation),
                          FIELDS_OF(reservation_fields)},
};

static const char *const limit_words[LIMIT_COUNT] = {
#define X(name, member, type, help) #member,
    LIMIT_TABLE(X)
#undef X
};
static const char *const limit_user_words[LIMIT_USER_COUNT] = {
#define X(name, member, type, help) #member,
    LIMIT_USER_TABLE(X)
#undef X
};

const char *limit_word(enum limit_kind k)
{
    CHECK(k < LIMIT_COUNT);
    return limit_words[k];
}

const char *limit_user_word(enum limit_kind k)
{
    CHECK((int)k < LIMIT_USER_COUNT);
    return limit_user_words[k];
}

const char *rule_kind_word(enum rule_kind k)
{
    CHECK(k < RULE_KIND_COUNT);
    return kinds[k].word;
}

const char *rule_kind_plural(enum rule_kind k)
{
    CHECK(k < RULE_KIND_COUNT);
    return kinds[k].plural;
}

enum rule_kind rule_kind_parse(const char *word)
{
    unsigned k = 0;
    while (k < RULE_KIND_COUNT && strcmp(kinds[k].word, word))
        k++;
    return (enum rule_kind)k;
}

size_t rule_size(enum rule_kind k)
{
    CHECK(k < RULE_KIND_COUNT);
    return kinds[k].size;
}

const struct rule_field *rule_fields(enum rule_kind k, size_t *ret_count)
{
    CHECK(k < RULE_KIND_COUNT);
    *ret_count = kinds[k].fields_count;
    return kinds[k].fields;
}

static size_t key_length(const struct rule_field *f)
{
    size_t len = strlen(f->name);
    bool ms =
        f->type == RULE_TYPE_DURATION || f->type == RULE_TYPE_AT || f->type == RULE_TYPE_LIMIT_MS;
    return len - (ms ? 3 : f->type == RULE_TYPE_LIMIT_MIB ? 4 : 0);
}

const struct rule_field *rule_field(enum rule_kind k, const char *name)
{
    for (size_t i = 0; i < kinds[k].fields_count; i++) {
        const struct rule_field *f = &kinds[k].fields[i];
        size_t len = key_length(f);
        if (!rule_field_is_hidden(f) &&
            (strcmp(f->name, name) == 0 || (strlen(name) == len && !strncmp(f->name, name, len))))
            return f;
    }
    return NULL;
}

void rule_field_key(const struct rule_field *f, struct text *ret)
{
    text_add_bytes(ret, f->name, key_length(f));
}

bool rule_field_is_text(const struct rule_field *f)
{
    return f->type == RULE_TYPE_NAME || f->type == RULE_TYPE_LIST || f->type == RULE_TYPE_TEXT ||
           f->type == RULE_TYPE_WORD || f->type == RULE_TYPE_HIDDEN_LIST;
}

bool rule_field_is_hidden(const struct rule_field *f)
{
    return f->type == RULE_TYPE_HIDDEN || f->type == RULE_TYPE_HIDDEN_LIST;
}

static size_t text_size(const struct rule_field *f)
{
    return f->type == RULE_TYPE_NAME                                       ? RULE_NAME_SIZE
           : f->type == RULE_TYPE_LIST || f->type == RULE_TYPE_HIDDEN_LIST ? RULE_LIST_SIZE
           : f->type == RULE_TYPE_WORD                                     ? RULE_WORD_SIZE
                                                                           : RULE_TEXT_SIZE;
}

void rule_init(struct rule *ret, enum rule_kind k)
{
    struct err err;
    memset(ret, 0, sizeof *ret);
    ret->kind = k;
    for (size_t i = 0; i < kinds[k].fields_count; i++) {
        const struct rule_field *f = &kinds[k].fields[i];
        if (f->type == RULE_TYPE_NAME)
            memcpy((char *)ret + f->offset, f->initial, strlen(f->initial));
        else
            CHECKF(rule_set_text(ret, f, f->initial, &err) == 0, "%s", err.message);
    }
}

const char *rule_text(const struct rule *r, const struct rule_field *f)
{
    return rule_field_is_text(f) ? (const char *)r + f->offset : NULL;
}

int64_t *rule_number(struct rule *r, const struct rule_field *f)
{
    return rule_field_is_text(f) ? NULL : (int64_t *)(void *)((char *)r + f->offset);
}

int64_t rule_number_of(const struct rule *r, const struct rule_field *f)
{
    CHECK(!rule_field_is_text(f));
    return *(const int64_t *)(const void *)((const char *)r + f->offset);
}

bool rule_field_equal(const struct rule *a, const struct rule *b, const struct rule_field *f)
{
    return rule_field_is_text(f) ? strcmp(rule_text(a, f), rule_text(b, f)) == 0
                                 : rule_number_of(a, f) == rule_number_of(b, f);
}

void rule_name(const struct rule *r, struct text *ret)
{
    const struct rule_field *f = rule_field(r->kind, "name");
    if (f)
        text_add(ret, rule_text(r, f));
    if (r->kind == RULE_USER)
        text_addf(ret, "/%s", r->user.account);
}

// ---- names and lists ----

bool rule_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strspn(name, good);
    return len && !name[len] && len < RULE_NAME_SIZE && *name != '-' && *name != '.';
}

bool rule_list_next(const char *list, size_t *at, char ret[RULE_NAME_SIZE])
{
    const char *p = list + *at;
    if (!*p)
        return false;
    size_t len = strcspn(p, ",");
    snprintf(ret, RULE_NAME_SIZE, "%.*s", (int)len, p);
    *at += len + (p[len] == ',');
    return true;
}

bool rule_list_has(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == len && strncmp(p, name, len) == 0)
            return true;
    return false;
}

// ---- values ----

static int bad_word(const struct rule_field *f, const char *text, struct err *err)
{
    AUTO(text) struct text list = {0};
    for (const char *p = f->words; *p; p++) {
        text_add(&list, *p == '|' ? ", " : "");
        if (*p != '|')
            text_addc(&list, *p);
    }
    return fail(err, E_INVALID, "%s \"%.64s\" is unknown. Use one of %s.", f->name, text,
                text_str(&list));
}

static int check_list(const struct rule_field *f, const char *text, struct err *err)
{
    char name[RULE_NAME_SIZE];
    size_t at = 0;
    if (*text && (*text == ',' || text[strlen(text) - 1] == ','))
        return fail(err, E_INVALID, "%s \"%.200s\" holds an empty name", f->name, text);
    while (rule_list_next(text, &at, name))
        if (!rule_name_is_good(name))
            return fail(err, E_INVALID, "%s: \"%.64s\" is no name. Write names as a,b,c (or none).",
                        f->name, name);
    return 0;
}

static int set_text_member(struct rule *r, const struct rule_field *f, const char *text,
                           struct err *err)
{
    size_t len = strlen(text), size = text_size(f);
    if (len >= size)
        return fail(err, E_INVALID, "%s is %zu bytes long; at most %zu", f->name, len, size - 1);
    if (f->type == RULE_TYPE_NAME && *text && !rule_name_is_good(text))
        return fail(err, E_INVALID,
                    "%s \"%.64s\" is no name. Use letters, digits, \"-\", \"_\" and \".\".",
                    f->name, text);
    if (f->type == RULE_TYPE_WORD) {
        const char *p = f->words;
        while (*p && (strcspn(p, "|") != len || strncmp(p, text, len)))
            p += strcspn(p, "|"), p += *p == '|';
        if (!len || !*p)
            return bad_word(f, text, err);
    }
    if (f->type == RULE_TYPE_LIST && check_list(f, text, err))
        return E_INVALID;
    char *member = (char *)r + f->offset;
    memset(member, 0, size);
    memcpy(member, text, len);
    return 0;
}

static bool is_limit(const struct rule_field *f)
{
    return f->type == RULE_TYPE_LIMIT || f->type == RULE_TYPE_LIMIT_MS ||
           f->type == RULE_TYPE_LIMIT_MIB;
}

static int64_t none_of(const struct rule_field *f)
{
    return is_limit(f) ? RULE_NONE : 0;
}

// A duration that there must be.
static bool is_bounded(const struct rule_field *f)
{
    return f->type == RULE_TYPE_DURATION && f->most;
}

static int out_of_time(const struct rule_field *f, struct err *err)
{
    AUTO(text) struct text t = {0};
    rule_field_key(f, &t);
    text_add(&t, " must be ");
    text_add_duration_ms(&t, f->least);
    text_add(&t, " to ");
    text_add_duration_ms(&t, f->most);
    return fail(err, E_INVALID, "%s", text_str(&t));
}

int rule_set_number(struct rule *r, const struct rule_field *f, int64_t v, struct err *err)
{
    int64_t *member = rule_number(r, f), least = f->least, most = f->most;
    if (!member)
        return fail(err, E_INVALID, "%s is not a number", f->name);
    if (is_bounded(f) && (v < least || v > most))
        return out_of_time(f, err);
    if (!is_bounded(f) &&
        (f->type == RULE_TYPE_DURATION || f->type == RULE_TYPE_AT || f->type == RULE_TYPE_HIDDEN))
        most = INT64_C(1) << 50;
    if (v == none_of(f) && f->type != RULE_TYPE_INT && f->type != RULE_TYPE_FLAG)
        ;
    else if (v < least || v > most)
        return fail(err, E_INVALID,
                    "%s %" PRId64 " is out of range. Use %" PRId64 " to %" PRId64 "%s.", f->name, v,
                    least, most, is_limit(f) ? ", or none" : "");
    *member = v;
    return 0;
}

int rule_set_text(struct rule *r, const struct rule_field *f, const char *text, struct err *err)
{
    int64_t v = 0;
    int rc = 0;
    bool none = strcmp(text, "none") == 0;
    AUTO(text) struct text key = {0};
    rule_field_key(f, &key);
    const char *what = text_str(&key);
    if (rule_field_is_text(f)) {
        bool empty = none && (f->type == RULE_TYPE_NAME || f->type == RULE_TYPE_LIST);
        return set_text_member(r, f, empty ? "" : text, err);
    }
    switch (f->type) {
    case RULE_TYPE_FLAG:
        v = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
        if (!v && strcmp(text, "false") && strcmp(text, "no"))
            rc = fail(err, E_INVALID, "%s \"%.64s\" is neither true nor false", what, text);
        break;
    case RULE_TYPE_DURATION:
    case RULE_TYPE_LIMIT_MS:
        v = none_of(f);
        rc = none ? 0 : parse_duration_ms(text, what, &v, err);
        break;
    case RULE_TYPE_LIMIT_MIB:
        v = RULE_NONE;
        rc = none ? 0 : parse_size_mib(text, what, &v, err);
        break;
    case RULE_TYPE_LIMIT:
    case RULE_TYPE_AT:
        v = none_of(f);
        rc = none ? 0 : parse_int(text, what, 0, INT64_C(1) << 50, &v, err);
        break;
    case RULE_TYPE_INT:
    case RULE_TYPE_HIDDEN:
        rc = parse_int(text, what, f->least, f->most ? f->most : INT64_MAX, &v, err);
        break;
    case RULE_TYPE_NAME:
    case RULE_TYPE_LIST:
    case RULE_TYPE_TEXT:
    case RULE_TYPE_WORD:
    case RULE_TYPE_HIDDEN_LIST:
        break;
    }
    return rc ? rc : rule_set_number(r, f, v, err);
}

static void add_at(struct text *ret, int64_t at_ms)
{
    char s[64];
    struct tm tm;
    time_t at = (time_t)(at_ms / 1000);
    if (gmtime_r(&at, &tm) && strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%SZ", &tm))
        text_add(ret, s);
}

void rule_add_value(const struct rule *r, const struct rule_field *f, struct text *ret)
{
    if (rule_field_is_text(f)) {
        const char *text = rule_text(r, f);
        if (f->type == RULE_TYPE_TEXT)
            text_addf(ret, "\"%s\"", text);
        else
            text_add(ret, *text ? text : "none");
        return;
    }
    int64_t v = rule_number_of(r, f);
    bool optional = is_limit(f) || f->type == RULE_TYPE_DURATION || f->type == RULE_TYPE_AT;
    if (optional && v == none_of(f))
        text_add(ret, "none");
    else if (f->type == RULE_TYPE_FLAG)
        text_add(ret, v ? "true" : "false");
    else if (f->type == RULE_TYPE_DURATION || f->type == RULE_TYPE_LIMIT_MS)
        text_add_duration_ms(ret, v);
    else if (f->type == RULE_TYPE_LIMIT_MIB)
        text_add_size_mib(ret, v);
    else if (f->type == RULE_TYPE_AT)
        add_at(ret, v);
    else
        text_addf(ret, "%" PRId64, v);
}
