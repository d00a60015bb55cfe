/*
 * A stable topological order.
 *
 * 1. Kahn's algorithm; the nodes that are ready wait in a binary heap by index, so that the order
 * is the smallest possible one and a list already in order is left as it is.
 * 2. When nodes remain, each needs another one that remains: following those leads onto a cycle.
 */
#include "base/alloc.h"
#include "model.h"

struct heap {
    uint32_t *items;
    uint32_t count;
};

static void heap_push(struct heap *heap, uint32_t item)
{
    uint32_t at = heap->count++;
    while (at > 0 && heap->items[(at - 1) / 2] > item) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
}

static uint32_t heap_pop(struct heap *heap)
{
    uint32_t top = heap->items[0];
    uint32_t last = heap->items[--heap->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->items[child + 1] < heap->items[child]) {
            child++;
        }
        if (heap->items[child] >= last) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return top;
}

/* 2. missing[i] counts what i still needs; it is 0 for all that were ordered. */
static uint32_t find_on_cycle(uint32_t count, const uint32_t *begin, const uint32_t *inputs,
                              const uint32_t *missing)
{
    uint32_t at = 0;
    while (at < count && missing[at] == 0) {
        at++;
    }
    for (uint32_t step = 0; step < count; step++) {
        for (uint32_t k = begin[at]; k < begin[at + 1]; k++) {
            if (missing[inputs[k]] != 0) {
                at = inputs[k];
                break;
            }
        }
    }
    return at;
}

enum mly_status mly__graph_order(uint32_t count, const uint32_t *begin, const uint32_t *inputs,
                                 uint32_t *order, uint32_t *on_cycle, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    const uint32_t edges = begin[count];
    uint32_t *missing = mly_alloc_array((size_t)count + 1, sizeof *missing);
    uint32_t *user_begin = mly_alloc_array((size_t)count + 2, sizeof *user_begin);
    uint32_t *users = mly_alloc_array((size_t)edges + 1, sizeof *users);
    struct heap heap = {.items = mly_alloc_array((size_t)count + 1, sizeof *heap.items)};
    if (missing == NULL || user_begin == NULL || users == NULL || heap.items == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    /* Turn the edges round: user_begin[i + 1] is where the next user of i goes, and ends as where
     * they begin. */
    for (uint32_t k = 0; k < edges; k++) {
        user_begin[inputs[k] + 2]++;
    }
    for (uint32_t i = 2; i <= count; i++) {
        user_begin[i] += user_begin[i - 1];
    }
    for (uint32_t i = 0; i < count; i++) {
        missing[i] = begin[i + 1] - begin[i];
        for (uint32_t k = begin[i]; k < begin[i + 1]; k++) {
            users[user_begin[inputs[k] + 1]++] = i;
        }
    }
    /* 1. */
    for (uint32_t i = 0; i < count; i++) {
        if (missing[i] == 0) {
            heap_push(&heap, i);
        }
    }
    uint32_t ordered = 0;
    while (heap.count > 0) {
        uint32_t node = heap_pop(&heap);
        order[ordered++] = node;
        for (uint32_t k = user_begin[node]; k < user_begin[node + 1]; k++) {
            if (--missing[users[k]] == 0) {
                heap_push(&heap, users[k]);
            }
        }
    }
    if (ordered < count) {
        *on_cycle = find_on_cycle(count, begin, inputs, missing);
        status = mly_error_set(err, MLY_E_FORMAT, "the graph has a cycle");
    }
done:
    mly_free(missing);
    mly_free(user_begin);
    mly_free(users);
    mly_free(heap.items);
    return status;
}
