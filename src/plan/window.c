/*
 * How many batches have to be in flight so that no processor idles: for each, one that runs and one that
 * waits; and where processors of one segment are unlike, more. A task goes where it is expected to end
 * first, so a slow processor is given one only when so many wait for each faster one as that runs
 * in the slow one's time: slowest / time.
 */
#include <math.h>

#include "internal.h"

/* More would not be worth its memory: what is a thousand times slower adds nothing. */
enum { WINDOW_MAX = 1024 };

/* How many more the segment's faster processors run while its slowest runs one. */
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
        window += is_used(plan, p) ? 2 : 0;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        window += more_at(&plan->segments[i]);
    return (uint32_t)fmin(window, WINDOW_MAX);
}
