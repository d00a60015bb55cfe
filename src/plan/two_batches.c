/*
 * Two batches that meet, by the rules of the engine's scheduler (src/runtime/scheduler_decide.c): of what is
 * ready that of the older batch comes first, then what is nearest to the plan's end; it goes to the processor
 * where it would end first, and if that one is busy, it counts there and waits.
 */
#include "two_batches.h"

#include <math.h>

#include "base/alloc.h"

enum mly_status mly__two_batches_init(struct mly__two_batches *two, uint32_t part_count,
                                      uint32_t processor_count, const double *ns, const bool *needs,
                                      struct mly_error *err)
{
    const size_t tasks = 2 * (size_t)part_count + 1, processors = (size_t)processor_count + 1;
    *two = (struct mly__two_batches){
        .part_count = part_count,
        .processor_count = processor_count,
        .ns = ns,
        .needs = needs,
        .free_ns = mly_alloc_array(processors, sizeof *two->free_ns),
        .available_ns = mly_alloc_array(processors, sizeof *two->available_ns),
        .ready_ns = mly_alloc_array(tasks, sizeof *two->ready_ns),
        .end_ns = mly_alloc_array(tasks, sizeof *two->end_ns),
        .missing = mly_alloc_array(tasks, sizeof *two->missing),
    };
    if (two->free_ns && two->available_ns && two->ready_ns && two->end_ns && two->missing)
        return MLY_OK;
    mly__two_batches_fini(two);
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for following two batches");
}

void mly__two_batches_fini(struct mly__two_batches *two)
{
    mly_free(two->free_ns);
    mly_free(two->available_ns);
    mly_free(two->ready_ns);
    mly_free(two->end_ns);
    mly_free(two->missing);
    *two = (struct mly__two_batches){0};
}

static uint32_t task_of(const struct mly__two_batches *two, uint32_t batch, uint32_t part)
{
    return batch * two->part_count + part;
}

static void start_over(struct mly__two_batches *two, double after_ns)
{
    const uint32_t parts = two->part_count;
    for (uint32_t p = 0; p < two->processor_count; p++)
        two->free_ns[p] = 0;
    for (uint32_t part = 0; part < parts; part++) {
        const bool *needs = two->needs + (size_t)parts * part;
        uint32_t missing = 0;
        for (uint32_t k = 0; k < parts; k++)
            missing += needs[k];
        for (uint32_t batch = 0; batch < 2; batch++) {
            const uint32_t task = task_of(two, batch, part);
            two->missing[task] = missing;
            two->ready_ns[task] = batch == 0 ? 0 : after_ns;
            two->end_ns[task] = INFINITY;
        }
    }
}

/* The part runs: what needs it may be ready when it ends. */
static void begin(struct mly__two_batches *two, uint32_t batch, uint32_t part, uint32_t processor,
                  double now_ns)
{
    const uint32_t parts = two->part_count;
    const double end_ns = now_ns + two->ns[(size_t)part * two->processor_count + processor];
    two->end_ns[task_of(two, batch, part)] = two->free_ns[processor] = end_ns;
    for (uint32_t other = 0; other < parts; other++) {
        const uint32_t task = task_of(two, batch, other);
        if (!two->needs[(size_t)parts * other + part])
            continue;
        two->missing[task]--;
        two->ready_ns[task] = fmax(two->ready_ns[task], end_ns);
    }
}

static bool waits(const struct mly__two_batches *two, uint32_t task, double now_ns)
{
    return isinf(two->end_ns[task]) && !two->missing[task] && two->ready_ns[task] <= now_ns;
}

/* Begins the part where it ends first, if that processor is idle; else it counts there. */
static bool begin_or_count(struct mly__two_batches *two, uint32_t batch, uint32_t part,
                           double now_ns)
{
    const double *ns = two->ns + (size_t)part * two->processor_count;
    uint32_t best = 0;
    double least_ns = INFINITY;
    for (uint32_t p = 0; p < two->processor_count; p++) {
        const double end_ns = two->available_ns[p] + ns[p];
        const bool idle = two->free_ns[p] <= now_ns;
        if (ns[p] > 0 && (end_ns < least_ns || (end_ns == least_ns && idle))) {
            least_ns = end_ns;
            best = p;
        }
    }
    if (isinf(least_ns))
        return false;
    if (two->available_ns[best] <= now_ns) {
        begin(two, batch, part, best, now_ns);
        return true;
    }
    two->available_ns[best] = least_ns;
    return false;
}

/* Starts what the scheduler would start now; false: nothing. */
static bool begin_one(struct mly__two_batches *two, double now_ns)
{
    for (uint32_t p = 0; p < two->processor_count; p++)
        two->available_ns[p] = fmax(two->free_ns[p], now_ns);
    for (uint32_t batch = 0; batch < 2; batch++)
        for (uint32_t part = two->part_count; part-- > 0;)
            if (waits(two, task_of(two, batch, part), now_ns) &&
                begin_or_count(two, batch, part, now_ns))
                return true;
    return false;
}

/* When something can change next. */
static double next_ns(const struct mly__two_batches *two, double now_ns)
{
    double next = INFINITY;
    for (uint32_t p = 0; p < two->processor_count; p++)
        if (two->free_ns[p] > now_ns)
            next = fmin(next, two->free_ns[p]);
    for (uint32_t task = 0; task < 2 * two->part_count; task++)
        if (isinf(two->end_ns[task]) && !two->missing[task] && two->ready_ns[task] > now_ns)
            next = fmin(next, two->ready_ns[task]);
    return next;
}

void mly__two_batches_run(struct mly__two_batches *two, double after_ns, double end_ns[2])
{
    start_over(two, after_ns);
    for (double now = 0; isfinite(now); now = next_ns(two, now))
        while (begin_one(two, now)) {
        }
    for (uint32_t batch = 0; batch < 2; batch++) {
        end_ns[batch] = 0;
        for (uint32_t i = 0; i < two->part_count; i++)
            end_ns[batch] = fmax(end_ns[batch], two->end_ns[task_of(two, batch, i)]);
    }
}
