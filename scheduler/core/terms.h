// What few jobs ask for beside resources: other jobs that they wait for, a time before which they
// do not begin, one by which they must be over, and how many elements of an array live at once. A
// job has a pointer to its terms; most have none.
//
// A job whose terms keep it waiting is in the queue, and in no class: no pass looks at it. What it
// waits for is told as its own reason. terms.c has what is common to all terms and the begin time,
// depend.c other jobs, singleton.c those of the same name, deadline.c the deadline.
//
//     depends_parse("afterok:12:13_2,afterany:9,singleton", &list, &wrong);
//     depends_text(&list, &text);          // the same again
//     depends_clear(&list);
#pragma once

#include "common/arena.h"
#include "common/ids.h"
#include "common/text.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

struct job;

enum { DEPENDS_MAX = 1000 };

// Name, word, what the other job must have done, what it did instead.
#define DEPEND_TABLE(X)                                                      \
    X(AFTER, "after", "start", "")                                           \
    X(AFTEROK, "afterok", "complete", "did not complete")                    \
    X(AFTERNOTOK, "afternotok", "end otherwise than completed", "completed") \
    X(AFTERANY, "afterany", "end", "")                                       \
    X(SINGLETON, "singleton", "end", "") /* every earlier job of its owner's with its name */

enum depend_kind {
#define X(name, word, to, instead) DEPEND_##name,
    DEPEND_TABLE(X)
#undef X
        DEPEND_KIND_COUNT
};
const char *depend_word(enum depend_kind k);

enum { ELEMENT_NONE = -1 };

// One job that another one waits for. What holds already is not kept; what can never hold is.
struct depend {
    enum depend_kind kind;
    struct job_id job; // 0: SINGLETON
    int64_t element;   // of that array; ELEMENT_NONE: the job, the whole array
    bool never;
    // Not stored.
    struct job *of;
    struct awaited *on; // NULL: it waits for nothing that may come
    TAILQ_ENTRY(depend) link, on_link;
};
TAILQ_HEAD(depend_list, depend);

struct job_terms {
    struct depend_list depends;
    int64_t begin_ms, deadline_ms; // wall clock; 0: none
    int32_t array_limit;           // elements that live at once; 0: all
    bool cancel_if_never;          // end it when it can never start
    // Not stored.
    struct job *of;
    bool waits;   // is in the queue, and in no class
    bool changed; // is among those to be looked at
    bool in_begins, in_deadlines;
    uint64_t seen;  // number of the last search for a cycle that came to it
    int64_t due_ms; // wall clock: when something is to be done for the deadline
    RB_ENTRY(job_terms) begin_link, deadline_link;
};

// What became of a job, as far as dependencies ask.
struct job_fate {
    bool known; // there is, or was, such a job
    bool begun; // it has started, or ended without; of an array: all its elements
    bool ended;
    bool completed;
};
struct job_fate job_fate(const struct job *j);

enum depend_holds { DEPEND_OPEN, DEPEND_HOLDS, DEPEND_NEVER };
enum depend_holds depend_holds(enum depend_kind k, const struct job_fate *f);

// Appends to *ret; false: *ret_wrong says where it makes no sense, at most WRONG_BYTES. "!" behind
// a job's number marks what can never hold, as it is stored.
enum { DEPEND_WRONG_BYTES = 160 };
bool depends_parse(const char *text, struct depend_list *ret, char *ret_wrong);
void depends_text(const struct depend_list *list, struct text *ret);
size_t depends_count(const struct depend_list *list);
void depends_clear(struct depend_list *list);
// "12", "12_3"
void depend_add_name(const struct depend *d, struct text *ret);

// The first thing wrong with them, or NULL; t may be NULL.
const char *terms_wrong(const struct job_terms *t);
struct job_terms *terms_new(void);
// What is stored of them; from the arena, or (NULL) the heap. NULL gives NULL.
struct job_terms *terms_copy(const struct job_terms *from, struct arena *in);
void terms_free(struct job_terms *t);
// Those of a row that is being read, made if need be.
struct job_terms *terms_of_row(struct job *row);
bool terms_read_depends(struct job *row, const char *text);
void terms_depends_text(const struct job *row, struct text *ret);
