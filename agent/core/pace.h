// How fast something may go on: a bucket that fills with time. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PACE_SAMPLES_BURST = 16 };

// A bucket of `most` units that fills with so many thousandths of a unit a second.
struct pace {
    int64_t most, milli_per_s; // both at most 2^33
    int64_t micro;             // what is there, in millionths
    int64_t at_ms;             // 0: never looked at: full
};
// What a task of a job of so many may send: two samples a second and a burst at first, at most
// 1,000 samples a second for the whole job.
struct pace pace_samples(int64_t tasks);
// Takes `units` if there is at least one; the bucket may fall below zero.
bool pace_take(struct pace *p, int64_t now_ms, int64_t units);
