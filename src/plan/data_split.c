/*
 * The best split of a batch.
 *
 *   1. The least makespan is one of the curves' times. They are sorted, and the least is found by
 *      bisection for which a split exists whose shares all take no longer.
 *   2. Whether one exists: the sums that the first k processors can reach, as a set of bits. Each
 *      share that processor k + 1 may have shifts the set; the union of all shifts is the next set.
 *   3. Of the splits with the least makespan the least sum of times, by dynamic programming over
 *      processors and samples. For large batches any, by walking the sets back.
 */
#include "data_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { EXACT_SUM_BATCH_MAX = 4096, WORD_BITS = 64 };

struct splitter {
    const struct mly__data_curves *curves;
    size_t words;   /* of a set of bits 0…batch */
    uint64_t *sets; /* [processor_count + 1][words]: what the first k reach */
    double *times;  /* distinct candidates for the makespan, ascending */
    size_t time_count;
};

static enum mly_status check(const struct mly__data_curves *curves, struct mly_error *err)
{
    if (!curves->processor_count || curves->processor_count > MLY__SPLIT_PROCESSORS_MAX)
        return mly_error_set(err, MLY_E_INVALID, "a batch is split over 1 to %u processors, not %u",
                             MLY__SPLIT_PROCESSORS_MAX, curves->processor_count);
    if (!curves->batch || curves->batch > MLY__SPLIT_BATCH_MAX)
        return mly_error_set(err, MLY_E_INVALID, "a batch of 1 to %u samples is split, not of %u",
                             MLY__SPLIT_BATCH_MAX, curves->batch);
    for (uint32_t p = 0; p < curves->processor_count; p++)
        for (uint32_t b = 0; b <= curves->batch; b++)
            if (!(curves->time_ns[p][b] >= 0))
                return mly_error_set(err, MLY_E_INVALID,
                                     "the time of processor %u for %u samples is no number >= 0", p,
                                     b);
    return MLY_OK;
}

/* --- 1 --- */

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void collect_times(struct splitter *s)
{
    const struct mly__data_curves *c = s->curves;
    size_t count = 0;
    for (uint32_t p = 0; p < c->processor_count; p++)
        for (uint32_t b = 0; b <= c->batch; b++)
            if (isfinite(c->time_ns[p][b]))
                s->times[count++] = c->time_ns[p][b];
    qsort(s->times, count, sizeof *s->times, compare_times);
    for (size_t i = 0; i < count; i++)
        if (!i || s->times[i] != s->times[s->time_count - 1])
            s->times[s->time_count++] = s->times[i];
}

/* --- 2 --- */

static bool has_bit(const uint64_t *set, uint32_t bit)
{
    return (set[bit / WORD_BITS] >> (bit % WORD_BITS)) & 1;
}

/* to |= from << shift, within `words`. */
static void unite_shifted(uint64_t *to, const uint64_t *from, uint32_t shift, size_t words)
{
    const size_t whole = shift / WORD_BITS;
    const unsigned bits = shift % WORD_BITS;
    for (size_t i = whole; i < words; i++) {
        uint64_t word = from[i - whole] << bits;
        if (bits && i > whole)
            word |= from[i - whole - 1] >> (WORD_BITS - bits);
        to[i] |= word;
    }
}

static bool is_possible(struct splitter *s, double makespan)
{
    const struct mly__data_curves *c = s->curves;
    memset(s->sets, 0, (c->processor_count + 1) * s->words * sizeof *s->sets);
    s->sets[0] = 1;
    for (uint32_t p = 0; p < c->processor_count; p++) {
        const uint64_t *from = s->sets + p * s->words;
        uint64_t *to = s->sets + (p + 1) * s->words;
        for (uint32_t b = 0; b <= c->batch; b++)
            if (c->time_ns[p][b] <= makespan)
                unite_shifted(to, from, b, s->words);
    }
    return has_bit(s->sets + c->processor_count * s->words, c->batch);
}

/* --- 3 --- */

static void walk_back(const struct splitter *s, double makespan, uint32_t *shares)
{
    const struct mly__data_curves *c = s->curves;
    uint32_t left = c->batch;
    for (uint32_t p = c->processor_count; p-- > 0;) {
        const uint64_t *before = s->sets + p * s->words;
        uint32_t share = 0;
        while (c->time_ns[p][share] > makespan || !has_bit(before, left - share))
            share++;
        shares[p] = share;
        left -= share;
    }
}

static enum mly_status least_sum(const struct mly__data_curves *c, double makespan,
                                 uint32_t *shares, struct mly_error *err)
{
    const size_t width = (size_t)c->batch + 1;
    double *sums = mly_alloc_array(2 * width, sizeof *sums);
    uint32_t *taken = mly_alloc_array(width * c->processor_count, sizeof *taken);
    if (!sums || !taken) {
        mly_free(sums);
        mly_free(taken);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for splitting a batch of %u",
                             c->batch);
    }
    double *before = sums, *after = sums + width;
    for (size_t m = 1; m < width; m++)
        before[m] = INFINITY;
    for (uint32_t p = 0; p < c->processor_count; p++) {
        for (uint32_t m = 0; m < width; m++) {
            after[m] = INFINITY;
            for (uint32_t b = 0; b <= m; b++) {
                if (c->time_ns[p][b] > makespan || before[m - b] + c->time_ns[p][b] >= after[m])
                    continue;
                after[m] = before[m - b] + c->time_ns[p][b];
                taken[p * width + m] = b;
            }
        }
        double *swap = before;
        before = after;
        after = swap;
    }
    uint32_t left = c->batch;
    for (uint32_t p = c->processor_count; p-- > 0;) {
        shares[p] = taken[p * width + left];
        left -= shares[p];
    }
    mly_free(sums);
    mly_free(taken);
    return MLY_OK;
}

enum mly_status mly__data_split(const struct mly__data_curves *curves, uint32_t *shares,
                                double *makespan_ns, struct mly_error *err)
{
    enum mly_status status = check(curves, err);
    if (status)
        return status;
    struct splitter s = {.curves = curves, .words = curves->batch / WORD_BITS + 1};
    s.sets = mly_alloc_array((curves->processor_count + (size_t)1) * s.words, sizeof *s.sets);
    s.times =
        mly_alloc_array(curves->processor_count * ((size_t)curves->batch + 1), sizeof *s.times);
    if (!s.sets || !s.times) {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for splitting a batch of %u",
                               curves->batch);
        goto done;
    }
    collect_times(&s);
    size_t low = 0, high = s.time_count; /* the first that is possible lies in [low, high) */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (is_possible(&s, s.times[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == s.time_count) {
        status = mly_error_set(err, MLY_E_UNSUPPORTED,
                               "no split of %u samples over these %u processors is possible",
                               curves->batch, curves->processor_count);
        goto done;
    }
    const double makespan = s.times[low];
    if (curves->batch <= EXACT_SUM_BATCH_MAX) {
        status = least_sum(curves, makespan, shares, err);
    } else {
        (void)is_possible(&s, makespan); /* the sets of the last question may be another's */
        walk_back(&s, makespan, shares);
    }
    if (!status)
        *makespan_ns = makespan;
done:
    mly_free(s.sets);
    mly_free(s.times);
    return status;
}

/* --- all splits --- */

static bool is_finite_split(const struct mly__data_curves *c, const uint32_t *shares)
{
    for (uint32_t p = 0; p < c->processor_count; p++)
        if (!isfinite(c->time_ns[p][shares[p]]))
            return false;
    return true;
}

static enum mly_status visit_split(const struct mly__data_curves *c, const uint32_t *shares,
                                   double *time_ns, mly__data_visit *visit, void *user,
                                   struct mly_error *err)
{
    struct mly__data_row row = {.shares = shares, .time_ns = time_ns};
    for (uint32_t p = 0; p < c->processor_count; p++) {
        time_ns[p] = c->time_ns[p][shares[p]];
        row.sum_ns += time_ns[p];
        row.makespan_ns = fmax(row.makespan_ns, time_ns[p]);
    }
    return visit(&row, user, err);
}

/* Ways of writing `parts` as a sum of `count` numbers; more than `most` is most + 1. */
static uint64_t count_splits(uint32_t parts, uint32_t count, uint64_t most)
{
    double rows = 1; /* (parts + count - 1) over (count - 1) */
    for (uint32_t i = 1; i < count; i++)
        rows = rows * (parts + i) / i;
    return rows > (double)most ? most + 1 : (uint64_t)llround(rows);
}

/* The next split in units of `step`; false after the last one. The last share is what is left. */
static bool next_split(uint32_t *units, uint32_t count, uint32_t total)
{
    /* The rightmost share before the last that can grow takes one; all after it begin anew. */
    for (uint32_t p = count - 1; p-- > 0;) {
        uint32_t used = 0;
        for (uint32_t i = 0; i <= p; i++)
            used += units[i];
        if (used < total) {
            units[p]++;
            for (uint32_t i = p + 1; i + 1 < count; i++)
                units[i] = 0;
            units[count - 1] = total - used - 1;
            return true;
        }
    }
    return false;
}

enum mly_status mly__data_list(const struct mly__data_curves *curves, uint32_t step,
                               uint64_t rows_max, mly__data_visit *visit, void *user,
                               struct mly_error *err)
{
    const uint32_t count = curves->processor_count;
    uint32_t units[MLY__SPLIT_PROCESSORS_MAX] = {0}, shares[MLY__SPLIT_PROCESSORS_MAX];
    double time_ns[MLY__SPLIT_PROCESSORS_MAX];
    enum mly_status status = check(curves, err);
    if (status)
        return status;
    if (!step || curves->batch % step)
        return mly_error_set(err, MLY_E_INVALID, "a batch of %u cannot be split in steps of %u",
                             curves->batch, step);
    const uint32_t total = curves->batch / step;
    if (count_splits(total, count, rows_max) > rows_max)
        return mly_error_set(err, MLY_E_LIMIT,
                             "there are more than %llu splits of %u samples over %u processors in "
                             "steps of %u: take larger steps",
                             (unsigned long long)rows_max, curves->batch, count, step);
    units[count - 1] = total;
    do {
        for (uint32_t p = 0; p < count; p++)
            shares[p] = units[p] * step;
        if (is_finite_split(curves, shares))
            status = visit_split(curves, shares, time_ns, visit, user, err);
    } while (!status && next_split(units, count, total));
    return status;
}
