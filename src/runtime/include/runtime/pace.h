/*
 * Which of a family's plans to use: each is best up to a rate of arrivals. No threads, no clock: the
 * time is passed in.
 */
#ifndef MLY_RUNTIME_PACE_H
#define MLY_RUNTIME_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct mly__pace {
    const double *max_rates; /* [count] samples per second, ascending; borrowed */
    uint32_t count;
    uint32_t current;
    uint64_t changes;
    int64_t begun_ns, noted_ns, changed_ns; /* first and last arrival, last change; 0: none */
    double weight;                          /* samples that arrived, older ones counting less */
};

void mly__pace_init(struct mly__pace *pace, const double *max_rates, uint32_t count);
/*
 * So many samples arrive now; crowded: the queue is full, so that more would arrive than do. True if
 * `current` was changed by this: what arrives now is to run by the new one.
 */
bool mly__pace_note(struct mly__pace *pace, int64_t now_ns, uint32_t samples, bool crowded);
/* Samples per second lately, as of a time; 0 before there was time to tell. */
double mly__pace_rate(const struct mly__pace *pace, int64_t now_ns);

#endif
