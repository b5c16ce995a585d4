// oneDNN, known to this file alone: convolution, max pooling and LSTM, forward and backward,
// float32.
//
// An operation is made once for fixed shapes and used again for each batch; every pointer is plain
// row-major memory of the caller's with the shape that stands beside it, and only borrowed for the
// call. One thread makes and uses an operation. Same input, same number of threads: same bits. What
// oneDNN refuses is a bug of ours and aborts.
//
//     struct onednn_conv *c = onednn_conv_new(64, 28, 28, 1, 16, 3);
//     onednn_conv_forward(c, x, weight, bias, y);                  // [64][28][28][16]
//     onednn_conv_backward(c, x, weight, gy, gx, gweight, gbias);  // gx NULL: not wanted
#pragma once

#include <stddef.h>

// Threads that oneDNN itself uses, from here on.
void onednn_set_threads(int threads);

// Convolution, stride 1, zero padding that keeps height and width (kernel odd).
// x [n][height][width][in], y [n][height][width][out], weight [out][in][kernel][kernel], bias
// [out].
struct onednn_conv;
struct onednn_conv *onednn_conv_new(size_t n, size_t height, size_t width, size_t in, size_t out,
                                    size_t kernel);
void onednn_conv_free(struct onednn_conv *c);
void onednn_conv_forward(struct onednn_conv *c, const float *x, const float *weight,
                         const float *bias, float *y);
// Overwrites gx, gweight and gbias.
void onednn_conv_backward(struct onednn_conv *c, const float *x, const float *weight,
                          const float *gy, float *gx, float *gweight, float *gbias);

// Max pooling over windows of size x size that don't overlap; what is left at the edge is dropped.
// x [n][height][width][channels], y [n][height / size][width / size][channels].
struct onednn_pool;
struct onednn_pool *onednn_pool_new(size_t n, size_t height, size_t width, size_t channels,
                                    size_t size);
void onednn_pool_free(struct onednn_pool *p);
void onednn_pool_forward(struct onednn_pool *p, const float *x, float *y);
// Of the last forward. Overwrites gx.
void onednn_pool_backward(struct onednn_pool *p, const float *gy, float *gx);

// LSTM (Hochreiter and Schmidhuber 1997; gates i, f, c, o as oneDNN documents them), one layer,
// from a state of zeros. x [time][n][in], y [time][n][hidden], wx [in][4][hidden], wh
// [hidden][4][hidden], bias [4][hidden].
struct onednn_lstm;
struct onednn_lstm *onednn_lstm_new(size_t time, size_t n, size_t in, size_t hidden);
void onednn_lstm_free(struct onednn_lstm *l);
void onednn_lstm_forward(struct onednn_lstm *l, const float *x, const float *wx, const float *wh,
                         const float *bias, float *y);
// Of the last forward, with the same x, y and parameters. Overwrites gx (never NULL), gwx, gwh and
// gbias.
void onednn_lstm_backward(struct onednn_lstm *l, const float *x, const float *wx, const float *wh,
                          const float *bias, const float *y, const float *gy, float *gx, float *gwx,
                          float *gwh, float *gbias);
