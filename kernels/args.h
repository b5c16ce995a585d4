// What the verbs' options have in common.
#pragma once

#include "kernels/corpus.h"
#include "kernels/loss.h"

#include <argp.h>

// Ends the program with a usage message when the argument is no such number.
int64_t arg_whole(struct argp_state *state, const char *name, const char *arg, int64_t min,
                  int64_t max);
float arg_real(struct argp_state *state, const char *name, const char *arg, float max);
enum loss_kind arg_loss(struct argp_state *state, const char *arg);
// True: json; "text" is false.
bool arg_json(struct argp_state *state, const char *arg);
// Of several tasks that were started alike, does this one say what is wrong with their arguments?
bool args_speaks(void);
// argp_parse(), with one message for all tasks.
void args_parse(const struct argp *parser, int argc, char **argv, void *input);
// Threads of the primitives: what --threads says, else $MUSTER_CPUS, else 1.
void set_threads(int64_t wanted);

// The verbs: argv[0] is the verb. Return the exit code.
int train_main(int argc, char **argv);
int eval_main(int argc, char **argv);
