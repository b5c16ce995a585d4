// What tests of queues, accounts, users, QoS and limits share: one node of 64 cores and 8 GPUs,
// rows set by "key=value ...", submissions by user, and what was answered.
#pragma once

#include "tests/unit/core_harness.h"

#include <stdio.h>

enum { ANN = 7, BEN = 8, NODE_CORES = 64 };

struct stage {
    struct harness h;
    struct text said; // replies, a line each
    uint64_t session, uid, request;
};

static inline void on_effect(void *arg, const struct effect *e)
{
    struct stage *s = arg;
    if (e->kind == EFFECT_WELCOME)
        s->session = e->session;
    if (e->kind != EFFECT_REPLY)
        return;
    if (e->reply.ok)
        text_add(&s->said, "ok");
    else
        reason_text(&e->reply.reason, NULL, e->reply.detail, &s->said);
    text_addc(&s->said, '\n');
}

static inline void expect(struct text *got, const char *want)
{
    assert_string_equal(text_str(got), want);
    text_clear(got);
}

#define expect_reply(s, want) expect(&(s)->said, want "\n")
#define expect_story(s, want) expect(&(s)->h.story, want)

static inline int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof *s);
    harness_init(&s->h);
    s->h.on_effect = on_effect;
    s->h.arg = s;
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = "n1";
    in.link_up.link = 11;
    harness_step(&s->h, &in);
    in = (struct input){.kind = INPUT_HELLO};
    in.hello = (struct input_hello){.node = {1},
                                    .session = s->session,
                                    .inc = {"m", "b", 100},
                                    .term_seen = s->h.meta.term,
                                    .journal_intact = true,
                                    .request = ++s->request,
                                    .cores = NODE_CORES,
                                    .gpus = 8,
                                    .memory_mib = 100000};
    harness_step(&s->h, &in);
    text_clear(&s->said);
    text_clear(&s->h.story);
    *state = s;
    return 0;
}

static inline int teardown(void **state)
{
    struct stage *s = *state;
    harness_compare(&s->h);
    harness_restart(&s->h, true);
    harness_compare(&s->h);
    harness_fini(&s->h);
    text_free(&s->said);
    free(s);
    return 0;
}

// "key=value key=value" over what stands, or over a new row.
static inline void put_as(struct stage *s, const struct caller *who, enum rule_mode mode,
                          enum rule_kind k, const char *name, const char *settings)
{
    harness_put(&s->h, who, mode, k, name, settings);
}

static const struct caller operator= {.reply_to = 1, .uid = 0, .admin = true};

static inline void put(struct stage *s, enum rule_kind k, const char *name, const char *settings)
{
    put_as(s, &operator, RULE_PUT, k, name, settings);
}

static inline void must_put(struct stage *s, enum rule_kind k, const char *name,
                            const char *settings)
{
    text_clear(&s->said);
    put(s, k, name, settings);
    expect_reply(s, "ok");
    text_clear(&s->h.story);
}

static inline void drop(struct stage *s, enum rule_kind k, const char *name)
{
    struct input in = {.kind = INPUT_RULE_REMOVE, .caller = operator};
    in.rule_name.kind = k;
    in.rule_name.name = name;
    harness_step(&s->h, &in);
}

struct asked {
    int32_t tasks, cpus, gpus;
    int64_t memory_mib, time_ms, array;
    const char *queue, *account, *qos;
    bool unsatisfiable; // may be
};

static inline void submit(struct stage *s, uint32_t uid, struct asked a)
{
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = uid}};
    in.submit = (struct input_submit){.uid = {++s->uid},
                                      .owner_uid = uid,
                                      .req = {.tasks = a.tasks ? a.tasks : 1,
                                              .cpus = a.cpus ? a.cpus : 1,
                                              .gpus = a.gpus,
                                              .memory_mib = a.memory_mib,
                                              .time_limit_ms = a.time_ms},
                                      .array_count = a.array,
                                      .allow_unsatisfiable = a.unsatisfiable,
                                      .queue = a.queue,
                                      .account = a.account,
                                      .qos = a.qos};
    harness_step(&s->h, &in);
}

static inline void end_uid(struct stage *s, uint64_t uid)
{
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {1},
                                .session = s->session,
                                .attempt = {{0xc1}, {uid}, 1},
                                .started = true,
                                .reason = {.code = REASON_EXITED}};
    harness_step(&s->h, &in);
}

static inline void end(struct stage *s, uint64_t job)
{
    end_uid(s, s->h.jobs[job - 1].uid.v);
}

static inline void expect_waits(struct stage *s, uint64_t job, const char *why)
{
    AUTO(text) struct text t = {0}, limit = {0};
    const struct job *j = cluster_job(s->h.c, (struct job_id){job});
    assert_non_null(j);
    const struct reason *r = cluster_reason(s->h.c, j);
    if (reason_is_limit(r->code))
        cluster_limit_text(s->h.c, r, &limit);
    reason_text(r, NULL, text_str(&limit), &t);
    assert_string_equal(text_str(&t), why);
}

static inline const struct tally *tally_of(struct stage *s, enum rule_kind k, const char *name)
{
    return rule_find(s->h.c, k, name)->tally;
}

// physics: ann and ben.
static inline void make_physics(struct stage *s, const char *limits)
{
    must_put(s, RULE_ACCOUNT, "physics", limits);
    must_put(s, RULE_USER, "ann", "account=physics uid=7");
    must_put(s, RULE_USER, "ben", "account=physics uid=8");
}
