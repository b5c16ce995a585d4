// What a job asks of nodes beyond amounts: terms on labels and built-in properties.
//
//     gpu.model=V100M16|V100M32 & zone=a & !spot
//
// All terms must hold. `key` is true where the node has that label; `key=a|b` where its value is
// one of these; `!` turns a term round. Built in: gpu.model, gpu.memory (of one GPU, =, >=, <=,
// with a size such as 40GiB), node (its name), switch (its place in the switch tree: spine1 is
// above spine1/rack3). What a node did not tell is not true of it.
//
// A text is kept once, as long as a live job names it, with the set of nodes that it holds for.
// Ids are not used again: the rows of ended jobs still name them.
#pragma once

#include "common/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

enum {
    SELECTOR_TEXT_MAX = 255,
    SELECTOR_TERMS_MAX = 16,
    SELECTORS_MAX = 4096, // with a live job
};

struct selector_id {
    uint32_t v;
};

struct cluster;
struct node;

enum selector_test { SELECTOR_HAS, SELECTOR_IS, SELECTOR_AT_LEAST, SELECTOR_AT_MOST };

// Lengths and offsets are in the selector's text.
struct selector_term {
    bool negated;
    enum selector_test test;
    uint16_t key, key_len;
    uint16_t values, values_len; // "a|b"
    int64_t mib;                 // of a size
};

struct selector {
    struct selector_id id;
    char text[SELECTOR_TEXT_MAX + 1];

    // Not stored.
    uint32_t jobs;  // live ones that name it
    uint32_t usual; // usual tasks that name it
    struct selector_term terms[SELECTOR_TERMS_MAX];
    int terms_count;
    uint16_t wrong_at; // where parsing stopped
    uint64_t *nodes;   // bit id - 1: it holds for the node
    size_t words;
    bool stored;
    UT_hash_handle by_id, by_text;
};

// name, kind, member
#define SELECTOR_COLUMNS(X) \
    X(id, I64, id.v)        \
    X(text, TEXT, text)

// The terms of s->text. NULL, or what is wrong with it, at s->wrong_at.
const char *selector_parse(struct selector *s);
bool selector_holds(const struct selector *s, const struct node *n);
