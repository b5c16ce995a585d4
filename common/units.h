// Sizes and durations as people write them.
//
// Sizes: a number with KiB, MiB, GiB, TiB or (same meaning, as in Slurm) K, M, G, T. A bare number
// is refused: its unit would be a guess. Durations: "90s", "15m", "2h", "1d", "1h30m", "500ms", or
// Slurm's [days-]HH:MM:SS and MM:SS. Amounts: "2", "0.5", "1.25": thousandths are the least.
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdint.h>

// MiB, rounded up; 0 < result <= 2^40. `what` names the value in the message.
int parse_size_mib(const char *s, const char *what, int64_t *ret_mib, struct err *err);
// Milliseconds; 0 <= result <= 10 years.
int parse_duration_ms(const char *s, const char *what, int64_t *ret_ms, struct err *err);
// A whole decimal integer in [min, max].
int parse_int(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret,
              struct err *err);
// Thousandths, in [min, max].
int parse_amount(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret,
                 struct err *err);
// "2", "0.5", "1.25"; of what is not negative.
void text_add_milli(struct text *t, int64_t milli);
// "512 MiB", "1.5 GiB"
void text_add_size_mib(struct text *t, int64_t mib);
// "2027-01-04T08:00:00Z": milliseconds since 1970, as UTC.
void text_add_time_ms(struct text *t, int64_t at_ms);
// "250 ms", "12 s", "1 h 30 m"
void text_add_duration_ms(struct text *t, int64_t ms);
