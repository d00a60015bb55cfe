/*
 * A plan under load.
 *
 *   1. In a row of stages with constant times all waiting is as much as before the slowest stage alone,
 *      wherever it is (Friedman). So what waits is taken from the one place where most waits: a part's
 *      processors, or one processor with all the parts that it runs, as if one after the other.
 *   2. That does not see how batches meet elsewhere: a part waits because its processor is at work on
 *      another part of a younger batch, or ends sooner than by 1. because two parts run side by side. Two
 *      batches are followed for many times between them, by the scheduler's rules: what they lose together,
 *      less what 1. says of two, times how often batches come that far apart, is added. With arrivals at
 *      random this is the exact waiting at small loads, and that of 1. is what remains at large ones: the
 *      interpolation of Reiman and Simon.
 *   3. Filling the batch, and the time of a batch that waits for nothing, are added.
 *
 * Sources: H. D. Friedman, "Reduction methods for tandem queuing systems", Operations Research 13 (1965);
 * M. I. Reiman, B. Simon, "An interpolation approximation for queueing systems with Poisson input",
 * Operations Research 36 (1988).
 */
#include "under_load.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "queueing.h"
#include "two_batches.h"

enum mly_status mly__under_load_init(struct mly__under_load *load, uint32_t batch,
                                     uint32_t part_count, uint32_t processor_count,
                                     struct mly_error *err)
{
    const size_t parts = part_count ? part_count : 1;
    const size_t pairs = parts * processor_count + 1;
    *load = (struct mly__under_load){
        .batch = batch,
        .part_count = part_count,
        .processor_count = processor_count,
        .ns = mly_alloc_array(pairs, sizeof *load->ns),
        .needs = mly_alloc_array(parts * parts, sizeof *load->needs),
        .service_ns = mly_alloc_array(pairs, sizeof *load->service_ns),
        .busy_ns = mly_alloc_array((size_t)processor_count + 1, sizeof *load->busy_ns),
    };
    if (load->ns && load->needs && load->service_ns && load->busy_ns)
        return MLY_OK;
    mly__under_load_fini(load);
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan under load");
}

void mly__under_load_fini(struct mly__under_load *load)
{
    mly_free(load->ns);
    mly_free(load->needs);
    mly_free(load->service_ns);
    mly_free(load->busy_ns);
    *load = (struct mly__under_load){0};
}

/* --- places where batches wait --- */

/* A part's processors (fastest first), or one processor with several parts. */
struct place {
    const double *service_ns; /* NULL: of one processor, all_ns */
    uint32_t servers;
    double all_ns; /* of one server alone, a batch */
};

/* The part's times, ascending, and how many there are. */
static uint32_t sort_times(struct mly__under_load *load, uint32_t part)
{
    const double *ns = load->ns + (size_t)part * load->processor_count;
    double *sorted = load->service_ns + (size_t)part * load->processor_count;
    uint32_t count = 0;
    for (uint32_t p = 0; p < load->processor_count; p++) {
        if (!(ns[p] > 0))
            continue;
        uint32_t at = count++;
        for (; at && sorted[at - 1] > ns[p]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = ns[p];
    }
    return count;
}

static struct place place_of_part(const struct mly__under_load *load, uint32_t part)
{
    struct place place = {.service_ns = load->service_ns + (size_t)part * load->processor_count};
    while (place.servers < load->processor_count && place.service_ns[place.servers] > 0)
        place.servers++;
    return place;
}

/* Of a processor with several parts, which it may share with others: as many as share every part. */
static struct place place_of_processor(const struct mly__under_load *load, uint32_t processor)
{
    struct place place = {.servers = load->processor_count};
    uint32_t parts = 0;
    for (uint32_t i = 0; i < load->part_count; i++) {
        if (!(load->ns[(size_t)i * load->processor_count + processor] > 0))
            continue;
        const uint32_t servers = place_of_part(load, i).servers;
        place.servers = servers < place.servers ? servers : place.servers;
        parts++;
    }
    if (parts < 2)
        place.servers = 0;
    place.all_ns = load->busy_ns[processor] * place.servers;
    return place;
}

static bool are_alike(const struct place *place)
{
    return !place->service_ns ||
           place->service_ns[place->servers - 1] <= place->service_ns[0] * (1 + 1e-9);
}

static double wait_ns(const struct place *place, struct mly__batches batches)
{
    if (!are_alike(place))
        return mly__wait_unlike_ns(batches, place->service_ns, place->servers);
    return mly__wait_alike_ns(batches, place->servers,
                              place->service_ns ? place->service_ns[0] : place->all_ns);
}

/* What two batches lose there that come t_ns apart, by what wait_ns counts of it. */
static double counted_ns(const struct place *place, double t_ns)
{
    if (!place->service_ns)
        return place->servers == 1 ? fmax(0, place->all_ns - t_ns) : 0;
    const double first = place->service_ns[0];
    const double other = place->servers > 1 ? place->service_ns[1] - first : INFINITY;
    return fmax(0, fmin(first - t_ns, other));
}

/* --- what does not depend on the rate --- */

static enum mly_status let_meet(struct mly__under_load *load, struct mly_error *err)
{
    struct mly__two_batches two;
    double end_ns[2];
    enum mly_status status = mly__two_batches_init(&two, load->part_count, load->processor_count,
                                                   load->ns, load->needs, err);
    if (status)
        return status;
    mly__two_batches_run(&two, INFINITY, end_ns);
    const double alone_ns = end_ns[0];
    load->apart_ns = isfinite(alone_ns) ? alone_ns : 0;
    for (uint32_t i = 0; i < MLY__MEETINGS && load->apart_ns > 0 && load->part_count > 1; i++) {
        const double after_ns = load->apart_ns * (i + 0.5) / MLY__MEETINGS;
        mly__two_batches_run(&two, after_ns, end_ns);
        load->late_ns[i] = end_ns[0] + end_ns[1] - after_ns - 2 * alone_ns;
    }
    if (!(load->alone_ns > 0))
        load->alone_ns = alone_ns;
    mly__two_batches_fini(&two);
    return MLY_OK;
}

enum mly_status mly__under_load_ready(struct mly__under_load *load, struct mly_error *err)
{
    double busiest_ns = 0;
    memset(load->busy_ns, 0, load->processor_count * sizeof *load->busy_ns);
    for (uint32_t i = 0; i < load->part_count; i++) {
        const double *ns = load->ns + (size_t)i * load->processor_count;
        const uint32_t servers = sort_times(load, i);
        double speed = 0;
        for (uint32_t k = 0; k < servers; k++)
            speed += 1 / load->service_ns[(size_t)i * load->processor_count + k];
        for (uint32_t p = 0; p < load->processor_count; p++)
            load->busy_ns[p] += ns[p] > 0 ? 1 / speed : 0;
    }
    for (uint32_t p = 0; p < load->processor_count; p++)
        busiest_ns = fmax(busiest_ns, load->busy_ns[p]);
    load->most_per_s = busiest_ns > 0 ? 1e9 * load->batch / busiest_ns : INFINITY;
    return let_meet(load, err);
}

/* --- at a rate --- */

/* alone_ns: the longest time so far of one server; less than that waits less. */
static void keep_longest(const struct place *place, struct mly__batches batches, double *alone_ns,
                         struct place *longest, double *longest_ns)
{
    const double all_ns = place->service_ns ? place->service_ns[0] : place->all_ns;
    if (!place->servers || (place->servers == 1 && all_ns <= *alone_ns))
        return;
    if (place->servers == 1)
        *alone_ns = all_ns;
    const double ns = wait_ns(place, batches);
    if (ns > *longest_ns) {
        *longest_ns = ns;
        *longest = *place;
    }
}

/* Waiting that comes of the variation of times, where most waits. */
static double varied_ns(const struct mly__under_load *load, const struct place *place,
                        struct mly__batches batches)
{
    double speed = 0;
    for (uint32_t k = 0; place->service_ns && k < place->servers; k++)
        speed += 1 / place->service_ns[k];
    return mly__wait_varied_ns(batches, place->servers,
                               place->service_ns ? place->servers / speed : place->all_ns,
                               mly__spread_deviation(load->spread));
}

double mly__under_load_latency_ns(const struct mly__under_load *load, double rate_per_s)
{
    const struct mly__batches batches = mly__batches_at(rate_per_s, load->batch);
    struct place longest = {0};
    double longest_ns = -1, alone_ns = 0, meetings_ns = 0;
    if (!(rate_per_s < load->most_per_s))
        return INFINITY;
    for (uint32_t i = 0; i < load->part_count; i++) { /* 1 */
        const struct place place = place_of_part(load, i);
        keep_longest(&place, batches, &alone_ns, &longest, &longest_ns);
    }
    for (uint32_t p = 0; p < load->processor_count; p++) {
        const struct place place = place_of_processor(load, p);
        keep_longest(&place, batches, &alone_ns, &longest, &longest_ns);
    }
    if (!longest.servers)
        return mly__filling_ns(rate_per_s, load->batch) + load->alone_ns;
    const double step_ns = load->apart_ns / MLY__MEETINGS;
    for (uint32_t i = 0; i < MLY__MEETINGS && load->part_count > 1; i++) { /* 2 */
        const double t_ns = step_ns * (i + 0.5);
        const double late_ns = load->late_ns[i] - counted_ns(&longest, t_ns);
        if (fabs(late_ns) > 1e-9 * load->apart_ns)
            meetings_ns += step_ns * late_ns * mly__batches_density(batches, t_ns);
    }
    return mly__filling_ns(rate_per_s, load->batch) + fmax(0, longest_ns + meetings_ns) +
           varied_ns(load, &longest, batches) + load->alone_ns; /* 3 */
}
