/* Measured values in bounded memory, thinned out evenly. */
#include "profile/samples.h"

#include <string.h>

#include "base/alloc.h"

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measurements");
}

/* Keeps every second value: of a time series or of a sorted one, the distribution stays. */
static void thin_out(struct samples *samples)
{
    size_t kept = 0;
    for (size_t i = 0; i < samples->count; i += 2)
        samples->values[kept++] = samples->values[i];
    samples->count = kept;
    samples->stride = samples->stride ? 2 * samples->stride : 2;
}

static uint64_t stride_of(const struct samples *samples)
{
    return samples->stride ? samples->stride : 1;
}

enum mly_status samples_reserve(struct samples *samples, struct mly_error *err)
{
    if (mly_array_reserve(&samples->values, &samples->capacity, SAMPLES_MAX,
                          sizeof *samples->values))
        return no_memory(err);
    return MLY_OK;
}

enum mly_status samples_add(struct samples *samples, double value, struct mly_error *err)
{
    if (samples->skipped + 1 < stride_of(samples)) {
        samples->skipped++;
        samples->added++;
        return MLY_OK;
    }
    if (samples->count == SAMPLES_MAX)
        thin_out(samples);
    if (mly_array_reserve(&samples->values, &samples->capacity, samples->count + 1,
                          sizeof *samples->values))
        return no_memory(err);
    samples->values[samples->count++] = value;
    samples->skipped = 0;
    samples->added++;
    return MLY_OK;
}

enum mly_status samples_merge(struct samples *into, struct samples *from, struct mly_error *err)
{
    /* Room first: nothing below can fail. Thinning out only makes both smaller. */
    size_t most = into->count + from->count;
    if (mly_array_reserve(&into->values, &into->capacity, most < SAMPLES_MAX ? most : SAMPLES_MAX,
                          sizeof *into->values))
        return no_memory(err);
    while (stride_of(into) < stride_of(from))
        thin_out(into);
    while (stride_of(from) < stride_of(into))
        thin_out(from);
    while (into->count + from->count > SAMPLES_MAX) {
        thin_out(into);
        thin_out(from);
    }
    if (from->count)
        memcpy(into->values + into->count, from->values, from->count * sizeof *from->values);
    into->count += from->count;
    into->added += from->added;
    return MLY_OK;
}

struct mly_summary samples_summarise(struct samples *samples)
{
    return mly_summarise(samples->values, samples->count);
}

void samples_fini(struct samples *samples)
{
    mly_free(samples->values);
    *samples = (struct samples){0};
}
