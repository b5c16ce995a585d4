// What a waiting job waits for, and what would let it start: answered by a copy (copy.h).
#pragma once

#include "scheduler/shell/server.h"

// Completes the durable answer q->body about a waiting job and answers the request; takes q.
void why_ask(struct read *q);
