#include "schedctl/plan.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/nodenames.h"
#include "schedctl/present.h"
#include "schedctl/table.h"
#include "schedctl/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct opt plan_options[] = {
    {0, "apply", "TOKEN", "do it, if its effects are still those of the plan with this token"},
};

static const char *effect_words(const char *effect)
{
    static const char *const words[][2] = {
        {"starts_now", "would start at once"},
        {"starts", "would start later"},
        {"never_starts", "would not start in sight"},
        {"earlier", "starts earlier"},
        {"later", "starts later"},
        {"requeued", "is stopped and waits again"},
        {"preempted", "is preempted"},
        {"ends", "ends"},
    };
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(effect, words[i][0]) == 0)
            return words[i][1];
    return effect;
}

static void add_when(struct table *t, const json_t *row, const char *key)
{
    AUTO(text) struct text when = {0};
    add_time(&when, get_int(row, key), clock_wall_ms());
    table_cell(t, "%s", text_str(&when));
}

static void print_breaches(const json_t *plan)
{
    size_t i;
    json_t *b;
    json_array_foreach(json_object_get(plan, "breaches"), i, b)
    {
        AUTO(text) struct text t = {0};
        text_add_clean(&t, get_str(b, "text"));
        printf("breach: %s\n", text_str(&t));
    }
}

static void print(const json_t *plan)
{
    static const struct column COLUMNS[] = {{"JOB", COLUMN_LEFT},
                                            {"EFFECT", COLUMN_LEFT},
                                            {"START NOW", COLUMN_LEFT},
                                            {"START THEN", COLUMN_LEFT},
                                            {"WAITS FOR", COLUMN_LEFT}};
    const json_t *jobs = json_object_get(plan, "jobs");
    int64_t changed = get_int(plan, "changed"), same = get_int(plan, "unchanged");
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *row;
    json_array_foreach(jobs, i, row)
    {
        if (get_int(row, "id"))
            table_cell(&t, "%" PRId64, get_int(row, "id"));
        else
            table_cell(&t, "%s", "the new job");
        table_cell(&t, "%s", effect_words(get_str(row, "effect")));
        add_when(&t, row, "before");
        add_when(&t, row, "after");
        table_cell(&t, "%s", get_str(row, "waits_for"));
    }
    if (json_array_size(jobs))
        table_print(&t);
    print_breaches(plan);
    if (changed > (int64_t)json_array_size(jobs))
        printf("and %" PRId64 " more\n", changed - (int64_t)json_array_size(jobs));
    printf("%" PRId64 " job%s would notice, %" PRId64
           " would not. By time limits: what ends before "
           "its limit makes others start earlier.\n",
           changed, changed == 1 ? "" : "s", same);
    if (!json_is_true(json_object_get(plan, "complete")))
        printf("The queue is too long to be foretold to its end.\n");
}

// NULL also where the verb has no such option.
static const char *option(const struct ctl *ctl, const char *name)
{
    return verb_option(ctl->args.verb, name) ? args_value(&ctl->args, name) : NULL;
}

static void add_word(struct text *t, const char *word)
{
    bool plain = *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-+=./:,@%")];
    text_addc(t, ' ');
    if (plain) {
        text_add(t, word);
        return;
    }
    text_addc(t, '\'');
    for (; *word; word++)
        if (*word == '\'')
            text_add(t, "'\\''");
        else
            text_addc(t, *word);
    text_addc(t, '\'');
}

// The same command with the token, for a shell.
static void print_command(const struct args *a, const char *token)
{
    AUTO(text) struct text t = {0};
    text_addf(&t, "schedctl %s --apply %s", a->verb->name, token);
    for (size_t i = 0; i < a->options_count; i++) {
        AUTO(text) struct text option = {0};
        text_addf(&option, "--%s", a->options[i].opt->name);
        add_word(&t, text_str(&option));
        if (a->options[i].value)
            add_word(&t, a->options[i].value);
    }
    for (size_t i = 0; i < a->operands_count; i++)
        add_word(&t, a->operands[i]);
    if (a->program)
        text_add(&t, " --");
    for (size_t i = 0; a->program && a->program[i]; i++)
        add_word(&t, a->program[i]);
    printf("Nothing has been changed. To do it:\n  %s\n", text_str(&t));
}

int plan_run(struct ctl *ctl, json_t *changes, bool applicable)
{
    struct err err;
    const char *token = option(ctl, "apply");
    json_t *answer = NULL, *body = json_pack("{s:o}", "changes", changes);
    if (body && token)
        json_object_set_new(body, "apply", json_string(token));
    if (!body)
        return complain(CTL_USAGE, "the request is not UTF-8 text");
    int rc = ctl_connect(ctl, &err);
    if (!rc)
        rc = client_post(ctl->client, "/v1/plan", body, &answer, &err);
    if (!rc && ctl->json) {
        ctl_print_json(answer);
    } else if (!rc && token) {
        if (get_int(answer, "id"))
            printf("%" PRId64 "\n", get_int(answer, "id"));
    } else if (!rc) {
        print(answer);
        if (applicable)
            print_command(&ctl->args, get_str(answer, "token"));
        else
            printf("Nothing has been changed.\n");
    }
    json_decref(body);
    json_decref(answer);
    return rc ? (int)report(&err) : CTL_OK;
}

int plan_nodes(struct ctl *ctl, const char *what, bool applicable)
{
    struct err err;
    const char *reason = option(ctl, "reason");
    AUTO(names) struct names names = {0};
    if (nodenames_parse(&ctl->args, &names, &err))
        return report(&err);
    json_t *changes = json_array();
    for (size_t i = 0; i < names.count; i++) {
        json_t *change = json_pack("{s:s}", what, names.items[i]);
        if (reason)
            json_object_set_new(change, "reason", json_string(reason));
        json_array_append_new(changes, change);
    }
    return plan_run(ctl, changes, applicable);
}
