/*
 * Percentiles of a stream without keeping it: log-linear buckets, 128 to each power of two, so that
 * a percentile is within 0.4 % of a value that was there. Whole numbers from 0 to 2^63 - 1.
 */
#ifndef MLY_BASE_HISTOGRAM_H
#define MLY_BASE_HISTOGRAM_H

#include <stdint.h>

#define MLY_HISTOGRAM_STEPS 128
/* Exact numbers below 128, then 56 powers of two. */
#define MLY_HISTOGRAM_BUCKETS (57 * MLY_HISTOGRAM_STEPS)

/* 57 KiB: too much for a stack. Zeroed is empty. */
struct mly_histogram {
    uint64_t counts[MLY_HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t min, max; /* 0 while empty */
    double sum;
};

/* Negative values count as 0. */
void mly_histogram_add(struct mly_histogram *histogram, int64_t value);
/* p in [0, 1]; 0 while empty; never under min or over max. O(buckets). */
double mly_histogram_percentile(const struct mly_histogram *histogram, double p);
/* Exact; 0 while empty. */
double mly_histogram_mean(const struct mly_histogram *histogram);

#endif
