/* Splits of a batch against all splits there are, and the list of them. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "plan/data_split.h"
#include "support/expect.h"

enum { PROCESSORS_MAX = 4, BATCH_MAX = 16 };

struct curves {
    double time_ns[PROCESSORS_MAX][BATCH_MAX + 1];
    const double *rows[PROCESSORS_MAX];
    struct mly__data_curves curves;
};

/* Any form: ascending or not, some shares not possible. */
static void make(struct mly_random *random, struct curves *c)
{
    memset(c, 0, sizeof *c);
    c->curves.processor_count = 1 + (uint32_t)mly_random_below(random, PROCESSORS_MAX);
    c->curves.batch = 1 + (uint32_t)mly_random_below(random, BATCH_MAX);
    c->curves.time_ns = c->rows;
    const bool ascending = mly_random_below(random, 2);
    for (uint32_t p = 0; p < c->curves.processor_count; p++) {
        c->rows[p] = c->time_ns[p];
        for (uint32_t b = 1; b <= c->curves.batch; b++) {
            c->time_ns[p][b] = (double)mly_random_below(random, 100);
            if (ascending)
                c->time_ns[p][b] += c->time_ns[p][b - 1];
            else if (!mly_random_below(random, 8))
                c->time_ns[p][b] = INFINITY;
        }
    }
}

/* What the list says, kept. */
struct listed {
    const struct mly__data_curves *curves;
    uint64_t rows;
    uint32_t last[PROCESSORS_MAX];
    double makespan_ns, sum_ns; /* the least, and the least sum among those */
};

static enum mly_status note(const struct mly__data_row *row, void *user, struct mly_error *err)
{
    struct listed *l = user;
    uint32_t total = 0;
    double sum = 0, most = 0;
    bool later = l->rows == 0;
    (void)err;
    for (uint32_t p = 0; p < l->curves->processor_count; p++) {
        assert_true(row->time_ns[p] == l->curves->time_ns[p][row->shares[p]]);
        total += row->shares[p];
        sum += row->time_ns[p];
        most = fmax(most, row->time_ns[p]);
    }
    for (uint32_t p = 0; !later && p < l->curves->processor_count; p++) {
        if (row->shares[p] < l->last[p])
            break;
        later = row->shares[p] > l->last[p];
    }
    assert_true(later);
    memcpy(l->last, row->shares, l->curves->processor_count * sizeof *l->last);
    assert_int_equal(total, l->curves->batch);
    assert_true(sum == row->sum_ns && most == row->makespan_ns);
    if (!l->rows++ || most < l->makespan_ns || (most == l->makespan_ns && sum < l->sum_ns)) {
        l->makespan_ns = most;
        l->sum_ns = sum;
    }
    return MLY_OK;
}

static void the_split_is_the_best_of_all(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 42);
    uint32_t impossible = 0;
    for (int round = 0; round < 500; round++) {
        struct curves c;
        struct mly_error err = {0};
        uint32_t shares[PROCESSORS_MAX], total = 0;
        double makespan = -1, sum = 0, most = 0;
        make(&random, &c);
        struct listed listed = {.curves = &c.curves};
        expect_ok(mly__data_list(&c.curves, 1, 1000000, note, &listed, &err), err);
        if (!listed.rows) {
            expect_error(mly__data_split(&c.curves, shares, &makespan, &err), MLY_E_UNSUPPORTED,
                         err, "no split");
            impossible++;
            continue;
        }
        expect_ok(mly__data_split(&c.curves, shares, &makespan, &err), err);
        for (uint32_t p = 0; p < c.curves.processor_count; p++) {
            total += shares[p];
            sum += c.time_ns[p][shares[p]];
            most = fmax(most, c.time_ns[p][shares[p]]);
        }
        assert_int_equal(total, c.curves.batch);
        assert_true(makespan == listed.makespan_ns && most == makespan);
        assert_true(sum == listed.sum_ns);
    }
    assert_true(impossible > 0);
}

/* Curves that ascend by the sample, so that the answer is known: shares in proportion to speed. */
static void large_batches_are_split_too(void **state)
{
    (void)state;
    enum { BATCH = 6000 };
    double *fast = mly_alloc_array(BATCH + 1, sizeof *fast);
    double *slow = mly_alloc_array(BATCH + 1, sizeof *slow);
    assert_true(fast && slow);
    for (uint32_t b = 0; b <= BATCH; b++) {
        fast[b] = b;
        slow[b] = 2.0 * b;
    }
    const double *rows[] = {slow, fast};
    const struct mly__data_curves curves = {.processor_count = 2, .batch = BATCH, .time_ns = rows};
    struct mly_error err;
    uint32_t shares[2];
    double makespan;
    expect_ok(mly__data_split(&curves, shares, &makespan, &err), err);
    assert_int_equal(shares[0], 2000);
    assert_int_equal(shares[1], 4000);
    assert_true(makespan == 4000);
    mly_free(fast);
    mly_free(slow);
}

static void lists_have_every_split_in_steps(void **state)
{
    (void)state;
    double times[3][BATCH_MAX + 1] = {{0}};
    const double *rows[] = {times[0], times[1], times[2]};
    const struct mly__data_curves curves = {.processor_count = 3, .batch = 10, .time_ns = rows};
    struct mly_error err;
    struct listed listed = {.curves = &curves};
    expect_ok(mly__data_list(&curves, 1, 66, note, &listed, &err), err);
    assert_int_equal(listed.rows, 66); /* (10 + 2) over 2 */
    listed = (struct listed){.curves = &curves};
    expect_ok(mly__data_list(&curves, 2, 66, note, &listed, &err), err);
    assert_int_equal(listed.rows, 21); /* (5 + 2) over 2 */
    expect_error(mly__data_list(&curves, 1, 65, note, &listed, &err), MLY_E_LIMIT, err, "65");
    expect_error(mly__data_list(&curves, 3, 66, note, &listed, &err), MLY_E_INVALID, err, "steps");
    expect_error(mly__data_list(&curves, 0, 66, note, &listed, &err), MLY_E_INVALID, err, "steps");
}

static enum mly_status stop(const struct mly__data_row *row, void *user, struct mly_error *err)
{
    (void)row;
    ++*(int *)user;
    return mly_error_set(err, MLY_E_CANCELLED, "enough");
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    double times[2][3] = {{0, 1, 2}, {0, -1, 2}};
    const double *rows[] = {times[0], times[1]};
    struct mly__data_curves curves = {.processor_count = 2, .batch = 2, .time_ns = rows};
    struct mly_error err;
    uint32_t shares[2];
    double makespan;
    int calls = 0;
    expect_error(mly__data_split(&curves, shares, &makespan, &err), MLY_E_INVALID, err,
                 "processor 1 for 1 samples");
    curves.processor_count = 1;
    expect_error(mly__data_list(&curves, 1, 10, stop, &calls, &err), MLY_E_CANCELLED, err,
                 "enough");
    assert_int_equal(calls, 1);
    curves.processor_count = 0;
    expect_error(mly__data_split(&curves, shares, &makespan, &err), MLY_E_INVALID, err,
                 "processors");
    curves.processor_count = 1;
    curves.batch = 0;
    expect_error(mly__data_split(&curves, shares, &makespan, &err), MLY_E_INVALID, err, "samples");
}

static void memory_that_is_short_is_said(void **state)
{
    (void)state;
    struct mly_random random;
    struct curves c;
    uint32_t shares[PROCESSORS_MAX];
    double makespan;
    mly_random_init(&random, 6);
    make(&random, &c);
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        mly_alloc_fail_once(n);
        enum mly_status status = mly__data_split(&c.curves, shares, &makespan, &err);
        mly_alloc_fail_once(0);
        if (status != MLY_E_NO_MEMORY)
            break;
        assert_true(err.message[0]);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_split_is_the_best_of_all),
        cmocka_unit_test(large_batches_are_split_too),
        cmocka_unit_test(lists_have_every_split_in_steps),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(memory_that_is_short_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
