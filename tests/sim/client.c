// Users, who submit until they are answered.
#include "tests/sim/client.h"

#include <stdlib.h>

enum { RETRY_LEAST_MS = 300, RETRY_MOST_MS = 20000 };

// ---- sending ----

static void ask_arrives(struct world *w, void *arg, uint64_t n)
{
    (void)n;
    scheduler_ask(sim_of(w), arg);
}

uint64_t note_asked(struct sim *s, struct asked of)
{
    struct client *c = s->client;
    if (c->asked_count == CLIENT_ASKS_MAX)
        return 0;
    c->asked[c->asked_count] = of;
    return ++c->asked_count;
}

void send_ask(struct sim *s, struct asked of, struct ask ask)
{
    struct world *w = &s->world;
    ask.handle = note_asked(s, of);
    if (ask.handle && chance(w, 970)) // else the connection broke
        after(w, spread(w, 0, 500), &s->scheduler.process, ask_arrives, xmemdup(&ask, sizeof ask),
              0);
}

// ---- jobs ----

static void submit(struct sim *s, int wish)
{
    struct asked of = {.of = ASK_WISH, .wish = wish};
    const struct input_submit *in = &s->client->wishes[wish].in;
    struct ask ask = {.in = {.kind = INPUT_SUBMIT, .caller = {.uid = in->owner_uid}}};
    ask.in.submit = *in;
    send_ask(s, of, ask);
    if (chance(&s->world, 100))
        send_ask(s, of, ask); // doubled
}

static void wish_again(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct wish *x = &s->client->wishes[n];
    (void)arg;
    if (x->answered || x->given_up)
        return;
    if (!x->tries)
        wish_terms(s, x);
    submit(s, (int)n);
    s->client->wishes[n].tries++;
    int64_t delay_ms = spread(w, RETRY_LEAST_MS, RETRY_MOST_MS) * s->client->wishes[n].tries;
    after(w, delay_ms, NULL, wish_again, NULL, n);
}

// ---- answers ----

struct answer {
    uint64_t handle;
    bool ok;
    struct job_id job;
    enum reason_code why;
};

static bool is_unsatisfiable(enum reason_code why)
{
    return why == REASON_UNSATISFIABLE || why == REASON_UNSATISFIABLE_TASKS ||
           why == REASON_UNSATISFIABLE_MEMORY || why == REASON_UNSATISFIABLE_GPUS ||
           why == REASON_UNSATISFIABLE_CONSTRAINT || why == REASON_UNSATISFIABLE_RESERVED;
}

// It is not there, for others, or does not hold the job.
static bool is_of_reservation(enum reason_code why)
{
    return why == REASON_NO_SUCH_RULE || why == REASON_NOT_ALLOWED ||
           why == REASON_UNSATISFIABLE_OUTSIDE;
}

// Until an operator allows it, in worlds with rules.
static bool is_not_now(const struct sim *s, enum reason_code why)
{
    bool ruled = why == REASON_LIMIT || why == REASON_NOT_ALLOWED || why == REASON_QUEUE_CLOSED ||
                 why == REASON_NO_SUCH_RULE;
    return why == REASON_IN_RECOVERY || why == REASON_TOO_MANY || (s->ruled && ruled) ||
           (s->preempts && why == REASON_NO_SUCH_RULE);
}

static void answer_heard(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    const struct answer *a = arg;
    struct asked *of = &s->client->asked[a->handle - 1];
    struct wish *x = &s->client->wishes[of->wish];
    (void)n;
    if (of->of == ASK_WISH && a->ok && !x->answered) {
        x->answered = true;
        x->job = a->job;
        s->counts.jobs++;
    } else if (of->of == ASK_WISH && !a->ok && is_of_reservation(a->why)) {
        x->in.reservation = NULL; // then without it
    } else if (of->of == ASK_WISH && !a->ok && is_unsatisfiable(a->why)) {
        x->given_up |= s->calm && s->world.now_ms > s->faults_until_ms + PATIENCE_MS;
    } else if (of->of == ASK_WISH && !a->ok && is_of_terms(s, a->why)) {
        x->given_up = !x->answered;
    } else if (of->of == ASK_WISH && !a->ok && !is_not_now(s, a->why)) {
        broken(s, "a submission was refused: %s", reason_word(a->why));
    } else if (of->of == ASK_FENCE) {
        of->machine->fence_heard = true;
    }
}

void client_answer(struct sim *s, uint64_t handle, bool ok, struct job_id job, bool duplicate,
                   enum reason_code why)
{
    struct world *w = &s->world;
    const struct asked *of = &s->client->asked[handle - 1];
    const struct wish *x = &s->client->wishes[of->wish];
    struct answer a = {handle, ok, job, why};
    (void)duplicate;
    if (ok && of->of == ASK_WISH)
        judge_acknowledged(s, x->in.request_id, job);
    if (ok && of->of == ASK_JOB && of->kind == INPUT_CANCEL)
        judge_cancelled(s, x->job);
    if (chance(w, 960) || of->of == ASK_FENCE) // else the connection broke
        after(w, spread(w, 0, 300), NULL, answer_heard, xmemdup(&a, sizeof a), 0);
}

// ---- life ----

void clients_start(struct sim *s)
{
    struct world *w = &s->world;
    struct client *c = s->client = xcalloc(1, sizeof *c);
    operator_rules_start(s);
    operator_preempt_start(s);
    c->wishes_count = (int)between(w, 20, CLIENT_JOBS_MAX);
    for (int i = 0; i < c->wishes_count; i++) {
        c->wishes[i].in = any_job(s);
        after(w, between(w, 0, s->faults_until_ms), NULL, wish_again, NULL, (uint64_t)i);
    }
    minds_start(s);
    queues_start(s);
    operators_start(s);
    reservations_start(s);
}

bool clients_done(const struct sim *s)
{
    for (int i = 0; i < s->client->wishes_count; i++)
        if (!s->client->wishes[i].answered && !s->client->wishes[i].given_up)
            return false;
    return true;
}

void clients_fini(struct sim *s)
{
    for (size_t i = 0; i < s->client->rows_count; i++)
        free(s->client->rows[i]);
    free(s->client->rows);
    free(s->client);
}
