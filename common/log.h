// The log of a process: one line an event on stderr, `time level area event key=value ...`, or JSON
// objects. Shells log; cores emit notes that their shell logs when the turn they belong to is
// durable.
//
//     log_info("link", "agent connected", "node=%s session=%" PRIu64, name, session);
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

// Process-wide, set once in main(). `program` is kept by reference.
void log_init(const char *program, enum log_level least, bool json);
// "debug", "info", "warning", "error"; false if unknown.
bool log_level_parse(const char *word, enum log_level *ret);

void log_event(enum log_level level, const char *area, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_debug(area, event, ...) log_event(LOG_LEVEL_DEBUG, area, event, __VA_ARGS__)
#define log_info(area, event, ...) log_event(LOG_LEVEL_INFO, area, event, __VA_ARGS__)
#define log_warning(area, event, ...) log_event(LOG_LEVEL_WARNING, area, event, __VA_ARGS__)
#define log_error(area, event, ...) log_event(LOG_LEVEL_ERROR, area, event, __VA_ARGS__)
