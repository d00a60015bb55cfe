/*
 * Choosing among plans by the rate of arrivals.
 *
 *   1. The rate is that of the last second or so: each arrival's weight falls to 1/e within it.
 *   2. Up at once, when the rate is beyond what the current plan is best for; or one step, when the
 *      queue is full (then the rate only says what the plan can take).
 *   3. Down when the rate is well below (by a fifth) what the plan before is best for, so that a rate
 *      near a bound does not move it to and fro; and not sooner than two seconds after the last
 *      change.
 */
#include "runtime/pace.h"

#include <math.h>

#define MEMORY_NS 1e9
#define WARM_UP_NS 100000000
#define UP_AFTER_NS 100000000
#define DOWN_AFTER_NS 2000000000
#define DOWN_BELOW 0.8

void mly__pace_init(struct mly__pace *pace, const double *max_rates, uint32_t count)
{
    *pace = (struct mly__pace){.max_rates = max_rates, .count = count};
}

double mly__pace_rate(const struct mly__pace *pace, int64_t now_ns)
{
    double seen_ns = (double)(now_ns - pace->begun_ns);
    if (pace->begun_ns == 0 || seen_ns < WARM_UP_NS)
        return 0;
    double faded = pace->weight * exp(-(double)(now_ns - pace->noted_ns) / MEMORY_NS); /* (1) */
    return faded * 1e9 / (MEMORY_NS * (1 - exp(-seen_ns / MEMORY_NS)));
}

/* The first plan that is good for the rate, or the last one. */
static uint32_t plan_for(const struct mly__pace *pace, double rate)
{
    uint32_t i = 0;
    while (i + 1 < pace->count && rate > pace->max_rates[i])
        i++;
    return i;
}

static bool move_to(struct mly__pace *pace, uint32_t plan, int64_t now_ns)
{
    if (plan == pace->current)
        return false;
    pace->current = plan;
    pace->changed_ns = now_ns;
    pace->changes++;
    return true;
}

bool mly__pace_note(struct mly__pace *pace, int64_t now_ns, uint32_t samples, bool crowded)
{
    if (pace->begun_ns == 0)
        pace->begun_ns = pace->noted_ns = pace->changed_ns = now_ns;
    if (now_ns > pace->noted_ns) {
        pace->weight *= exp(-(double)(now_ns - pace->noted_ns) / MEMORY_NS);
        pace->noted_ns = now_ns;
    }
    pace->weight += samples;
    int64_t since_ns = now_ns - pace->changed_ns;
    double rate = mly__pace_rate(pace, now_ns);
    uint32_t up = plan_for(pace, rate), down = plan_for(pace, rate / DOWN_BELOW);
    if (crowded && up <= pace->current && pace->current + 1 < pace->count)
        up = pace->current + 1;
    if (up > pace->current) /* (2) */
        return since_ns >= UP_AFTER_NS && move_to(pace, up, now_ns);
    if (down < pace->current && !crowded && rate > 0) /* (3) */
        return since_ns >= DOWN_AFTER_NS && move_to(pace, down, now_ns);
    return false;
}
