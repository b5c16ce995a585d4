// Values of the API as people read them.
#pragma once

#include "common/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// "" / 0 for what is absent or null.
const char *get_str(const json_t *object, const char *key);
int64_t get_int(const json_t *object, const char *key);
// Thousandths of a number that is not negative.
int64_t get_milli(const json_t *object, const char *key);
bool is_null(const json_t *object, const char *key);

// "1.5"
void add_amount(struct text *t, const json_t *object, const char *key);
// "17" or, for an element of an array, "17_3".
void add_job_name(struct text *t, const json_t *job);
// "14:03:21" today, "Nov 23 14:03" in the last half year, else "2026-11-23"; nothing for 0.
void add_time(struct text *t, int64_t at_ms, int64_t now_ms);
// "2026-11-23 14:03:21"
void add_full_time(struct text *t, int64_t at_ms);
// "reservation "x" from ... to ..." of one in a node's `reservations`; nothing for NULL.
void add_reservation(struct text *t, const json_t *of);
// "7s", "3m12s", "2h05m", "4d03h"
void add_elapsed(struct text *t, int64_t ms);
// How long it has run, or ran.
void add_job_elapsed(struct text *t, const json_t *job, int64_t now_ms);
// The reason's text, "" if there is none.
const char *reason_of(const json_t *object);
bool state_ended(const char *state);
