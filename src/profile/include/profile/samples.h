/* Measured values in bounded memory. */
#ifndef MLY_PROFILE_SAMPLES_H
#define MLY_PROFILE_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#include "base/stats.h"

#define SAMPLES_MAX 2048u

/*
 * All values while they are few. When there are too many, every second one goes, and from then on
 * only every second, fourth, … is kept: what is left stands for the whole time, not just its end.
 * Zeroed is empty. The order of `values` means nothing (summaries sort them).
 */
struct samples {
    double *values;
    size_t count, capacity;
    uint64_t added;  /* in all, thinned out or not */
    uint64_t stride; /* one value in so many is kept; 0 as 1 */
    uint64_t skipped;
};

/* Makes room for all that are ever kept, so that adding does not allocate. */
enum mly_status samples_reserve(struct samples *samples, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status samples_add(struct samples *samples, double value,
                            struct mly_error *err) MLY_MUST_CHECK;
/*
 * Adds another's values; every measured value weighs the same afterwards. `from` may be thinned
 * out; on failure `into` is as it was.
 */
enum mly_status samples_merge(struct samples *into, struct samples *from,
                              struct mly_error *err) MLY_MUST_CHECK;
/* Sorts. All 0 when empty. */
struct mly_summary samples_summarise(struct samples *samples);
void samples_fini(struct samples *samples);

#endif
