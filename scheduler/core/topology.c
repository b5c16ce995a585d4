#include "scheduler/core/topology.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

static struct branch *find(const struct topology *t, char kind, const char *path, size_t len)
{
    char key[128];
    struct branch *b;
    CHECK(len + 1 < sizeof key);
    key[0] = kind;
    memcpy(key + 1, path, len);
    HASH_FIND(hh, t->by_path, key, len + 1, b);
    return b;
}

static struct branch *make(struct topology *t, char kind, const char *path, size_t len,
                           struct branch *parent)
{
    struct branch *b = xcalloc(1, sizeof *b + len + 2);
    b->path[0] = kind;
    memcpy(b->path + 1, path, len);
    b->parent = parent;
    if (parent) {
        b->depth = parent->depth + 1;
        VEC_RESERVE(parent->children, parent->children_count, parent->children_cap);
        parent->children[parent->children_count++] = b;
    }
    HASH_ADD(hh, t->by_path, path, len + 1, b);
    return b;
}

// Deepest first, so that a walk meets the least spread first.
static void list_inner(struct topology *t, struct branch *b)
{
    VEC_RESERVE(t->inner, t->inner_count, t->inner_cap);
    size_t at = t->inner_count++;
    for (; at && t->inner[at - 1]->depth < b->depth; at--)
        t->inner[at] = t->inner[at - 1];
    t->inner[at] = b;
}

// The inner switch of the first len characters.
static struct branch *inner(struct topology *t, const char *path, size_t len)
{
    struct branch *b = find(t, 'I', path, len);
    if (b)
        return b;
    size_t above = len;
    while (above && path[above - 1] != '/')
        above--;
    b = make(t, 'I', path, len, len ? inner(t, path, above ? above - 1 : 0) : NULL);
    if (len)
        list_inner(t, b);
    else
        t->root = b;
    return b;
}

struct branch *topology_leaf(struct topology *t, const char *path)
{
    size_t len = strlen(path), above = len;
    struct branch *b = find(t, 'L', path, len);
    if (b)
        return b;
    while (above && path[above - 1] != '/')
        above--;
    b = make(t, 'L', path, len, inner(t, path, above ? above - 1 : 0));
    VEC_RESERVE(t->leaves, t->leaves_count, t->leaves_cap);
    t->leaves[t->leaves_count++] = b;
    return b;
}

void topology_hang(struct branch *leaf, uint32_t node)
{
    VEC_RESERVE(leaf->nodes, leaf->nodes_count, leaf->nodes_cap);
    size_t at = leaf->nodes_count++;
    for (; at && leaf->nodes[at - 1] > node; at--)
        leaf->nodes[at] = leaf->nodes[at - 1];
    leaf->nodes[at] = node;
}

void topology_unhang(struct branch *leaf, uint32_t node)
{
    size_t at = 0;
    while (at < leaf->nodes_count && leaf->nodes[at] != node)
        at++;
    CHECK(at < leaf->nodes_count);
    leaf->nodes_count--;
    memmove(leaf->nodes + at, leaf->nodes + at + 1, (leaf->nodes_count - at) * sizeof(uint32_t));
}

static void count(struct branch *b, int key, const struct room *m, int32_t sign)
{
    if (key == INDEX_NONE)
        return;
    b->usable += sign;
    b->by_gpus[key / INDEX_CORE_CLASSES] += sign;
    b->by_cores[key % INDEX_CORE_CLASSES] += sign;
    b->free_cores += sign * m->cores;
    b->free_gpus += sign * m->gpus;
}

void topology_count(struct branch *leaf, int key_was, const struct room *was, int key,
                    const struct room *is)
{
    for (struct branch *b = leaf; b; b = b->parent) {
        count(b, key_was, was, -1);
        count(b, key, is, 1);
    }
}

void topology_fini(struct topology *t)
{
    struct branch *b, *next;
    for (b = t->by_path; b; b = next) {
        next = b->hh.next;
        HASH_DELETE(hh, t->by_path, b);
        free(b->children);
        free(b->nodes);
        free(b);
    }
    free(t->leaves);
    free(t->inner);
}
