// The tokens of a text model: characters (code points) or words (between white space), each with an
// id. Id 0 stands after a text's end, 1 for every unknown token; the others follow by how often
// they occur in the training texts, the more frequent first, equals in order of their bytes.
//
//     vocabulary_count(&v, text, len);   // for each training text
//     vocabulary_close(&v, 20000);
//     n = vocabulary_ids(&v, text, len, max, ids);
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VOCABULARY_UNKNOWN = 1, VOCABULARY_FIRST = 2, VOCABULARY_MAX = 1 << 20 };

struct token;
struct vocabulary {
    bool words;
    size_t size; // ids are below it
    struct token *by_text;
};

void vocabulary_free(struct vocabulary *v);
// Texts are valid UTF-8.
void vocabulary_count(struct vocabulary *v, const char *text, size_t len);
// Keeps tokens that occur twice, and of them the most frequent, so that size is at most `max`.
void vocabulary_close(struct vocabulary *v, size_t max);
// The first ids of a text, at most max; returns how many.
size_t vocabulary_ids(const struct vocabulary *v, const char *text, size_t len, size_t max,
                      int32_t *ret);
// Tokens in the order of their ids, each ended by a newline; and back. E_CORRUPT: one is empty or
// occurs twice.
void vocabulary_text(struct vocabulary *v, struct text *ret);
int vocabulary_parse(struct vocabulary *ret, bool words, const char *text, size_t len,
                     struct err *err);

// Bytes of the code point at text; 0: it is no valid UTF-8 (RFC 3629).
size_t utf8_length(const char *text, size_t len);
