/*
 * Lower bounds over all plans of a problem.
 *
 * Bottleneck. Say y[u][c] is the share of batches whose unit u is computed on class c. Then
 * sum over u of y[u][c] * t[u][c] <= count[c] * T for every class, with T the time between batches and
 * t the unit's time alone there. For any weights w >= 0 with sum over c of w[c] * count[c] = 1 follows
 * (the dual of this linear programme) T >= sum over u of min over c of w[c] * t[u][c].
 *   1. What every batch needs besides units counts as units too: it starts at least one segment, and the
 *      inputs that a unit is the first to read, and the results that it makes for the host, are copied.
 *   2. The best weights are looked for by steps along the subgradient; every step's bound is valid.
 *   3. Where all processors are alike and keep weights on their chips, weights beyond the room of all
 *      chips together are streamed for every batch: the cheapest ones to stream, at least, if weights
 *      could be cut like sand.
 * Also, one batch's unit is computed on one processor: but with replicas that bounds latency only.
 *
 * Latency. The longest way through the graph, each unit taking the least that any class takes for it,
 * with the start of one segment. (Segments that do not need each other may run at once.)
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

#define STEPS 300

struct dual {
    const struct mly__problem *problem;
    double
        *time_ns; /* [class][unit]: with the copies that cannot be avoided; infinite: not there */
    double weight[MLY__CLASSES_MAX];
};

/* Copies of what the unit is the first to take from the host, and of what it makes for it. */
static double own_copies_ns(const struct mly__problem *problem, const struct mly__class *class,
                            const struct mly__unit *unit, uint32_t number)
{
    double in = 0, out = 0;
    if (class->in_host_memory)
        return 0;
    for (uint32_t i = 0; i < unit->input_count; i++) {
        const struct mly__crossing *c = &problem->crossings[unit->inputs[i]];
        if (c->producer == MLY_NO_INDEX && c->consumers[0] == number)
            in += mly__crossing_bytes(c, class);
    }
    for (uint32_t i = 0; i < unit->output_count; i++) {
        const struct mly__crossing *c = &problem->crossings[unit->outputs[i]];
        out += c->goes_to_host ? mly__crossing_bytes(c, class) : 0;
    }
    return (in > 0 ? in / class->to_device.bytes_per_s * 1e9 : 0) +
           (out > 0 ? out / class->to_host.bytes_per_s * 1e9 : 0);
}

/* 1. The unit after the last stands for starting a segment. */
static enum mly_status find_times(struct dual *d, struct mly_error *err)
{
    const struct mly__problem *problem = d->problem;
    const size_t units = (size_t)problem->unit_count + 1;
    d->time_ns = mly_alloc_array(units * problem->class_count, sizeof *d->time_ns);
    if (!d->time_ns)
        return mly__problem_no_memory(err);
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const struct mly__class *class = &problem->classes[c];
        for (uint32_t u = 0; u < problem->unit_count; u++) {
            const double copies =
                class->overlaps ? 0 : own_copies_ns(problem, class, &problem->units[u], u);
            d->time_ns[units * c + u] = mly__load_of(problem, c, u)->time_ns + copies;
        }
        d->time_ns[units * c + problem->unit_count] = class->segment_ns;
    }
    return MLY_OK;
}

/* The bound for the weights; load[c] gets how much of the work the cheapest choice puts on c. */
static double bound_of(const struct dual *d, double *load)
{
    const struct mly__problem *problem = d->problem;
    const size_t units = (size_t)problem->unit_count + 1;
    double bound = 0;
    memset(load, 0, problem->class_count * sizeof *load);
    for (size_t u = 0; u < units; u++) {
        double least = INFINITY;
        uint32_t at = 0;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const double time_ns = d->time_ns[units * c + u];
            if (isfinite(time_ns) && d->weight[c] * time_ns < least) {
                least = d->weight[c] * time_ns;
                at = c;
            }
        }
        if (isinf(least))
            return INFINITY;
        bound += least;
        load[at] += d->time_ns[units * at + u];
    }
    return bound;
}

static void normalise(struct dual *d)
{
    double sum = 0;
    for (uint32_t c = 0; c < d->problem->class_count; c++)
        sum += d->weight[c] * d->problem->classes[c].count;
    for (uint32_t c = 0; c < d->problem->class_count; c++)
        d->weight[c] /= sum;
}

/*
 * 2. A class whose processors would have more to do than the others gets more weight; steps are
 * multiplicative, so that weights stay positive whatever their scale, and get smaller.
 */
static double best_bound(struct dual *d, double *weight)
{
    const struct mly__problem *problem = d->problem;
    double load[MLY__CLASSES_MAX] = {0}, best = 0;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        double total = 0;
        const size_t units = (size_t)problem->unit_count + 1;
        for (size_t u = 0; u < units; u++)
            total += isfinite(d->time_ns[units * c + u]) ? d->time_ns[units * c + u] : 0;
        d->weight[c] = total > 0 ? 1 / total : 1;
    }
    for (int step = 0; step < STEPS; step++) {
        double most = 0;
        normalise(d);
        const double bound = bound_of(d, load);
        if (bound > best || !step)
            memcpy(weight, d->weight, sizeof d->weight);
        best = fmax(best, bound);
        if (isinf(best) || problem->class_count == 1)
            break;
        for (uint32_t c = 0; c < problem->class_count; c++)
            most = fmax(most, load[c] / problem->classes[c].count);
        for (uint32_t c = 0; c < problem->class_count && most > 0; c++)
            d->weight[c] *=
                exp((load[c] / problem->classes[c].count / most - 0.5) * 2 / (1 + step));
    }
    return best;
}

/* 3. */
struct streamed {
    double bytes, ns;
};

/* What costs most to stream for its size first. */
static int compare_streamed(const void *a, const void *b)
{
    const struct streamed *x = a, *y = b;
    const double p = x->ns * y->bytes, q = y->ns * x->bytes;
    return (p < q) - (p > q);
}

/* Time for streaming, per batch, that no way of keeping weights on all chips avoids. */
static enum mly_status unavoidable_ns(const struct mly__problem *problem, double *out,
                                      struct mly_error *err)
{
    const struct mly__problem_private *hidden = problem->hidden;
    const uint32_t count = hidden->layers[0].count;
    struct mly_modelled_tiles tiles;
    double room = 0;
    *out = 0;
    if (problem->class_count != 1 || !problem->classes[0].exclusive)
        return MLY_OK;
    struct streamed *weights = mly_alloc_array((size_t)count + 1, sizeof *weights);
    if (!weights)
        return mly__problem_no_memory(err);
    mly_modelled_tiles_init(hidden->costs[0].modelled, 0, &tiles);
    for (uint32_t t = 0; t < tiles.count; t++)
        room += tiles.room_bytes[t] * problem->classes[0].count;
    for (uint32_t i = 0; i < count; i++)
        weights[i] = (struct streamed){hidden->layers[0].items[i].bytes,
                                       hidden->layers[0].items[i].stream_ns};
    qsort(weights, count, sizeof *weights, compare_streamed);
    for (uint32_t i = 0; i < count; i++) {
        const double kept = fmin(room, weights[i].bytes);
        room -= kept;
        *out += weights[i].bytes > 0 ? weights[i].ns * (1 - kept / weights[i].bytes) : 0;
    }
    mly_free(weights);
    return MLY_OK;
}

/* Longest way to the end of every unit. */
static enum mly_status longest_way(const struct mly__problem *problem, double *out,
                                   struct mly_error *err)
{
    double *end_ns = mly_alloc_array(problem->unit_count, sizeof *end_ns);
    double start = INFINITY, longest = 0;
    if (!end_ns)
        return mly__problem_no_memory(err);
    for (uint32_t c = 0; c < problem->class_count; c++)
        start = fmin(start, problem->classes[c].segment_ns);
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        const struct mly__unit *unit = &problem->units[u];
        double least = INFINITY;
        for (uint32_t c = 0; c < problem->class_count; c++)
            least = fmin(least, mly__load_of(problem, c, u)->time_ns);
        for (uint32_t i = 0; i < unit->input_count; i++) {
            const uint32_t from = problem->crossings[unit->inputs[i]].producer;
            if (from != MLY_NO_INDEX)
                end_ns[u] = fmax(end_ns[u], end_ns[from]);
        }
        end_ns[u] += least;
        longest = fmax(longest, end_ns[u]);
    }
    mly_free(end_ns);
    *out = start + longest;
    return MLY_OK;
}

enum mly_status mly__problem_bounds(const struct mly__problem *problem, struct mly__bounds *out,
                                    struct mly_error *err)
{
    struct dual dual = {.problem = problem};
    struct mly__bounds bounds = {0};
    double streaming_ns = 0;
    enum mly_status status = find_times(&dual, err);
    if (!status)
        status = unavoidable_ns(problem, &streaming_ns, err);
    if (!status)
        status = longest_way(problem, &bounds.latency_ns, err);
    if (!status) {
        bounds.bottleneck_ns =
            best_bound(&dual, bounds.weight) + streaming_ns / problem->classes[0].count;
        *out = bounds;
    }
    mly_free(dual.time_ns);
    return status;
}
