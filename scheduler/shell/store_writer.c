// The writer thread: group commit. It takes everything that waits into one transaction, so that
// under load many turns share a sync.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"

#include <pthread.h>
#include <stdlib.h>

struct store_writer {
    struct store *s;
    void (*done)(void *arg);
    void *arg;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;

    // Under the mutex.
    struct store_batch **waiting;
    size_t count, cap;
    uint64_t submitted, finished;
    bool stop;
    bool failed; // nothing is written after the first failure
    bool failure_told;
    struct err failure;
};

static void free_batches(struct store_batch **batches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_batch_free(batches[i]);
    free(batches);
}

// Waits for work; false when there is none and none will come.
static bool take(struct store_writer *w, struct store_batch ***ret, size_t *ret_count)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->count && !w->stop)
        pthread_cond_wait(&w->wake, &w->mutex);
    *ret = TAKE(w->waiting);
    *ret_count = w->count;
    w->count = w->cap = 0;
    pthread_mutex_unlock(&w->mutex);
    return *ret_count > 0;
}

static void tell(struct store_writer *w, size_t count, int rc, const struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    if (rc) {
        w->failed = true;
        w->failure = *err;
    } else {
        w->finished += count;
    }
    pthread_mutex_unlock(&w->mutex);
    w->done(w->arg);
}

static void *write_loop(void *arg)
{
    struct store_writer *w = arg;
    struct store_batch **batches;
    size_t count;
    bool failed = false;
    while (take(w, &batches, &count)) {
        struct err err = {0};
        if (!failed) {
            int rc = store_commit_all(w->s, batches, count, &err);
            failed = rc != 0;
            tell(w, count, rc, &err);
        }
        free_batches(batches, count);
    }
    return NULL;
}

struct store_writer *store_writer_start(struct store *s, void (*done)(void *arg), void *arg)
{
    struct store_writer *w = xcalloc(1, sizeof *w);
    *w = (struct store_writer){.s = s, .done = done, .arg = arg};
    CHECK(pthread_mutex_init(&w->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&w->wake, NULL) == 0);
    int code = pthread_create(&w->thread, NULL, write_loop, w);
    CHECKF(code == 0, "pthread_create: %d", code);
    pthread_setname_np(w->thread, "store-writer");
    return w;
}

uint64_t store_writer_submit(struct store_writer *w, struct store_batch *b)
{
    pthread_mutex_lock(&w->mutex);
    VEC_RESERVE(w->waiting, w->count, w->cap);
    w->waiting[w->count++] = b;
    uint64_t number = ++w->submitted;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    return number;
}

int store_writer_finished(struct store_writer *w, uint64_t *ret, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&w->mutex);
    *ret = w->finished;
    if (w->failed && !w->failure_told) {
        w->failure_told = true;
        rc = (int)w->failure.code;
        if (err)
            *err = w->failure;
    }
    pthread_mutex_unlock(&w->mutex);
    return rc;
}

void store_writer_stop(struct store_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    free_batches(w->waiting, w->count);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
