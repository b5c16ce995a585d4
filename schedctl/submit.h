// Submitting, as `submit` and `run` do it.
#pragma once

#include "schedctl/ctl.h"

// Sends the JobRequest, again while the connection breaks (the request id makes that safe). The
// caller owns *ret, the API's answer.
int submit_request(struct ctl *ctl, const json_t *request, json_t **ret, struct err *err);
