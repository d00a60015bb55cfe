/*
 * How many batches have to be in flight so that no processor idles.
 *
 *   1. For each processor one that runs and one that waits.
 *   2. Of short ones more wait on cores, where throughput is asked for. Whoever submits is woken once for
 *      half of what is in flight (src/runtime/measure.c), and has to get a core for it: some 0.1 ms, by
 *      bench/bench_together.c. That is to be a hundredth of what the core does meanwhile.
 *   3. Where processors of one segment are unlike, more. A task goes where it is expected to end
 *      first, so a slow processor is given one only when so many wait for each faster one as that runs
 *      in the slow one's time: slowest / time.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

/* (2) Twice what a core is to do between two times that whoever submits is woken. */
static const double work_in_flight_ns = 20e6;
enum { SHORT_MAX = 32 }; /* (2) per processor */
/* More would not be worth its memory: what is a thousand times slower adds nothing. */
enum { WINDOW_MAX = 1024 };

/* Of one batch there; 0: it has nothing to do or that is not known. */
static double work_at(const mly_plan *plan, uint32_t processor)
{
    double ns = 0;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].time_count; k++)
            if (plan->segments[i].times[k].processor == processor)
                ns += plan->segments[i].times[k].ns;
    return ns;
}

/* (1, 2) */
static double window_at(const mly_plan *plan, uint32_t processor)
{
    const struct mly_plan_processor *p = &plan->processors[processor];
    const bool for_latency = plan->objective == MLY_OBJECTIVE_LATENCY ||
                             plan->objective == MLY_OBJECTIVE_LATENCY_AT_RATE;
    const double ns = work_at(plan, processor);
    if (for_latency || ns <= 0 || strcmp(p->kind, "cpu") != 0 || mly__plan_is_modelled(p))
        return 2;
    return fmin(fmax(ceil(work_in_flight_ns / ns), 2), SHORT_MAX);
}

/* (3) How many more the segment's faster processors run while its slowest runs one. */
static double more_at(const struct mly_plan_segment *segment)
{
    double slowest = 0, more = 0;
    for (uint32_t i = 0; i < segment->time_count; i++)
        slowest = fmax(slowest, segment->times[i].ns);
    for (uint32_t i = 0; i < segment->time_count; i++)
        more += ceil(slowest / segment->times[i].ns * (1 - 1e-9)) - 1;
    return more;
}

static bool is_used(const mly_plan *plan, uint32_t processor)
{
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            if (plan->segments[i].processors[k] == processor)
                return true;
    return false;
}

uint32_t mly__plan_window(const mly_plan *plan)
{
    double window = 0;
    for (uint32_t p = 0; p < plan->processor_count; p++)
        window += is_used(plan, p) ? window_at(plan, p) : 0;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        window += more_at(&plan->segments[i]);
    return (uint32_t)fmin(window, WINDOW_MAX);
}
