/* Which way new requests run: by the rate of arrivals (pace.c), among those that are ready. */
#include "runtime/ways.h"

#include <inttypes.h>

#include "base/alloc.h"

enum mly_status mly__ways_init(struct mly__ways *ways, const double *max_rates, uint32_t count,
                               struct mly_error *err)
{
    *ways = (struct mly__ways){.ready = mly_alloc_array(count, sizeof *ways->ready)};
    mly__pace_init(&ways->pace, max_rates, count);
    return ways->ready ? MLY_OK
                       : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a family of plans");
}

void mly__ways_fini(struct mly__ways *ways)
{
    mly_free(ways->ready);
    ways->ready = NULL;
}

bool mly__ways_choose(struct mly__ways *ways)
{
    const uint32_t wanted = ways->pace.current, count = ways->pace.count;
    uint32_t index = wanted;
    while (index < count && !ways->ready[index])
        index++;
    for (uint32_t before = wanted; index == count; before--) {
        if (ways->ready[before]) /* the first one is */
            index = before;
    }
    if (index == ways->serving)
        return false;
    ways->serving = index;
    ways->changes++;
    return true;
}

bool mly__ways_arrive(struct mly__ways *ways, mly_timeline *timeline, int64_t now_ns,
                      uint32_t samples, bool crowded)
{
    (void)mly__pace_note(&ways->pace, now_ns, samples, crowded);
    if (!mly__ways_choose(ways))
        return false;
    if (timeline)
        mly__timeline_mark(timeline, MLY_NO_INDEX, now_ns,
                           "plan %" PRIu32 " of %" PRIu32 ": %.0f samples/s arrive",
                           ways->serving + 1, ways->pace.count,
                           mly__pace_rate(&ways->pace, now_ns));
    return true;
}
