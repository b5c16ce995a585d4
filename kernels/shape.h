// What one sample looks like between two layers, and the samples of one pass.
//
// A shape is an image [height][width][channels], a vector (height = width = 1), or a sequence: of
// vectors [time][channels], or of token ids (channels 0; height is the vocabulary's size, id 0
// stands after the end). Memory is row-major float32; a batch of images or vectors is
// [n][height][width][channels], a batch of sequences [time][rows][channels] with rows >= n, so that
// one time step lies together.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

struct shape {
    bool sequence;
    size_t height, width, channels;
};

// Steps of a pass are a multiple of this, so that few different numbers occur.
enum { BATCH_STEPS = 4 };

struct batch {
    size_t n, rows;         // samples; rows of every buffer (the most samples of a pass)
    const float *x;         // [rows][height][width][channels]; NULL for token ids
    const int32_t *ids;     // [n][time_max], 0 after the end
    const int32_t *lengths; // [n], 1 .. time
    size_t time, time_max;  // steps of this pass, and at most; multiples of BATCH_STEPS
};

static inline struct shape shape_vector(size_t channels)
{
    return (struct shape){.height = 1, .width = 1, .channels = channels};
}

// Elements of one image or vector, or of one step of a sequence.
static inline size_t shape_elements(struct shape s)
{
    return s.height * s.width * s.channels;
}

// "28 x 28 x 1", "128", "steps x 128", "token ids".
void shape_text(struct shape s, struct text *ret);
