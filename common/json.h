// JSON written straight into a text: for answers of many thousands of objects.
//
// A member or element puts the comma before itself unless it opens its object or array. Strings may
// hold any bytes: what is not UTF-8 becomes U+FFFD, so that the result always parses.
//
//     text_addc(t, '{');
//     put_int(t, "id", 17);
//     put_str(t, "name", name);       // NULL: null
//     text_addc(t, '}');
#pragma once

#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

// The comma, if one is due.
void put_next(struct text *t);
// Comma and `"key":`; keys are ours and need no escape.
void put_key(struct text *t, const char *key);
void put_open(struct text *t, const char *key, char bracket); // key NULL: an element
void put_int(struct text *t, const char *key, int64_t v);
// null for 0: times, ids.
void put_int_or_null(struct text *t, const char *key, int64_t v);
// key NULL: an element.
// Thousandths as a decimal number: 1500 is 1.5.
void put_milli(struct text *t, const char *key, int64_t milli);
void put_str(struct text *t, const char *key, const char *s);
void put_bool(struct text *t, const char *key, bool v);
void put_null(struct text *t, const char *key);
// The value alone.
void put_number(struct text *t, int64_t v);
void put_string(struct text *t, const char *s, size_t len);
