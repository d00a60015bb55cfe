/* The bounded queue: order, limits, blocking on both sides, closing. */
#include "support/test.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/queue.h"

static int items[1000];

static mly_queue *make(size_t capacity)
{
    mly_queue *queue = NULL;
    assert_int_equal(mly_queue_create(capacity, &queue, NULL), MLY_OK);
    return queue;
}

static void first_in_first_out_around_the_ring(void **state)
{
    (void)state;
    mly_queue *queue = make(3);
    int next_in = 0, next_out = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 1 + round % 3; i++)
            assert_int_equal(mly_queue_push(queue, &items[next_in++], false), MLY_OK);
        while (mly_queue_length(queue) > 0) {
            void *item = NULL;
            assert_int_equal(mly_queue_pop(queue, 1, MLY_QUEUE_FOREVER, &item), MLY_OK);
            assert_ptr_equal(item, &items[next_out++]);
        }
    }
    assert_int_equal(next_in, next_out);
    mly_queue_destroy(queue);
}

static void full_is_busy_and_empty_is_late(void **state)
{
    (void)state;
    mly_queue *queue = make(2);
    void *item = &items[9];
    assert_int_equal(mly_queue_pop(queue, 1, 0, &item), MLY_E_DEADLINE);
    assert_int_equal(mly_queue_pop(queue, 1, -1, &item), MLY_E_DEADLINE);
    assert_int_equal(mly_queue_pop(queue, 1, mly_now_ns() + 1000, &item), MLY_E_DEADLINE);
    assert_ptr_equal(item, &items[9]);
    assert_int_equal(mly_queue_push(queue, &items[0], false), MLY_OK);
    assert_int_equal(mly_queue_push(queue, &items[1], true), MLY_OK);
    assert_int_equal(mly_queue_push(queue, &items[2], false), MLY_E_BUSY);
    assert_int_equal(mly_queue_pop(queue, 1, 0, &item), MLY_OK);
    assert_ptr_equal(item, &items[0]);
    mly_queue_destroy(queue);
}

static void closing_keeps_what_is_there(void **state)
{
    (void)state;
    mly_queue *queue = make(2);
    void *item = NULL;
    assert_int_equal(mly_queue_push(queue, &items[0], true), MLY_OK);
    mly_queue_close(queue);
    assert_int_equal(mly_queue_push(queue, &items[1], true), MLY_E_CLOSED);
    assert_int_equal(mly_queue_pop(queue, 1, MLY_QUEUE_FOREVER, &item), MLY_OK);
    assert_ptr_equal(item, &items[0]);
    assert_int_equal(mly_queue_pop(queue, 1, MLY_QUEUE_FOREVER, &item), MLY_E_CLOSED);
    mly_queue_destroy(queue);
}

struct side {
    pthread_t thread;
    mly_queue *queue;
    uint64_t sum;
    uint32_t count;
    enum mly_status status;
};

static void *give(void *argument)
{
    struct side *side = argument;
    for (uint32_t i = 0; i < 1000; i++) {
        if (mly_queue_push(side->queue, &items[i], true) == MLY_OK)
            side->count++;
    }
    return NULL;
}

static void *take(void *argument)
{
    struct side *side = argument;
    void *item = NULL;
    while ((side->status = mly_queue_pop(side->queue, 1, MLY_QUEUE_FOREVER, &item)) == MLY_OK) {
        side->sum += (uint64_t)((int *)item - items);
        side->count++;
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    mly_queue *queue = make(2);
    struct side giver = {.queue = queue}, takers[3];
    for (int i = 0; i < 3; i++) {
        takers[i] = (struct side){.queue = queue};
        pthread_create(&takers[i].thread, NULL, take, &takers[i]);
    }
    pthread_create(&giver.thread, NULL, give, &giver);
    pthread_join(giver.thread, NULL);
    mly_queue_close(queue);
    uint64_t sum = 0;
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(takers[i].thread, NULL);
        assert_int_equal(takers[i].status, MLY_E_CLOSED);
        sum += takers[i].sum;
        count += takers[i].count;
    }
    assert_int_equal(giver.count, 1000);
    assert_int_equal(count, 1000);
    assert_int_equal(sum, 999 * 1000 / 2);
    mly_queue_destroy(queue);
}

static void *push_one(void *argument)
{
    struct side *side = argument;
    side->status = mly_queue_push(side->queue, &items[1], true);
    return NULL;
}

static void closing_wakes_blocked_givers(void **state)
{
    (void)state;
    mly_queue *queue = make(1);
    assert_int_equal(mly_queue_push(queue, &items[0], false), MLY_OK);
    struct side giver = {.queue = queue};
    pthread_create(&giver.thread, NULL, push_one, &giver);
    mly_queue_close(queue);
    pthread_join(giver.thread, NULL);
    assert_int_equal(giver.status, MLY_E_CLOSED);
    mly_queue_destroy(queue);
}

static void creation_fails_cleanly(void **state)
{
    (void)state;
    mly_queue *queue = NULL;
    struct mly_error err = {0};
    assert_int_equal(mly_queue_create(0, &queue, &err), MLY_E_INVALID);
    for (uint64_t n = 1; n <= 2; n++) {
        mly_alloc_fail_once(n);
        assert_int_equal(mly_queue_create(4, &queue, &err), MLY_E_NO_MEMORY);
        assert_null(queue);
    }
    mly_alloc_fail_once(0);
    mly_queue_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out_around_the_ring),
        cmocka_unit_test(full_is_busy_and_empty_is_late),
        cmocka_unit_test(closing_keeps_what_is_there),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(closing_wakes_blocked_givers),
        cmocka_unit_test(creation_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
