/*
 * Service times. What was measured is a median and two deciles; between and beyond them the logarithm
 * of the time is taken for normal, with a deviation of its own below and above the median. 1024 equally
 * likely values of that are made beforehand: drawing one is then a look into a table.
 */
#include "virtual_service.h"

#include <math.h>

#include "base/alloc.h"

/* Of the standard normal distribution: a tenth lies beyond it. */
#define DECILE 1.2815515655446004

/*
 * The number below which a share p of the standard normal distribution lies, by bisection of erfc: 53
 * steps are exact to the last bit, and it is done 1024 times at most.
 */
static double normal_quantile(double p)
{
    double low = -8, high = 8;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (erfc(-middle / 1.4142135623730951) / 2 < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* Of the logarithm; 0 where the numbers do not say. */
static double deviation(double smaller_ns, double larger_ns)
{
    return smaller_ns > 0 && larger_ns > smaller_ns ? log(larger_ns / smaller_ns) / DECILE : 0;
}

static void fill(int64_t *values, double median_ns, double below, double above,
                 const double *quantiles)
{
    for (uint32_t i = 0; i < MLY__SERVICE_VALUES; i++) {
        double z = quantiles[i];
        values[i] = (int64_t)(median_ns * exp(z * (z < 0 ? below : above)) + 0.5);
    }
}

static bool changes_after_rests(const struct mly_virtual_cost *cost)
{
    return cost->known && cost->rested > 0 && cost->rest_ns > 0;
}

/* The tables of one cost, from `values` on; what is behind them. */
static int64_t *fill_tables(struct mly__service *service, const struct mly_virtual_cost *cost,
                            const double *quantiles, int64_t *values)
{
    const double below = deviation(cost->p10_ns, cost->median_ns);
    const double above = deviation(cost->median_ns, cost->p90_ns);
    service->values = values;
    fill(values, cost->median_ns, below, above, quantiles);
    values += MLY__SERVICE_VALUES;
    if (!changes_after_rests(cost))
        return values;
    service->rested_values = values;
    fill(values, cost->median_ns * cost->rested, below,
         cost->rested_p90 > 0 ? deviation(1, cost->rested_p90) : above, quantiles);
    return values + MLY__SERVICE_VALUES;
}

enum mly_status mly__services_init(struct mly__services *services,
                                   const struct mly_virtual_cost *costs, size_t count,
                                   struct mly_error *err)
{
    double quantiles[MLY__SERVICE_VALUES];
    size_t tables = 0;
    *services = (struct mly__services){0};
    for (size_t i = 0; i < count; i++)
        if (costs[i].known && costs[i].spread == MLY_VIRTUAL_LOGNORMAL)
            tables += changes_after_rests(&costs[i]) ? 2 : 1;
    services->items = mly_alloc_array(count, sizeof *services->items);
    services->values = mly_alloc_array(tables * MLY__SERVICE_VALUES, sizeof *services->values);
    if (!services->items || !services->values)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for service times");
    for (uint32_t i = 0; i < MLY__SERVICE_VALUES && tables > 0; i++)
        quantiles[i] = normal_quantile((i + 0.5) / MLY__SERVICE_VALUES);
    int64_t *values = services->values;
    for (size_t i = 0; i < count; i++) {
        const struct mly_virtual_cost *cost = &costs[i];
        if (!cost->known)
            continue;
        services->items[i] = (struct mly__service){.spread = cost->spread,
                                                   .fixed_ns = (int64_t)(cost->median_ns + 0.5),
                                                   .mean_ns = cost->median_ns,
                                                   .first_ns = (int64_t)(cost->first_ns + 0.5)};
        if (changes_after_rests(cost)) {
            services->items[i].rested = cost->rested - 1;
            services->items[i].per_rest = 1 / cost->rest_ns;
        }
        if (cost->spread == MLY_VIRTUAL_LOGNORMAL)
            values = fill_tables(&services->items[i], cost, quantiles, values);
    }
    return MLY_OK;
}

void mly__services_fini(struct mly__services *services)
{
    mly_free(services->items);
    mly_free(services->values);
    *services = (struct mly__services){0};
}
