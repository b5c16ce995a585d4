// What a job's tasks report, in one line: "[####......]  41 %  train  step 41/100  loss 0.4121".
#pragma once

#include "common/text.h"

#include <jansson.h>

enum { PROGRESS_BAR = 20, PROGRESS_BAR_SHORT = 8 };

// metrics: the API's "metrics" of a job, or NULL or null: appends nothing. Without "progress" no
// bar is drawn.
void progress_text(const json_t *metrics, int bar, struct text *ret);
// "[####......]  41 %"; part from 0 to 1.
void progress_bar(double part, int bar, struct text *ret);
// A value of a metric: "0.4121", "12000", "nan".
void metric_value(const json_t *v, struct text *ret);
void metric_number(double v, struct text *ret);
