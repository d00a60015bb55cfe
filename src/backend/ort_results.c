/*
 * Memory of results, used again.
 *
 * A session that provides the memory of its results takes a block per output and run, and gets it
 * back when the result's owner releases it; in steady state nothing is allocated. There are never
 * more blocks than results were held at once, and each is as large as the largest result it has
 * held: the same policy as of the runtime's own memory (ort_session.c). The last released is the
 * first used again, for it may still be in a cache.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "ort_session.h"

/* Free blocks kept per output; a client that held more results at once gives the rest back. */
#define KEPT_MAX 64

struct mly__ort_block {
    struct mly__ort_results *results;
    uint32_t output;
    struct mly__ort_block *next; /* free ones */
    void *data;
    size_t capacity_bytes;
};

struct free_list {
    struct mly__ort_block *first;
    uint32_t count;
};

struct mly__ort_results {
    _Atomic uint32_t references; /* the session's, and one per block that is out */
    pthread_mutex_t lock;        /* protects closed and the lists */
    bool closed;
    uint32_t output_count;
    struct free_list lists[]; /* [output_count] */
};

struct mly__ort_results *mly__ort_results_create(uint32_t output_count)
{
    struct mly__ort_results *results =
        mly_alloc(sizeof *results + output_count * sizeof *results->lists);
    if (!results)
        return NULL;
    if (pthread_mutex_init(&results->lock, NULL) != 0) {
        mly_free(results);
        return NULL;
    }
    atomic_init(&results->references, 1);
    results->output_count = output_count;
    return results;
}

static void unreference(struct mly__ort_results *results)
{
    if (atomic_fetch_sub_explicit(&results->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&results->lock);
    mly_free(results);
}

static void free_block(struct mly__ort_block *block)
{
    mly_free(block->data);
    mly_free(block);
}

void mly__ort_results_close(struct mly__ort_results *results)
{
    if (!results)
        return;
    pthread_mutex_lock(&results->lock);
    results->closed = true;
    for (uint32_t i = 0; i < results->output_count; i++) {
        for (struct mly__ort_block *block; (block = results->lists[i].first);) {
            results->lists[i].first = block->next;
            free_block(block);
        }
    }
    pthread_mutex_unlock(&results->lock);
    unreference(results);
}

struct mly__ort_block *mly__ort_block_take(struct mly__ort_results *results, uint32_t output,
                                           size_t bytes)
{
    struct free_list *list = &results->lists[output];
    pthread_mutex_lock(&results->lock);
    struct mly__ort_block *block = list->first;
    if (block) {
        list->first = block->next;
        list->count--;
    }
    pthread_mutex_unlock(&results->lock);
    if (!block) {
        block = mly_alloc(sizeof *block);
        if (!block)
            return NULL;
        *block = (struct mly__ort_block){.results = results, .output = output};
    }
    if (block->capacity_bytes < bytes || !block->data) {
        mly_free(block->data);
        block->data = mly_alloc_aligned(MLY_TENSOR_ALIGNMENT, bytes);
        block->capacity_bytes = bytes;
    }
    if (!block->data) {
        mly_free(block);
        return NULL;
    }
    atomic_fetch_add_explicit(&results->references, 1, memory_order_relaxed);
    return block;
}

void *mly__ort_block_data(const struct mly__ort_block *block)
{
    return block->data;
}

void mly__ort_block_release(void *owner)
{
    struct mly__ort_block *block = owner;
    struct mly__ort_results *results = block->results;
    struct free_list *list = &results->lists[block->output];
    pthread_mutex_lock(&results->lock);
    bool keep = !results->closed && list->count < KEPT_MAX;
    if (keep) {
        block->next = list->first;
        list->first = block;
        list->count++;
    }
    pthread_mutex_unlock(&results->lock);
    if (!keep)
        free_block(block);
    unreference(results);
}
