/* Order statistics of samples. */
#ifndef MLY_BASE_STATS_H
#define MLY_BASE_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Percentile by linear interpolation between closest ranks; p in [0, 1]; sorts samples in place; 0
 * for count 0. */
double mly_percentile(double *samples, size_t count, double p);

/* Summary of samples: sorts them in place. relative_spread is (p90 - p10) / median, 0 for count
 * < 2. */
struct mly_summary {
    uint64_t count;
    double min, p10, median, p90, p99, max, mean, relative_spread;
};
struct mly_summary mly_summarise(double *samples, size_t count);

/* A rate for people: four digits ("38.71"), whole numbers from 10,000 on ("65220"). Returns buffer. */
#define MLY_RATE_TEXT_BYTES 32
char *mly_rate_text(double per_s, char buffer[MLY_RATE_TEXT_BYTES]);

#endif
