/* Formulas of queueing theory: how long batches wait that fill with samples which come at random. */
#ifndef MLY_PLAN_QUEUEING_H
#define MLY_PLAN_QUEUEING_H

#include <stdint.h>

/* Full batches: how many samples each, and how far apart they come on average. */
struct mly__batches {
    uint32_t batch;
    double interval_ns;
};

static inline struct mly__batches mly__batches_at(double rate_per_s, uint32_t batch)
{
    return (struct mly__batches){batch, 1e9 * batch / rate_per_s};
}

/* Mean time from a sample's arrival until its batch is full. */
static inline double mly__filling_ns(double rate_per_s, uint32_t batch)
{
    return 1e9 * (batch - 1) / (2 * rate_per_s);
}

/* Mean wait for one of `servers` alike that always take service_ns. Infinite when it is too much. */
double mly__wait_alike_ns(struct mly__batches batches, uint32_t servers, double service_ns);
/* What is added to that where times vary, with this standard deviation over their mean. */
double mly__wait_varied_ns(struct mly__batches batches, uint32_t servers, double service_ns,
                           double deviation);
/*
 * The same for servers of different speed (ascending times), of which a batch takes that where it ends
 * first: mean time from full to done, less the least there is. O(1) in memory; about a million steps.
 */
double mly__wait_unlike_ns(struct mly__batches batches, const double *service_ns, uint32_t servers);
/* Expected batches per ns that come t_ns after one. */
double mly__batches_density(struct mly__batches batches, double t_ns);
/* Of a time of this relative spread (p90 - p10 over the median) the standard deviation over the mean. */
double mly__spread_deviation(double spread);

#endif
