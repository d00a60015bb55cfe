/* A plan under load: its latency at any rate of arrivals. */
#ifndef MLY_PLAN_UNDER_LOAD_H
#define MLY_PLAN_UNDER_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/status.h>

enum { MLY__MEETINGS = 64 };

struct mly__under_load {
    uint32_t batch, part_count, processor_count;
    double *ns;    /* [part * processor_count + processor]: of one batch; 0: not there */
    bool *needs;   /* [part * part_count + other]: begins when that one has ended */
    double spread; /* of times: p90 - p10 over the median */
    double
        alone_ns; /* of a batch that waits for nothing; 0 at first: mly__under_load_ready finds it */
    /* Found by mly__under_load_ready. */
    double most_per_s;             /* samples */
    double apart_ns;               /* two batches do not meet that are so far apart */
    double late_ns[MLY__MEETINGS]; /* what two that meet lose together, by time between them */
    double *service_ns;            /* by part: of its processors, ascending */
    double *busy_ns;               /* by processor: of one batch */
};

/* All times are 0, nothing is needed yet. MLY_E_NO_MEMORY. */
enum mly_status mly__under_load_init(struct mly__under_load *load, uint32_t batch,
                                     uint32_t part_count, uint32_t processor_count,
                                     struct mly_error *err) MLY_MUST_CHECK;
void mly__under_load_fini(struct mly__under_load *load);
/* The times and needs are set: works out what does not depend on the rate. MLY_E_NO_MEMORY. */
enum mly_status mly__under_load_ready(struct mly__under_load *load,
                                      struct mly_error *err) MLY_MUST_CHECK;
/*
 * Mean time from a sample's arrival to its result, when samples arrive at random (Poisson) at the rate
 * and wait for a full batch and for processors. Infinite when the rate is too much.
 */
double mly__under_load_latency_ns(const struct mly__under_load *load, double rate_per_s);

#endif
