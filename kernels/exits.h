// Exit codes of muster-ml.
#pragma once

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DATA = 3,     // data, model or checkpoint cannot be used
    EXIT_ALONE = 4,    // the tasks did not find each other
    EXIT_FENCED = 5,   // a later attempt, or another training, keeps the checkpoint
    EXIT_STOPPED = 143 // as asked by SIGTERM, with a checkpoint if there is a directory for it
};
