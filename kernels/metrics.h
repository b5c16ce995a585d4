// How well a classifier did: mean loss, and a confusion matrix with what follows from it.
//
// Precision of class k: right / all that were called k. Recall: right / all that are k. F1: their
// harmonic mean. Where nothing was called k, or nothing is, the value is 0. Macro: the mean over
// the classes.
#pragma once

#include "common/text.h"

#include <stddef.h>
#include <stdint.h>

struct metrics {
    size_t classes;
    // [0]: sum of losses, [1]: samples, then the matrix [class][called]: doubles, so that tasks can
    // add theirs up (exact to 2^53).
    double *sums;
};

void metrics_init(struct metrics *m, size_t classes);
void metrics_fini(struct metrics *m);
void metrics_reset(struct metrics *m);
size_t metrics_sums_count(const struct metrics *m);
void metrics_add(struct metrics *m, double loss_sum, const int32_t *labels, const int32_t *called,
                 size_t n);

double metrics_loss(const struct metrics *m);     // mean
double metrics_accuracy(const struct metrics *m); // per cent
double metrics_count(const struct metrics *m, size_t label, size_t called);
struct class_metrics {
    double precision, recall, f1; // 0 .. 1
    double count;                 // samples of the class
};
struct class_metrics metrics_class(const struct metrics *m, size_t k);
double metrics_macro_f1(const struct metrics *m);

// A table by class with the confusion matrix; name(arg, k, buffer) gives a class's name.
typedef const char *metrics_name(const void *arg, size_t k, char number[static 24]);
void metrics_table(const struct metrics *m, metrics_name *name, const void *arg, struct text *ret);
// The same as one JSON object on one line.
void metrics_json(const struct metrics *m, metrics_name *name, const void *arg, struct text *ret);
