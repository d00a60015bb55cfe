/* Log-linear buckets: the exponent of a number and the 7 bits after its first one. */
#include "base/histogram.h"

#include <stddef.h>

#define STEP_BITS 7

static size_t bucket_of(uint64_t value)
{
    if (value < MLY_HISTOGRAM_STEPS)
        return (size_t)value;
    unsigned shift = 63 - STEP_BITS - (unsigned)__builtin_clzll(value);
    return (size_t)shift * MLY_HISTOGRAM_STEPS + (size_t)(value >> shift);
}

/* The middle of the numbers that fall into a bucket. */
static double middle_of(size_t bucket)
{
    if (bucket < 2 * (size_t)MLY_HISTOGRAM_STEPS)
        return (double)bucket;
    size_t shift = bucket / MLY_HISTOGRAM_STEPS - 1;
    double width = (double)(UINT64_C(1) << shift);
    double first = (double)(bucket - shift * MLY_HISTOGRAM_STEPS) * width;
    return first + (width - 1) / 2;
}

void mly_histogram_add(struct mly_histogram *histogram, int64_t value)
{
    if (value < 0)
        value = 0;
    histogram->counts[bucket_of((uint64_t)value)]++;
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum += (double)value;
}

double mly_histogram_percentile(const struct mly_histogram *histogram, double p)
{
    if (histogram->count == 0)
        return 0;
    if (p >= 1)
        return (double)histogram->max;
    uint64_t rank = (uint64_t)(p * (double)(histogram->count - 1) + 0.5), seen = 0;
    double value = (double)histogram->max;
    for (size_t i = 0; i < MLY_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > rank) {
            value = middle_of(i);
            break;
        }
    }
    if (value < (double)histogram->min)
        return (double)histogram->min;
    return value > (double)histogram->max ? (double)histogram->max : value;
}

double mly_histogram_mean(const struct mly_histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}
