// Reads a network's list of layers. Private to network.c.
#pragma once

#include "kernels/layer.h"

// Fills layers[0 .. *ret_count) with kinds and numbers; the word "classes" is a number. Shapes are
// not looked at. E_INVALID names the layer.
int recipe_parse(const char *recipe, size_t classes, size_t max, struct layer *layers,
                 size_t *ret_count, struct err *err);
