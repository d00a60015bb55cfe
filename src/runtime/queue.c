/* A bounded blocking queue: a ring of pointers, one lock, two conditions. */
#include "runtime/queue.h"

#include <pthread.h>
#include <time.h>

#include "base/alloc.h"

struct mly_queue {
    pthread_mutex_t lock;     /* protects all below */
    pthread_cond_t not_empty; /* an item came, or closed */
    pthread_cond_t not_full;  /* an item went, or closed */
    void **items;             /* ring */
    size_t capacity, first, length;
    size_t takers, givers; /* blocked in pop and push: nobody is woken for nothing */
    size_t wanted;         /* items that the blocked takers wait for */
    bool closed;
};

enum mly_status mly_queue_create(size_t capacity, mly_queue **out, struct mly_error *err)
{
    if (capacity == 0)
        return mly_error_set(err, MLY_E_INVALID, "a queue must have room for at least 1 item");
    mly_queue *queue = mly_alloc(sizeof *queue);
    void **items = queue ? mly_alloc_array(capacity, sizeof *items) : NULL;
    if (!items) {
        mly_free(queue);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a queue of %zu items", capacity);
    }
    queue->items = items;
    queue->capacity = capacity;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->not_empty, &monotonic);
    pthread_cond_init(&queue->not_full, NULL);
    pthread_condattr_destroy(&monotonic);
    *out = queue;
    return MLY_OK;
}

void mly_queue_destroy(mly_queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->lock);
    mly_free(queue->items);
    mly_free(queue);
}

enum mly_status mly_queue_push(mly_queue *queue, void *item, bool wait)
{
    enum mly_status status = MLY_OK;
    bool wakes = false;
    pthread_mutex_lock(&queue->lock);
    while (wait && !queue->closed && queue->length == queue->capacity) {
        queue->givers++;
        pthread_cond_wait(&queue->not_full, &queue->lock);
        queue->givers--;
    }
    if (queue->closed) {
        status = MLY_E_CLOSED;
    } else if (queue->length == queue->capacity) {
        status = MLY_E_BUSY;
    } else {
        queue->items[(queue->first + queue->length) % queue->capacity] = item;
        queue->length++;
        wakes = queue->takers > 0 && queue->length >= queue->wanted;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wakes) /* without the lock, which the taker wants first of all */
        pthread_cond_signal(&queue->not_empty);
    return status;
}

/* False when the deadline has passed. */
static bool wait_for_items(mly_queue *queue, size_t least, int64_t deadline_ns)
{
    int error = 0;
    queue->wanted = least;
    queue->takers++;
    if (deadline_ns == MLY_QUEUE_FOREVER) {
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    } else {
        struct timespec at = {0};
        if (deadline_ns > 0) {
            at.tv_sec = (time_t)(deadline_ns / 1000000000);
            at.tv_nsec = (long)(deadline_ns % 1000000000);
        }
        error = pthread_cond_timedwait(&queue->not_empty, &queue->lock, &at);
    }
    queue->takers--;
    return error == 0;
}

enum mly_status mly_queue_pop(mly_queue *queue, size_t least, int64_t deadline_ns, void **item)
{
    enum mly_status status = MLY_OK;
    bool in_time = deadline_ns != 0; /* which is over, and nobody need ask the kernel */
    pthread_mutex_lock(&queue->lock);
    while (in_time && !queue->closed && queue->length < least)
        in_time = wait_for_items(queue, least, deadline_ns);
    if (queue->length > 0) {
        *item = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->length--;
        if (queue->givers > 0)
            pthread_cond_signal(&queue->not_full);
    } else {
        status = queue->closed ? MLY_E_CLOSED : MLY_E_DEADLINE;
    }
    pthread_mutex_unlock(&queue->lock);
    return status;
}

void mly_queue_close(mly_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
}

size_t mly_queue_length(mly_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    return length;
}
