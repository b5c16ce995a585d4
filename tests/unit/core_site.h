// A small cluster whose agents only say hello: for tests of what the core decides.
#pragma once

#include "tests/unit/core_harness.h"

#include "scheduler/core/state.h"

#include <stdio.h>

struct site {
    struct harness h;
    uint64_t session, link, uid;
};

static inline void site_hears(void *arg, const struct effect *e)
{
    struct site *s = arg;
    if (e->kind == EFFECT_WELCOME)
        s->session = e->session;
}

static inline int site_setup(void **state)
{
    struct site *s = xcalloc(1, sizeof *s);
    harness_init(&s->h);
    s->h.on_effect = site_hears;
    s->h.arg = s;
    *state = s;
    return 0;
}

static inline int site_teardown(void **state)
{
    struct site *s = *state;
    harness_compare(&s->h);
    harness_fini(&s->h);
    free(s);
    return 0;
}

// For tests that leave the state as no store has it.
static inline int site_teardown_plain(void **state)
{
    struct site *s = *state;
    harness_fini(&s->h);
    free(s);
    return 0;
}

// The next node, named n1, n2 ...; what h leaves out is made up.
static inline void site_join(struct site *s, struct input_hello h)
{
    char name[16], machine[16];
    uint32_t id = (uint32_t)s->h.c->nodes_count + 1;
    snprintf(name, sizeof name, "n%u", id);
    snprintf(machine, sizeof machine, "m%u", id);
    struct input up = {.kind = INPUT_LINK_UP};
    up.link_up.name = name;
    up.link_up.link = ++s->link;
    harness_step(&s->h, &up);
    struct input in = {.kind = INPUT_HELLO, .hello = h};
    in.hello.node.v = id;
    in.hello.session = s->session;
    in.hello.inc = (struct incarnation){.boot_id = "b", .state_id = id};
    memcpy(in.hello.inc.machine_id, machine, sizeof machine);
    in.hello.term_seen = s->h.meta.term;
    in.hello.journal_intact = true;
    in.hello.request = 1;
    harness_step(&s->h, &in);
    text_clear(&s->h.story);
}

static inline void site_submit(struct site *s, struct input_submit submit)
{
    struct input in = {.kind = INPUT_SUBMIT, .submit = submit};
    in.submit.uid.v = ++s->uid;
    harness_step(&s->h, &in);
}

static inline void site_ask(struct site *s, struct request req)
{
    site_submit(s, (struct input_submit){.req = req});
}

static inline const struct job *site_job(struct site *s, uint64_t id)
{
    return job_find(s->h.c, (struct job_id){id});
}

static inline const struct placement *site_first_part(struct site *s, uint64_t job)
{
    return TAILQ_FIRST(&site_job(s, job)->parts);
}
