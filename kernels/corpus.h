// What a model is trained and judged on: a directory with the files of a data set, and what is
// learnt from its training part before the first step (scale of pixels, vocabulary).
//
//     images   train-images-idx3-ubyte[.gz] train-labels-idx1-ubyte[.gz] t10k-...
//     texts    train.txt[.gz] test.txt[.gz]; if there: dev.txt[.gz], class.txt (a name a line)
//
// Where dev is there it is what is looked at while training; else test is.
#pragma once

#include "kernels/dataset.h"
#include "kernels/textfile.h"
#include "kernels/vocabulary.h"

struct corpus_options {
    const char *dir;
    bool words;               // tokens of texts: words, else characters
    size_t vocabulary, steps; // at most so many tokens, tokens of a text
};

struct corpus {
    struct dataset train, dev, test; // dev, train: may be empty
    bool texts;
    size_t classes, time_max;
    float mean, deviation;
    struct vocabulary vocabulary;
    struct class_names names;
};

// For training: all parts. *ret is corpus_free()d by the caller, also after a failure.
int corpus_read(const struct corpus_options *o, struct corpus *ret, struct err *err);
// For a trained model, whose classes, scale or vocabulary stand in *c already: the test part.
int corpus_read_test(const struct corpus_options *o, struct corpus *c, struct err *err);
void corpus_free(struct corpus *c);
struct shape corpus_input(const struct corpus *c);
// A checksum of all samples and labels: equal where tasks have read the same.
uint32_t corpus_sum(const struct corpus *c);
// The class's name, or its number.
const char *corpus_class(const struct corpus *c, size_t k, char number[static 24]);
// What was skipped of its files and which classes have no sample, a line each; empty: nothing.
void corpus_remarks(const struct corpus *c, struct text *ret);
