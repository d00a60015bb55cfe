/* Order statistics of samples. */
#include "base/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* NaN sorts last, so that the order is total. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x > y) - (x < y);
}

static double of_sorted(const double *samples, size_t count, double p)
{
    if (count == 0)
        return 0;
    if (!(p > 0))
        return samples[0];
    if (p >= 1)
        return samples[count - 1];
    double rank = p * (double)(count - 1);
    size_t below = (size_t)rank;
    if (below + 1 >= count)
        return samples[count - 1];
    double fraction = rank - (double)below;
    if (fraction == 0)
        return samples[below];
    return samples[below] + fraction * (samples[below + 1] - samples[below]);
}

double mly_percentile(double *samples, size_t count, double p)
{
    if (count)
        qsort(samples, count, sizeof *samples, compare);
    return of_sorted(samples, count, p);
}

struct mly_summary mly_summarise(double *samples, size_t count)
{
    struct mly_summary s = {.count = count};
    if (count == 0)
        return s;
    qsort(samples, count, sizeof *samples, compare);
    s.min = samples[0];
    s.p10 = of_sorted(samples, count, 0.10);
    s.median = of_sorted(samples, count, 0.50);
    s.p90 = of_sorted(samples, count, 0.90);
    s.p99 = of_sorted(samples, count, 0.99);
    s.max = samples[count - 1];
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i];
    s.mean = sum / (double)count;
    if (count > 1 && s.median != 0)
        s.relative_spread = (s.p90 - s.p10) / s.median;
    return s;
}

char *mly_rate_text(double per_s, char buffer[MLY_RATE_TEXT_BYTES])
{
    snprintf(buffer, MLY_RATE_TEXT_BYTES, per_s < 9999.5 ? "%.4g" : "%.0f", per_s);
    return buffer;
}
