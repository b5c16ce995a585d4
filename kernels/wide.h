// For functions that are loops over many numbers: WIDE compiles one for several vector widths, of
// which the program takes the processor's when it starts.
//
// Element by element, with nothing contracted to fused operations (the build sets
// -ffp-contract=off), so that the result is the same bits with every width: tasks on different
// processors take the same optimiser steps. Sums over elements are not for WIDE loops.
#pragma once

#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif
