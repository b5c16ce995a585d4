// Lists of dependencies as text, and copies of terms.
#include "common/alloc.h"
#include "scheduler/core/job.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[DEPEND_KIND_COUNT] = {
#define X(name, word, to, instead) word,
    DEPEND_TABLE(X)
#undef X
};

const char *depend_word(enum depend_kind k)
{
    return words[k];
}

size_t depends_count(const struct depend_list *list)
{
    const struct depend *d;
    size_t count = 0;
    TAILQ_FOREACH(d, list, link)
    count++;
    return count;
}

void depends_clear(struct depend_list *list)
{
    struct depend *d;
    while ((d = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, d, link);
        free(d);
    }
}

static bool same(const struct depend *a, const struct depend *b)
{
    return a->kind == b->kind && a->job.v == b->job.v && a->element == b->element;
}

// Once is enough.
static void add(struct depend_list *list, const struct depend *from)
{
    struct depend *d;
    TAILQ_FOREACH(d, list, link)
    if (same(d, from))
        return;
    d = xmemdup(from, sizeof *from);
    TAILQ_INSERT_TAIL(list, d, link);
}

__attribute__((format(printf, 2, 3))) static bool complain(char *wrong, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(wrong, DEPEND_WRONG_BYTES, fmt, ap);
    va_end(ap);
    return false;
}

static bool number(const char **at, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = isdigit((unsigned char)**at) ? strtoll(*at, &end, 10) : -1;
    if (*ret < 0 || errno)
        return false;
    *at = end;
    return true;
}

// ":12", ":12_3", ":12!"
static bool take_job(const char **at, struct depend *d, char *wrong)
{
    const char *from = ++*at;
    int64_t id;
    bool good = number(at, &id) && id > 0;
    d->job.v = good ? (uint64_t)id : 0;
    d->element = ELEMENT_NONE;
    if (good && **at == '_') {
        ++*at;
        good = number(at, &d->element);
    }
    d->never = good && **at == '!';
    *at += d->never;
    if (good && (!**at || **at == ':' || **at == ','))
        return true;
    return complain(wrong, "\"%.*s\" names no job. Write 12, or 12_3 for element 3 of array 12",
                    (int)strcspn(from, ":,") < 40 ? (int)strcspn(from, ":,") : 40, from);
}

static bool take_kind(const char **at, enum depend_kind *ret, char *wrong)
{
    size_t len = strcspn(*at, ":,");
    for (int k = 0; k < DEPEND_KIND_COUNT; k++)
        if (strlen(words[k]) == len && strncmp(*at, words[k], len) == 0) {
            *ret = (enum depend_kind)k;
            *at += len;
            return true;
        }
    if (memchr(*at, '?', len))
        return complain(wrong, "\"?\" (any of several) is not known: all that is named must hold");
    return complain(wrong,
                    "\"%.*s\" is no kind of dependency. Use after, afterok, afternotok, afterany "
                    "or singleton",
                    len < 40 ? (int)len : 40, *at);
}

static bool take(const char **at, struct depend_list *list, size_t *count, char *wrong)
{
    struct depend d = {.element = ELEMENT_NONE};
    if (!take_kind(at, &d.kind, wrong))
        return false;
    if (d.kind == DEPEND_SINGLETON) {
        ++*count;
        add(list, &d);
        return !**at || **at == ',' || complain(wrong, "\"singleton\" names no job");
    }
    if (**at != ':')
        return complain(wrong, "\"%s\" names no job. Write %s:12", depend_word(d.kind),
                        depend_word(d.kind));
    while (**at == ':') {
        if (!take_job(at, &d, wrong))
            return false;
        if (++*count > DEPENDS_MAX)
            return complain(wrong, "it names more than %d jobs", DEPENDS_MAX);
        add(list, &d);
    }
    return true;
}

bool depends_parse(const char *text, struct depend_list *ret, char *ret_wrong)
{
    size_t count = 0;
    for (const char *at = text; *at;) {
        if (!take(&at, ret, &count, ret_wrong))
            return false;
        if (*at == ',' && !*++at)
            return complain(ret_wrong, "it ends with a comma");
    }
    return true;
}

void depend_add_name(const struct depend *d, struct text *ret)
{
    text_addf(ret, "%" PRIu64, d->job.v);
    if (d->element != ELEMENT_NONE)
        text_addf(ret, "_%" PRId64, d->element);
}

void depends_text(const struct depend_list *list, struct text *ret)
{
    const struct depend *d, *last = NULL;
    TAILQ_FOREACH(d, list, link)
    {
        bool goes_on = last && last->kind == d->kind && d->kind != DEPEND_SINGLETON;
        if (!goes_on)
            text_addf(ret, "%s%s", last ? "," : "", depend_word(d->kind));
        last = d;
        if (d->kind == DEPEND_SINGLETON)
            continue;
        text_addc(ret, ':');
        depend_add_name(d, ret);
        text_add(ret, d->never ? "!" : "");
    }
}

// ---- terms ----

const char *terms_wrong(const struct job_terms *t)
{
    static const int64_t latest_ms = INT64_C(31557600000) * 1100; // after 1970
    if (!t)
        return NULL;
    if (t->begin_ms < 0 || t->deadline_ms < 0 || t->begin_ms > latest_ms ||
        t->deadline_ms > latest_ms)
        return "a time is before 1970 or in more than a thousand years";
    if (t->array_limit < 0)
        return "a limit of elements is at least 1";
    return depends_count(&t->depends) > DEPENDS_MAX ? "a job waits for at most 1000 others" : NULL;
}

struct job_terms *terms_new(void)
{
    struct job_terms *t = xcalloc(1, sizeof *t);
    TAILQ_INIT(&t->depends);
    return t;
}

struct job_terms *terms_copy(const struct job_terms *from, struct arena *in)
{
    const struct depend *d;
    if (!from)
        return NULL;
    struct job_terms *t = in ? arena_alloc(in, sizeof *t) : xcalloc(1, sizeof *t);
    *t = (struct job_terms){.begin_ms = from->begin_ms,
                            .deadline_ms = from->deadline_ms,
                            .array_limit = from->array_limit,
                            .cancel_if_never = from->cancel_if_never};
    TAILQ_INIT(&t->depends);
    TAILQ_FOREACH(d, &from->depends, link)
    {
        struct depend *copy = in ? arena_alloc(in, sizeof *copy) : xcalloc(1, sizeof *copy);
        *copy = (struct depend){d->kind, d->job, d->element, d->never, NULL, NULL, {0}, {0}};
        TAILQ_INSERT_TAIL(&t->depends, copy, link);
    }
    return t;
}

void terms_free(struct job_terms *t)
{
    if (!t)
        return;
    depends_clear(&t->depends);
    free(t);
}

struct job_terms *terms_of_row(struct job *row)
{
    if (!row->terms)
        row->terms = terms_new();
    return row->terms;
}

bool terms_read_depends(struct job *row, const char *text)
{
    char wrong[DEPEND_WRONG_BYTES];
    return !*text || depends_parse(text, &terms_of_row(row)->depends, wrong);
}

void terms_depends_text(const struct job *row, struct text *ret)
{
    if (row->terms)
        depends_text(&row->terms->depends, ret);
}
