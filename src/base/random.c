/*
 * SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014)
 * and distributions that use only exactly rounded arithmetic, so that seeded weights are the same
 * on every box.
 */
#include "base/random.h"

#include <math.h>

void mly_random_init(struct mly_random *random, uint64_t seed)
{
    random->state = seed;
}

uint64_t mly_random_next(struct mly_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double mly_random_uniform(struct mly_random *random)
{
    return (double)(mly_random_next(random) >> 11) * 0x1p-53;
}

uint64_t mly_random_below(struct mly_random *random, uint64_t bound)
{
    if (bound < 2)
        return 0;
    /* Values below 2^64 mod bound would make small results likelier: draw again. */
    uint64_t reject = (UINT64_C(0) - bound) % bound, value;
    do
        value = mly_random_next(random);
    while (value < reject);
    return value % bound;
}

/* Natural logarithm of x in (0, 1) by atanh's series; libm's differs between processors in the last
 * bit. */
static double natural_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0x1.6a09e667f3bcdp-1) { /* sqrt(1/2) */
        m *= 2;
        exponent--;
    }
    double z = (m - 1) / (m + 1), square = z * z, sum = 0;
    for (int k = 25; k >= 1; k -= 2)
        sum = sum * square + 1.0 / k;
    return exponent * 0x1.62e42fefa39efp-1 + 2 * z * sum; /* ln 2 */
}

double mly_random_normal(struct mly_random *random)
{
    /* Marsaglia's polar method ("A convenient method for generating normal variables", SIAM Rev.
     * 1964). */
    double u, v, s;
    do {
        u = 2 * mly_random_uniform(random) - 1;
        v = 2 * mly_random_uniform(random) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * natural_log(s) / s);
}

double mly_random_exponential(struct mly_random *random)
{
    return -natural_log(1 - mly_random_uniform(random)); /* of a number in (0, 1] */
}
