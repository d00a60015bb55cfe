/* Seeded pseudo-random numbers (SplitMix64): the same sequence on every box. */
#ifndef MLY_BASE_RANDOM_H
#define MLY_BASE_RANDOM_H

#include <stdint.h>

struct mly_random {
    uint64_t state;
};

void mly_random_init(struct mly_random *random, uint64_t seed);
uint64_t mly_random_next(struct mly_random *random);
/* Uniform in [0, 1). */
double mly_random_uniform(struct mly_random *random);
/* Uniform in [0, bound), bound > 0. */
uint64_t mly_random_below(struct mly_random *random, uint64_t bound);
/* Standard normal. */
double mly_random_normal(struct mly_random *random);
/* Exponential with mean 1. */
double mly_random_exponential(struct mly_random *random);

#endif
