// What the readers of the formats share: the line at hand, columns by name, values with a
// complaint that names the place. Private to this directory.
#pragma once

#include "simulate/fields.h"
#include "simulate/lines.h"
#include "simulate/nodes.h"
#include "simulate/trace.h"

enum { COLUMNS_MAX = 24 };

struct column {
    const char *names; // alternatives, "AllocCPUS|NCPUS"; the first is the best
    bool required;     // a file without it is not of this format
};

struct reader;
struct format {
    const char *name, *what;
    char delimiter;               // of a format with a header line; 0: no header
    const struct column *columns; // of the header
    size_t columns_count;
    // Formats without a header: is this first line one of theirs?
    bool (*knows)(const char *line, size_t len);
    // The next line: by columns, or as it is.
    void (*row)(struct reader *r);
    void (*line)(struct reader *r, char *line, size_t len);
    bool nodes; // it describes a cluster, not a workload
};

struct reader {
    struct lines *lines;
    const struct format *format;
    struct trace *trace;     // of a workload
    struct node_list *nodes; // of a cluster
    struct complaints *bad;
    struct fields fields;     // of the line at hand
    int columns[COLUMNS_MAX]; // where each of format->columns is in them; -1: nowhere
};

// The first line decides; *ret_header: it is a header and holds no data. NULL: none of them.
const struct format *format_recognise(const struct format *const *formats, char *line, size_t len,
                                      struct reader *r);
// Reads all lines with the one of the formats (NULL-terminated) that the first line shows.
int reader_run(struct reader *r, const struct format *const *formats, struct err *err);

// "x.csv:12:8: ..." about the line at hand. column 0: all of it.
void reader_complain(struct reader *r, int64_t column, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The field of format->columns[column] in the line at hand; "" if there is none.
const char *reader_text(const struct reader *r, int column);
int reader_place(const struct reader *r, int column);
// A number in [min, max] (of thousandths: reader_milli), or `missing` where the field is empty or
// absent. False: complained.
bool reader_int(struct reader *r, int column, const char *what, int64_t min, int64_t max,
                int64_t missing, int64_t *ret);
bool reader_milli(struct reader *r, int column, const char *what, int64_t min, int64_t max,
                  int64_t missing, int64_t *ret);
// Adds a job to the trace, which takes a copy; job->number 0: counted.
void reader_job(struct reader *r, const struct trace_job *job);
// A name that lives as long as the trace; NULL for "".
const char *reader_name(struct reader *r, const char *name);
