// Singletons: one job of an owner's of this name at a time, in the order of submission. For a name
// of which a job waits so, all jobs that live are known in order of their ids; for others nothing
// is kept, and the first singleton of a name costs a walk over the jobs that live.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

struct same_name {
    uint64_t key;
    struct pointers jobs; // in order of ids; elements are their array's affair
    UT_hash_handle hh;
};

static struct same_name *find(const struct cluster *c, uint64_t key)
{
    struct same_name *s;
    HASH_FIND(hh, c->terms.names, &key, sizeof key, s);
    return s;
}

static bool counts(const struct job *j)
{
    return j->name_key && !j->array.v && !job_state_ended(j->state);
}

static struct depend *singleton_of(const struct job *j)
{
    struct depend *d;
    if (j->terms)
        TAILQ_FOREACH(d, &j->terms->depends, link)
    if (d->kind == DEPEND_SINGLETON)
        return d;
    return NULL;
}

static void fill(struct cluster *c)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        struct same_name *s = counts(j) ? find(c, j->name_key) : NULL;
        if (s)
            pointers_push(&s->jobs, j);
    }
}

static struct same_name *add(struct cluster *c, uint64_t key)
{
    struct same_name *s = xcalloc(1, sizeof *s);
    s->key = key;
    HASH_ADD(hh, c->terms.names, key, sizeof s->key, s);
    return s;
}

static void drop(struct cluster *c, struct same_name *s)
{
    HASH_DELETE(hh, c->terms.names, s);
    free(s->jobs.items);
    free(s);
}

const struct job *singleton_before(const struct cluster *c, const struct job *j)
{
    const struct same_name *s = find(c, j->name_key);
    const struct job *first = s && s->jobs.count ? s->jobs.items[0] : NULL;
    return first && first->id.v < j->id.v ? first : NULL;
}

// The first waits for nobody of its name.
static void let_first(struct cluster *c, struct same_name *s)
{
    struct depend *d = s->jobs.count ? singleton_of(s->jobs.items[0]) : NULL;
    if (d)
        depend_drop(c, d);
    for (size_t i = 0; i < s->jobs.count; i++)
        if (singleton_of(s->jobs.items[i]))
            return;
    drop(c, s);
}

void singleton_changed(struct cluster *c, struct job *j)
{
    struct same_name *s = counts(j) ? find(c, j->name_key) : NULL;
    struct job *other;
    if (!s && counts(j) && singleton_of(j)) {
        s = add(c, j->name_key);
        TAILQ_FOREACH(other, &c->jobs, live_link)
        if (counts(other) && other->name_key == s->key)
            pointers_push(&s->jobs, other);
    }
    if (s)
        let_first(c, s);
}

void singleton_enter(struct cluster *c, struct job *j)
{
    struct same_name *s = counts(j) ? find(c, j->name_key) : NULL;
    if (!c->terms.started)
        return;
    if (s)
        pointers_push(&s->jobs, j); // the newest of all
    singleton_changed(c, j);
}

void singleton_leave(struct cluster *c, struct job *j)
{
    struct same_name *s = j->name_key && !j->array.v ? find(c, j->name_key) : NULL;
    for (size_t i = 0; s && i < s->jobs.count; i++) {
        if (s->jobs.items[i] != j)
            continue;
        memmove(s->jobs.items + i, s->jobs.items + i + 1,
                (--s->jobs.count - i) * sizeof *s->jobs.items);
        let_first(c, s);
        return;
    }
}

void singleton_start(struct cluster *c)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (counts(j) && singleton_of(j) && !find(c, j->name_key))
        add(c, j->name_key);
    fill(c);
    struct same_name *s, *next;
    HASH_ITER(hh, c->terms.names, s, next)
    let_first(c, s);
}

void singleton_fini(struct cluster *c)
{
    struct same_name *s, *next;
    HASH_ITER(hh, c->terms.names, s, next)
    drop(c, s);
}
