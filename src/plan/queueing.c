/*
 * Latency under load, as an estimate.
 *
 *   1. A sample waits for its batch to fill: samples that arrive at random at a rate r fill one of b in
 *      b / r, so on average each waits (b - 1) / (2 r).
 *   2. Full batches arrive with intervals that are sums of b exponential ones: squared variation 1 / b.
 *      They wait for one of c equal servers, by Allen and Cunneen's approximation for G/G/c:
 *      C(c, load) * S / (c * (1 - load)) * (ca^2 + cs^2) / 2, with Erlang's C.
 *   3. In a row of stages with constant times all waiting is that of the slowest stage, wherever it is
 *      (Friedman): so only that one is counted, and the rest is the latency of an idle plan.
 *
 * Sources: A. O. Allen, "Probability, Statistics and Queueing Theory", 2nd ed. (1990), 5.3.6;
 * H. D. Friedman, "Reduction methods for tandem queuing systems", Operations Research 13 (1965).
 */
#include <math.h>

#include "internal.h"

/* p90 - p10 of a normal distribution, in standard deviations. */
static const double normal_p90_p10 = 2.563;

/* Erlang's C: the share of arrivals that find all c servers busy, at a load in (0, 1) of each. */
static double erlang_c(uint32_t servers, double load)
{
    /* By Erlang's B, which has a stable recursion. */
    const double offered = load * servers;
    double blocked = 1;
    for (uint32_t i = 1; i <= servers; i++)
        blocked = offered * blocked / (i + offered * blocked);
    return blocked / (1 - load * (1 - blocked));
}

double mly__queue_latency_ns(double rate_per_s, uint32_t batch, uint32_t servers,
                             double throughput_per_s, double latency_ns, double spread)
{
    const double load = rate_per_s / throughput_per_s;
    if (!(load < 1))
        return INFINITY;
    const double fill_ns = 1e9 * (batch - 1) / (2 * rate_per_s); /* 1 */
    const double service_ns = 1e9 * batch * servers / throughput_per_s;
    const double arrivals = 1.0 / batch;
    const double service = spread / normal_p90_p10 * (spread / normal_p90_p10);
    const double queue_ns = erlang_c(servers, load) * service_ns / (servers * (1 - load)) *
                            (arrivals + service) / 2; /* 2 */
    return fill_ns + queue_ns + latency_ns;           /* 3 */
}

double mly__plan_loaded_ns(const mly_plan *plan, const struct mly_prediction *prediction)
{
    if (plan->rate_per_s <= 0 || !prediction->known || prediction->throughput_per_s <= 0)
        return 0;
    const uint32_t servers = plan->segment_count == 1 ? plan->segments[0].processor_count : 1;
    return mly__queue_latency_ns(plan->rate_per_s, plan->batch, servers,
                                 prediction->throughput_per_s, prediction->latency_ns,
                                 prediction->spread);
}
