// The selectors that live jobs name: each text once, with the nodes that it holds for.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

const struct selector *selector_find(const struct cluster *c, struct selector_id id)
{
    struct selector *s;
    HASH_FIND(by_id, c->selectors_by_id, &id, sizeof id, s);
    return s;
}

static void judge(struct selector *s, const struct node *n)
{
    uint64_t bit = UINT64_C(1) << (n->id.v - 1) % 64, *word = &s->nodes[(n->id.v - 1) / 64];
    *word = selector_holds(s, n) ? *word | bit : *word & ~bit;
}

static void make_room(struct selector *s, size_t nodes)
{
    size_t words = (nodes + 63) / 64;
    if (words <= s->words)
        return;
    words += words / 2;
    s->nodes = xreallocarray(s->nodes, words, sizeof *s->nodes);
    memset(s->nodes + s->words, 0, (words - s->words) * sizeof *s->nodes);
    s->words = words;
}

static struct selector *add(struct cluster *c, const struct selector *row)
{
    struct selector *s = xmemdup(row, sizeof *row);
    HASH_ADD(by_id, c->selectors_by_id, id, sizeof s->id, s);
    HASH_ADD(by_text, c->selectors_by_text, text, strlen(s->text), s);
    make_room(s, c->nodes_count + 1);
    for (size_t i = 0; i < c->nodes_count; i++)
        judge(s, c->nodes[i]);
    return s;
}

// What, where and how else.
static const char *complain(struct cluster *c, const struct selector *s, const char *what,
                            const char *wrong)
{
    if (!s->text[s->wrong_at])
        return arena_printf(&c->arena,
                            "%s \"%s\", at its end: %s. Write terms such as zone=a, "
                            "gpu.model=A|B, gpu.memory>=40GiB or !spot, joined by &.",
                            what, s->text, wrong);
    return arena_printf(&c->arena,
                        "%s \"%s\", at character %d, \"%.16s\": %s. Write terms such as zone=a, "
                        "gpu.model=A|B, gpu.memory>=40GiB or !spot, joined by &.",
                        what, s->text, s->wrong_at + 1, s->text + s->wrong_at, wrong);
}

static const char *get(struct cluster *c, const char *what, const char *text,
                       struct selector_id *ret)
{
    struct selector row = {.id = {c->meta.next_selector}}, *s;
    size_t len = text ? strlen(text) : 0;
    ret->v = 0;
    if (!len)
        return NULL;
    if (len > SELECTOR_TEXT_MAX)
        return arena_printf(&c->arena, "%s has more than %d characters", what, SELECTOR_TEXT_MAX);
    HASH_FIND(by_text, c->selectors_by_text, text, len, s);
    if (!s) {
        memcpy(row.text, text, len);
        const char *wrong = selector_parse(&row);
        if (wrong)
            return complain(c, &row, what, wrong);
        if (HASH_CNT(by_id, c->selectors_by_id) >= SELECTORS_MAX)
            return "live jobs name too many different constraints";
        c->meta.next_selector++;
        meta_mark(c);
        s = add(c, &row);
    }
    *ret = s->id;
    return NULL;
}

const char *selector_get(struct cluster *c, const char *text, struct selector_id *ret)
{
    return get(c, "constraint", text, ret);
}

const char *selector_prefer(struct cluster *c, const char *text, struct selector_id *ret)
{
    return get(c, "prefer", text, ret);
}

static void drop(struct cluster *c, struct selector *s)
{
    HASH_DELETE(by_id, c->selectors_by_id, s);
    HASH_DELETE(by_text, c->selectors_by_text, s);
    free(s->nodes);
    free(s);
}

void selector_hold(struct cluster *c, struct selector_id id)
{
    struct selector *s = (struct selector *)selector_find(c, id);
    if (!s)
        return;
    s->jobs++;
    if (!s->stored) {
        s->stored = true;
        VEC_RESERVE(c->selectors_new, c->out.selectors_count, c->cap.selectors);
        struct selector *row = &c->selectors_new[c->out.selectors_count++];
        *row = (struct selector){.id = s->id};
        memcpy(row->text, s->text, sizeof row->text);
    }
}

void selector_release(struct cluster *c, struct selector_id id)
{
    struct selector *s = (struct selector *)selector_find(c, id);
    if (s && !--s->jobs && !s->usual)
        drop(c, s);
}

void selector_forget_unused(struct cluster *c, struct selector_id id)
{
    struct selector *s = (struct selector *)selector_find(c, id);
    if (s && !s->jobs && !s->usual)
        drop(c, s);
}

void selector_usual(struct cluster *c, struct selector_id id, int32_t sign)
{
    struct selector *s = (struct selector *)selector_find(c, id);
    if (!s)
        return;
    s->usual += (uint32_t)sign;
    if (sign < 0)
        selector_forget_unused(c, id);
}

void selectors_judge_node(struct cluster *c, const struct node *n)
{
    for (struct selector *s = c->selectors_by_id; s; s = s->by_id.next) {
        make_room(s, c->nodes_count);
        bool held = selector_has(s, n);
        judge(s, n);
        if (held == selector_has(s, n))
            continue;
        c->usable_gen++; // what classes know of the nodes is of another cluster
        node_grew(c, n);
    }
}

bool selector_has(const struct selector *s, const struct node *n)
{
    return !s || s->nodes[(n->id.v - 1) / 64] >> (n->id.v - 1) % 64 & 1;
}

void selectors_fini(struct cluster *c)
{
    struct selector *s, *next;
    for (s = c->selectors_by_id; s; s = next) {
        next = s->by_id.next;
        drop(c, s);
    }
    free(c->selectors_new);
}

int cluster_load_selector(struct cluster *c, const struct selector *row, struct err *err)
{
    struct selector s = {.id = row->id, .stored = true};
    memcpy(s.text, row->text, sizeof s.text);
    s.text[SELECTOR_TEXT_MAX] = 0;
    if (!s.id.v || s.id.v >= c->meta.next_selector || selector_find(c, s.id) || selector_parse(&s))
        return fail(err, E_CORRUPT, "selector %u makes no sense", s.id.v);
    add(c, &s);
    return 0;
}
