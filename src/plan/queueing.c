/*
 * Waiting, by formulas.
 *
 *   1. Samples that come at random (Poisson) fill batches of b: the times between full ones are sums of
 *      b exponential ones, an Erlang distribution.
 *   2. Servers alike with constant times and one queue take batches in turn, so each sees every c-th
 *      of them, sums of b c exponential times; and the wait before one server is, by Spitzer,
 *      the sum over n of E[(n S - T_n)+] / n, where T_n is what n arrivals take. Exact.
 *   3. Where times vary, their part of Allen and Cunneen's approximation is added:
 *      C(c, load) S / (c (1 - load)) cs^2 / 2 with Erlang's C.
 *   4. Servers of different speed. The time until a batch that comes now would be done is T. While it is
 *      short only the fast ones are used; a slower one joins when T reaches its own time, or rather half a
 *      step before, because T falls back by a whole step whenever that one takes a batch. A batch makes T
 *      longer by 1 / (sum of the speeds in use), and until the next it gets shorter again: a Markov
 *      chain, solved on a grid. Close to what they can take at most, where the grid would have to be
 *      endless, the wait grows as that before one server of the same speed; and the more alike they are,
 *      the more the formula for equal ones counts.
 *   5. Batches that come t after one: the sum of the densities of all T_n at t.
 *
 * Sources: F. Spitzer, "A combinatorial lemma and its application to probability theory", Transactions
 * AMS 82 (1956); A. O. Allen, "Probability, Statistics and Queueing Theory", 2nd ed. (1990), 5.3.6;
 * W. K. Grassmann, M. I. Taksar, D. P. Heyman, "Regenerative analysis and steady state distributions
 * for Markov chains", Operations Research 33 (1985).
 */
#include "queueing.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "internal.h"

/* p90 - p10 of a normal distribution, in standard deviations. */
static const double normal_p90_p10 = 2.563;

/* --- 1 --- */

/* Of sums of more exponential times than this a normal distribution is near enough. */
static const double many = 2000;

/* x^k e^-x / k! */
static double poisson(double k, double x)
{
    return x > 0 ? exp(k * log(x) - x - lgamma(k + 1)) : k == 0;
}

/* P(a sum of k exponential times of mean 1 is at most x). */
static double erlang_below(double k, double x)
{
    if (x <= 0)
        return 0;
    if (k > many)
        return erfc(-(x - k) / sqrt(2 * k)) / 2;
    double sum = 0, term = 1;
    if (x < k + 1) { /* the terms from k on */
        for (double n = k + 1; term > 1e-15 * (1 + sum); n++) {
            sum += term;
            term *= x / n;
        }
        return fmin(1, sum * poisson(k, x));
    }
    for (double n = k - 1; n >= 0 && term > 1e-15 * sum; n--) { /* those below it */
        sum += term;
        term *= n / x;
    }
    return fmax(0, 1 - sum * poisson(k - 1, x));
}

/* E[(x - T)+] of such a sum T. */
static double erlang_short(double k, double x)
{
    if (k > many) {
        const double z = (x - k) / sqrt(k);
        return (x - k) * erlang_below(k, x) + sqrt(k) * exp(-z * z / 2) / sqrt(2 * 3.14159265359);
    }
    const double below = erlang_below(k, x);
    return fmax(0, x * below - k * (below - poisson(k, x)));
}

/* --- 2 --- */

/* Mean wait before one server, in mean exponential times: m of them between arrivals, service s. */
static double wait_before_one(double m, double s)
{
    enum { SINGLY = 16 };
    const double step = 0.2;
    double sum = 0, before = 0, next;
    if (m == 1)
        return s * s / (2 * (1 - s)); /* Pollaczek and Khinchine */
    for (int n = 1; n <= SINGLY; n++)
        sum += erlang_short(n * m, n * s) / n;
    /* The rest as an integral over log n, by trapezoids. */
    for (int i = 0;; i++, before = next) {
        const double n = (SINGLY + 0.5) * exp(i * step);
        next = erlang_short(n * m, n * s);
        if (i)
            sum += step * (before + next) / 2;
        if (next <= 1e-7 * sum || next < 1e-12)
            return sum;
    }
}

double mly__wait_alike_ns(struct mly__batches batches, uint32_t servers, double service_ns)
{
    const double load = service_ns / servers / batches.interval_ns;
    const double sample_ns = batches.interval_ns / batches.batch;
    if (!(load < 1))
        return INFINITY;
    return sample_ns * wait_before_one((double)batches.batch * servers, service_ns / sample_ns);
}

/* --- 3 --- */

double mly__spread_deviation(double spread)
{
    return spread / normal_p90_p10;
}

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

double mly__wait_varied_ns(struct mly__batches batches, uint32_t servers, double service_ns,
                           double deviation)
{
    const double load = service_ns / servers / batches.interval_ns;
    if (!(load < 1))
        return INFINITY;
    return deviation > 0 ? erlang_c(servers, load) * service_ns / (servers * (1 - load)) *
                               deviation * deviation / 2
                         : 0;
}

/* --- 4 --- */

enum { CELLS = 128 };
/* Slower than the fastest by more than this: used only when the others cannot keep up. */
static const double much_slower = 20, nearly_all = 0.95;

struct chain {
    const double *service_ns;
    uint32_t servers, equal; /* of them as fast as the fastest: they are stepped through at once */
    double sample_ns, shape; /* between steps: a sum of `shape` exponential times of this mean */
    double cell_ns;
    double share[CELLS + 1][CELLS + 1]; /* from, to; 0: nothing waits */
    double often[CELLS + 1];
};

/* Of the servers in use at a level, batches per ns. */
static double speed_of(const struct chain *chain, double level_ns)
{
    const double *service_ns = chain->service_ns;
    double speed = 0;
    for (uint32_t k = 0; k < chain->servers; k++) {
        double joins_ns = service_ns[k];
        if (k >= chain->equal)
            joins_ns -= fmin(0.5 / speed, 0.6 * (service_ns[k] - service_ns[0]));
        if (k >= chain->equal && joins_ns > level_ns)
            break;
        speed += 1 / service_ns[k];
    }
    return speed;
}

static double level_ns(const struct chain *chain, uint32_t cell)
{
    return chain->service_ns[0] + (cell ? (cell - 0.5) * chain->cell_ns : 0);
}

static void fill_chain(struct chain *chain)
{
    for (uint32_t from = 0; from <= CELLS; from++) {
        const double high_ns =
            level_ns(chain, from) + chain->equal / speed_of(chain, level_ns(chain, from));
        double before = 0, sum = 0; /* P(it has sunk below the upper edge of the cell) */
        for (uint32_t to = CELLS; to > 0; to--) {
            const double edge_ns = chain->service_ns[0] + (to - 1) * chain->cell_ns;
            const double now = erlang_below(chain->shape, (high_ns - edge_ns) / chain->sample_ns);
            chain->share[from][to] = now - before;
            sum += now - before;
            before = now;
        }
        chain->share[from][0] = fmax(0, 1 - sum);
    }
}

/* The mean level, by Grassmann, Taksar and Heyman: states are taken out one by one, from the last. */
static double solve_chain(struct chain *chain)
{
    double(*share)[CELLS + 1] = chain->share;
    for (uint32_t n = CELLS; n > 0; n--) {
        double leave = 0;
        for (uint32_t to = 0; to < n; to++)
            leave += share[n][to];
        if (!(leave > 0))
            leave = 1e-300;
        for (uint32_t from = 0; from < n; from++) {
            share[from][n] /= leave;
            if (share[from][n] > 0)
                for (uint32_t to = 0; to < n; to++)
                    share[from][to] += share[from][n] * share[n][to];
        }
    }
    double *often = chain->often, sum = 1, mean_ns = level_ns(chain, 0);
    often[0] = 1;
    for (uint32_t n = 1; n <= CELLS; n++) {
        often[n] = 0;
        for (uint32_t from = 0; from < n; from++)
            often[n] += often[from] * share[from][n];
        sum += often[n];
        mean_ns += often[n] * level_ns(chain, n);
    }
    return mean_ns / sum;
}

/* Solved for these servers and batches; what is beyond the level of one that waits for nothing. */
static double wait_by_levels(struct chain *chain, struct mly__batches batches, double speed)
{
    const double *service_ns = chain->service_ns, load = 1 / (batches.interval_ns * speed);
    /* Levels above that of the last that joins are exponentially seldom. */
    const bool all_join = speed_of(chain, 0) * 0.3 < 1 / batches.interval_ns;
    const double last_ns = service_ns[all_join ? chain->servers - 1 : 0];
    const double top_ns = last_ns + service_ns[0] + 2 * chain->equal / speed +
                          4 / (speed * batches.batch * (1 - load));
    chain->sample_ns = batches.interval_ns / batches.batch;
    chain->shape = (double)batches.batch * chain->equal;
    chain->cell_ns = top_ns / CELLS;
    fill_chain(chain);
    return solve_chain(chain) - service_ns[0];
}

double mly__wait_unlike_ns(struct mly__batches batches, const double *service_ns, uint32_t servers)
{
    struct chain chain = {.service_ns = service_ns};
    double speed = 0, beyond_ns = 0;
    while (chain.servers < servers && !(service_ns[chain.servers] > much_slower * service_ns[0] &&
                                        1 / batches.interval_ns < nearly_all * speed)) {
        speed += 1 / service_ns[chain.servers];
        chain.equal += service_ns[chain.servers++] <= service_ns[0] * (1 + 1e-9);
    }
    const double alike_ns = chain.servers / speed;
    const double as_alike_ns =
        mly__wait_alike_ns(batches, chain.servers, alike_ns) + alike_ns - service_ns[0];
    if (isinf(as_alike_ns) || chain.equal == chain.servers)
        return as_alike_ns;
    const double most = 1 - fmax(0.01, 0.1 / batches.batch); /* on the grid */
    if (1 / batches.interval_ns > most * speed) {
        beyond_ns = mly__wait_alike_ns(batches, 1, 1 / speed);
        batches.interval_ns = 1 / (most * speed);
        beyond_ns -= mly__wait_alike_ns(batches, 1, 1 / speed);
    }
    const double wait_ns = wait_by_levels(&chain, batches, speed) + beyond_ns;
    const double likeness = fmax(0, 2 - service_ns[chain.servers - 1] / service_ns[0]);
    return wait_ns - likeness * fmax(0, wait_ns - as_alike_ns);
}

/* --- 5 --- */

double mly__batches_density(struct mly__batches batches, double t_ns)
{
    const double sample_ns = batches.interval_ns / batches.batch, x = t_ns / sample_ns;
    const double reach = 8 * sqrt(x) + 20;
    double sum = 0;
    if (batches.batch == 1)
        return 1 / sample_ns;
    double n = floor((x - reach) / batches.batch);
    for (n = n < 1 ? 1 : n; n * batches.batch <= x + reach; n++)
        sum += poisson(n * batches.batch - 1, x);
    return sum / sample_ns;
}

/* --- servers alike, with what is known of them --- */

double mly__queue_latency_ns(double rate_per_s, uint32_t batch, uint32_t servers,
                             double throughput_per_s, double latency_ns, double spread)
{
    const struct mly__batches batches = mly__batches_at(rate_per_s, batch);
    const double service_ns = 1e9 * batch * servers / throughput_per_s;
    if (!(rate_per_s < throughput_per_s))
        return INFINITY;
    return mly__filling_ns(rate_per_s, batch) + mly__wait_alike_ns(batches, servers, service_ns) +
           mly__wait_varied_ns(batches, servers, service_ns, mly__spread_deviation(spread)) +
           latency_ns;
}
