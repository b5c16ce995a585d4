// Faults that are planted on purpose, to prove that the simulator finds them (tests/sim). In every
// other build PLANTED() is the constant false, and nothing of it is left in the objects.
//
//     if (PLANTED(REUSE_ATTEMPT)) ...
#pragma once

// Name; what goes wrong.
#define PLANTED_TABLE(X) X(NONE, "nothing")

#ifdef MUSTER_PLANTED
enum planted {
#define X(name, text) PLANTED_##name,
    PLANTED_TABLE(X)
#undef X
        PLANTED_COUNT
};
extern enum planted planted;
#define PLANTED(name) (planted == PLANTED_##name)
#else
#define PLANTED(name) false
#endif
