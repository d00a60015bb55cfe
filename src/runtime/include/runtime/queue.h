/* A bounded first-in first-out queue of pointers whose callers block instead of spinning. */
#ifndef MLY_RUNTIME_QUEUE_H
#define MLY_RUNTIME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

/* All functions are thread-safe but destroy, which nobody else may be inside of. */
typedef struct mly_queue mly_queue;

#define MLY_QUEUE_FOREVER INT64_MAX

/* MLY_E_INVALID for capacity 0, MLY_E_NO_MEMORY. *out is owned by the caller. */
enum mly_status mly_queue_create(size_t capacity, mly_queue **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* The items left in it are the caller's business. NULL is fine. */
void mly_queue_destroy(mly_queue *queue);
/*
 * Appends item. When the queue is full, blocks (wait) or returns MLY_E_BUSY at once; MLY_E_CLOSED
 * after close, also to those that were blocked.
 */
enum mly_status mly_queue_push(mly_queue *queue, void *item, bool wait) MLY_MUST_CHECK;
/*
 * Takes the oldest item. Blocks until the queue holds `least` of them (at least 1; more wakes a
 * taker once for many, and is for queues with one taker) or mly_now_ns() reaches deadline_ns; a past
 * deadline only looks, MLY_QUEUE_FOREVER never comes. MLY_E_DEADLINE when it is empty then;
 * MLY_E_CLOSED when it is closed and empty.
 */
enum mly_status mly_queue_pop(mly_queue *queue, size_t least, int64_t deadline_ns,
                              void **item) MLY_MUST_CHECK;
/* Refuses further items and wakes everybody; what is in it can still be taken. */
void mly_queue_close(mly_queue *queue);
size_t mly_queue_length(mly_queue *queue);

#endif
