/* Service times of a virtual run, drawn from what is known of each segment on each processor. */
#ifndef MLY_RUNTIME_VIRTUAL_SERVICE_H
#define MLY_RUNTIME_VIRTUAL_SERVICE_H

#include "base/random.h"
#include "runtime/virtual.h"

#define MLY__SERVICE_VALUES 1024u /* a power of two */

/* A segment on a processor. */
struct mly__service {
    enum mly_virtual_spread spread;
    int64_t fixed_ns; /* MLY_VIRTUAL_EXACT */
    double mean_ns;   /* MLY_VIRTUAL_EXPONENTIAL */
    /* MLY_VIRTUAL_LOGNORMAL: [MLY__SERVICE_VALUES], borrowed; at work all the time, and after rests. */
    int64_t *values, *rested_values; /* rested_values: NULL where rests change nothing */
    int64_t first_ns;                /* added to the next task, then 0 */
    double rested;                   /* what a rest adds, of the time, for other spreads */
    double per_rest; /* 1 / rest that adds all of it, in ns; 0: rests change nothing */
};

/* [segment_count][processor_count] of one run. */
struct mly__services {
    struct mly__service *items;
    int64_t *values; /* behind all items */
};
/* costs[count]. MLY_E_NO_MEMORY; fini in every case. */
enum mly_status mly__services_init(struct mly__services *services,
                                   const struct mly_virtual_cost *costs, size_t count,
                                   struct mly_error *err) MLY_MUST_CHECK;
void mly__services_fini(struct mly__services *services);

/* Time of the next task, of a processor that was idle for so long; at least 1 ns, so that time goes on. */
static inline int64_t mly__service_draw(struct mly__service *service, int64_t idle_ns,
                                        struct mly_random *random)
{
    int64_t ns = service->fixed_ns;
    double longer = (double)ns * service->rested; /* after a rest */
    if (service->spread == MLY_VIRTUAL_LOGNORMAL) {
        const uint64_t i = mly_random_next(random) & (MLY__SERVICE_VALUES - 1);
        ns = service->values[i];
        if (service->rested_values)
            longer = (double)(service->rested_values[i] - ns);
    } else if (service->spread == MLY_VIRTUAL_EXPONENTIAL) {
        ns = (int64_t)(service->mean_ns * mly_random_exponential(random));
        longer = (double)ns * service->rested;
    }
    if (service->per_rest != 0) {
        const double share = (double)idle_ns * service->per_rest;
        ns += (int64_t)(longer * (share < 1 ? share : 1));
    }
    ns += service->first_ns;
    service->first_ns = 0;
    return ns > 0 ? ns : 1;
}

#endif
