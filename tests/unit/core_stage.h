// A stage for stories: agents that say what they are told to, and what the core says, line by line.
//
//     join(s, 0);
//     submit(s, (struct request){.tasks = 1, .cpus = 1});
//     expect_lines(&s->sent, "reply ok 1\n");
#pragma once

#include "tests/unit/core_harness.h"

#include <stdio.h>

struct stage {
    struct harness h;
    struct text sent; // effects, a line each
    uint64_t session[4], request[4], link[4];
    uint64_t uid;
};

static inline void say_sent(void *arg, const struct effect *e)
{
    static const char *const names[EFFECT_COUNT] = {"reply", "welcome", "launch",  "go",
                                                    "kill",  "grant",   "end_ack", "close"};
    struct stage *s = arg;
    if (e->kind == EFFECT_WELCOME)
        s->session[e->node.v - 1] = e->session;
    text_addf(&s->sent, "%s", names[e->kind]);
    if (e->kind == EFFECT_REPLY && e->reply.ok)
        text_addf(&s->sent, " ok %" PRIu64 "%s", e->reply.job.v,
                  e->reply.duplicate ? " again" : "");
    else if (e->kind == EFFECT_REPLY) {
        text_addc(&s->sent, ' ');
        reason_text(&e->reply.reason, NULL, e->reply.detail, &s->sent);
    } else
        text_addf(&s->sent, " n%u", e->node.v);
    if (e->kind == EFFECT_LAUNCH)
        text_addf(&s->sent, " attempt %u%s lease %" PRId64, e->attempt.number,
                  e->launch.prepare ? " prepare" : "", e->launch.lease_ms);
    if (e->kind == EFFECT_GRANT)
        text_addf(&s->sent, " %zu for request %" PRIu64, e->grant.count, e->request);
    text_addc(&s->sent, '\n');
}

static inline void expect_lines(struct text *got, const char *want)
{
    assert_string_equal(text_str(got), want);
    text_clear(got);
}

static inline void forget(struct stage *s)
{
    text_clear(&s->h.story);
    text_clear(&s->sent);
}

static inline int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof *s);
    harness_init(&s->h);
    s->h.on_effect = say_sent;
    s->h.arg = s;
    forget(s);
    *state = s;
    return 0;
}

static inline int teardown(void **state)
{
    struct stage *s = *state;
    harness_compare(&s->h);
    harness_fini(&s->h);
    text_free(&s->sent);
    free(s);
    return 0;
}

static inline void pass_ms(struct stage *s, int64_t ms)
{
    s->h.now.boot_ms += ms;
    s->h.now.wall_ms += ms;
    struct input in = {.kind = INPUT_TICK};
    harness_step(&s->h, &in);
}

static inline void connect_node(struct stage *s, int i)
{
    char name[16];
    snprintf(name, sizeof name, "n%d", i + 1);
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = name;
    s->link[i] += 10;
    in.link_up.link = s->link[i] + (uint64_t)i + 1;
    harness_step(&s->h, &in);
}

static inline struct input_hello hello_of(struct stage *s, int i)
{
    struct input_hello h = {
        .node = {(uint32_t)i + 1},
        .session = s->session[i],
        .inc = {.machine_id = "m", .boot_id = "b", .state_id = (uint64_t)i + 100},
        .term_seen = s->h.meta.term,
        .journal_intact = true,
        .request = ++s->request[i],
        .cores = 4,
        .memory_mib = 1000,
    };
    return h;
}

static inline void hello(struct stage *s, const struct input_hello *h)
{
    struct input in = {.kind = INPUT_HELLO, .hello = *h};
    harness_step(&s->h, &in);
}

static inline void join(struct stage *s, int i)
{
    connect_node(s, i);
    struct input_hello h = hello_of(s, i);
    hello(s, &h);
}

static inline void submit(struct stage *s, struct request req)
{
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){.uid = {++s->uid}, .owner_uid = 7, .req = req};
    harness_step(&s->h, &in);
}

static inline struct attempt_id attempt(uint64_t uid, uint32_t number)
{
    return (struct attempt_id){{0xc1}, {uid}, number};
}

static inline void tell(struct stage *s, int node, struct attempt_id id, enum agent_state state)
{
    struct input in = {.kind = INPUT_REPORT};
    in.report.node.v = (uint32_t)node + 1;
    in.report.session = s->session[node];
    in.report.attempt =
        (struct reported_attempt){.id = id, .state = state, .started = state == AGENT_RUNNING};
    harness_step(&s->h, &in);
}

static inline void end(struct stage *s, int node, struct attempt_id id, bool started,
                       struct reason r, const char *detail)
{
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {(uint32_t)node + 1},
                                .session = s->session[node],
                                .attempt = id,
                                .started = started,
                                .reason = r,
                                .detail = detail};
    harness_step(&s->h, &in);
}

static inline void beat(struct stage *s, int node, const struct attempt_id *ids, size_t count)
{
    struct input in = {.kind = INPUT_HEARTBEAT};
    in.heartbeat = (struct input_heartbeat){.node = {(uint32_t)node + 1},
                                            .session = s->session[node],
                                            .request = ++s->request[node],
                                            .attempts = ids,
                                            .attempts_count = count};
    harness_step(&s->h, &in);
}
