/*
 * Lower bounds over all plans of a problem.
 *
 * Bottleneck. Say y[u][c] is the share of batches whose unit u is computed on class c, and k[i][c] the
 * share whose weights i are kept on a chip of class c meanwhile. Then for every class, with T the time
 * between batches, t the unit's time alone there, s what streaming the weights i of w[i] bytes takes:
 *
 *   sum over u of (y[u][c] * t[u][c] + sum over its weights i of (y[u][c] - k[i][c]) * s[i][c]) <= count[c] * T
 *   sum over i of k[i][c] * w[i] <= count[c] * room[c]
 *
 * For any prices p >= 0 of time with sum over c of p[c] * count[c] = 1, and r >= 0 of room, follows (the
 * dual of this linear programme)
 *
 *   T >= sum over u of min over c of p[c] * (t[u][c] + sum over i of min(r[c] * w[i], s[i][c]))
 *        - sum over c of p[c] * r[c] * count[c] * room[c].
 *
 *   1. What every batch needs besides units counts as units too: it starts a segment, and the inputs that
 *      a unit is the first to read, and the results that it makes for the host, are copied. Weights that
 *      no empty chip holds are streamed in any case.
 *   2. The best prices are looked for by steps along the subgradient; every step's bound is valid.
 *   3. A plan of one segment is the whole model on some processors: on all is fastest. Others start two.
 *   4. A unit is never cut: the stage that it is in has no more than all processors.
 *
 * Latency. The longest way through the graph, each unit taking the least that any class takes for it,
 * with the start of one segment. (Segments that do not need each other may run at once.)
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

#define STEPS 400

struct dual {
    const struct mly__problem *problem;
    size_t units; /* and one more, which stands for starting segments */
    double
        *time_ns; /* [class][unit]: with the copies that cannot be avoided; infinite: not there */
    double
        *kept_ns; /* [class][unit]: what its weights cost, kept or streamed, at the room's price */
    double *kept_bytes; /* [class][unit]: those that are kept at that price */
    double weight[MLY__CLASSES_MAX];
    double price[MLY__CLASSES_MAX]; /* of room, in ns a byte; 0: there is enough */
};

/* How the work of one step lies on the classes. */
struct laid {
    double bound;
    double ns[MLY__CLASSES_MAX], bytes[MLY__CLASSES_MAX];
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

static void dual_fini(struct dual *d)
{
    mly_free(d->time_ns);
    mly_free(d->kept_ns);
    mly_free(d->kept_bytes);
}

/* 1. */
static enum mly_status dual_init(struct dual *d, const struct mly__problem *problem,
                                 struct mly_error *err)
{
    *d = (struct dual){.problem = problem, .units = (size_t)problem->unit_count + 1};
    d->time_ns = mly_alloc_array(d->units * problem->class_count, sizeof *d->time_ns);
    d->kept_ns = mly_alloc_array(d->units * problem->class_count, sizeof *d->kept_ns);
    d->kept_bytes = mly_alloc_array(d->units * problem->class_count, sizeof *d->kept_bytes);
    if (!d->time_ns || !d->kept_ns || !d->kept_bytes) {
        dual_fini(d);
        return mly__problem_no_memory(err);
    }
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const struct mly__class *class = &problem->classes[c];
        for (uint32_t u = 0; u < problem->unit_count; u++) {
            const struct mly__load *load = mly__load_of(problem, c, u);
            const double copies =
                class->overlaps ? 0 : own_copies_ns(problem, class, &problem->units[u], u);
            d->time_ns[d->units * c + u] = load->time_ns + load->forced_ns + copies;
        }
    }
    return MLY_OK;
}

static void set_starts(struct dual *d, uint32_t starts)
{
    for (uint32_t c = 0; c < d->problem->class_count; c++)
        d->time_ns[d->units * (c + 1) - 1] = starts * d->problem->classes[c].segment_ns;
}

/* Where room has a price, weights are kept that cost less than streaming them. */
static void price_weights(struct dual *d, uint32_t class)
{
    const struct mly__problem_private *hidden = d->problem->hidden;
    double *ns = d->kept_ns + d->units * class, *bytes = d->kept_bytes + d->units * class;
    const double price = d->price[class];
    memset(ns, 0, d->units * sizeof *ns);
    memset(bytes, 0, d->units * sizeof *bytes);
    for (uint32_t i = 0; i < hidden->layers[class].count; i++) {
        const struct mly__layer *layer = &hidden->layers[class].items[i];
        if (layer->never_fits)
            continue;
        const bool kept = price * layer->bytes <= layer->stream_ns;
        ns[layer->unit] += kept ? price * layer->bytes : layer->stream_ns;
        bytes[layer->unit] += kept ? layer->bytes : 0;
    }
}

static double room_of(const struct dual *d, uint32_t class)
{
    return d->problem->hidden->layers[class].room_bytes * d->problem->classes[class].count;
}

/* The bound for the prices, and how the cheapest choice lays the work on the classes. */
static struct laid lay(const struct dual *d)
{
    const struct mly__problem *problem = d->problem;
    struct laid laid = {0};
    for (size_t u = 0; u < d->units; u++) {
        double least = INFINITY;
        uint32_t at = 0;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const double ns = d->time_ns[d->units * c + u] + d->kept_ns[d->units * c + u];
            if (isfinite(ns) && d->weight[c] * ns < least) {
                least = d->weight[c] * ns;
                at = c;
            }
        }
        if (isinf(least))
            return (struct laid){.bound = INFINITY};
        laid.bound += least;
        laid.ns[at] += d->time_ns[d->units * at + u] + d->kept_ns[d->units * at + u];
        laid.bytes[at] += d->kept_bytes[d->units * at + u];
    }
    for (uint32_t c = 0; c < problem->class_count; c++) {
        laid.bound -= d->weight[c] * d->price[c] * room_of(d, c);
        laid.ns[c] -= d->price[c] * room_of(d, c);
    }
    return laid;
}

static void normalise(struct dual *d)
{
    double sum = 0;
    for (uint32_t c = 0; c < d->problem->class_count; c++)
        sum += d->weight[c] * d->problem->classes[c].count;
    for (uint32_t c = 0; c < d->problem->class_count; c++)
        d->weight[c] /= sum;
}

static void begin_prices(struct dual *d)
{
    for (uint32_t c = 0; c < d->problem->class_count; c++) {
        double total = 0;
        for (size_t u = 0; u < d->units; u++)
            total += isfinite(d->time_ns[d->units * c + u]) ? d->time_ns[d->units * c + u] : 0;
        d->weight[c] = total > 0 ? 1 / total : 1;
        d->price[c] = 0;
        price_weights(d, c);
    }
}

/* The dearest that room can be: then everything is streamed. */
static double dearest(const struct dual *d, uint32_t class)
{
    const struct mly__problem_private *hidden = d->problem->hidden;
    double most = 0;
    for (uint32_t i = 0; i < hidden->layers[class].count; i++)
        most = fmax(most, hidden->layers[class].items[i].stream_ns /
                              hidden->layers[class].items[i].bytes);
    return most;
}

/*
 * 2. A class whose processors would have more to do than the others gets dearer; steps are
 * multiplicative, so that prices of time stay positive whatever their scale, and get smaller. Room
 * that is asked for more than there is gets dearer too, by steps of its dearest price.
 */
static void step_prices(struct dual *d, const struct laid *laid, int step)
{
    const struct mly__problem *problem = d->problem;
    double most = 0;
    for (uint32_t c = 0; c < problem->class_count; c++)
        most = fmax(most, laid->ns[c] / problem->classes[c].count);
    for (uint32_t c = 0; c < problem->class_count && most > 0; c++)
        d->weight[c] *=
            exp((fmax(0, laid->ns[c]) / problem->classes[c].count / most - 0.5) * 2 / (1 + step));
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const double room = room_of(d, c), highest = room > 0 ? dearest(d, c) : 0;
        if (highest <= 0)
            continue;
        const double excess = fmin(1, fmax(-1, laid->bytes[c] / room - 1));
        d->price[c] = fmin(highest, fmax(0, d->price[c] + highest * excess / (1 + 0.25 * step)));
        price_weights(d, c);
    }
}

/* The best bound with so many segments started; its weights, if wanted. */
static double best_bound(struct dual *d, uint32_t starts, double *weight)
{
    double best = 0;
    set_starts(d, starts);
    begin_prices(d);
    for (int step = 0; step < STEPS; step++) {
        normalise(d);
        const struct laid laid = lay(d);
        if (weight && (laid.bound > best || !step))
            memcpy(weight, d->weight, sizeof d->weight);
        best = fmax(best, laid.bound);
        if (isinf(best))
            break;
        step_prices(d, &laid, step);
    }
    return best;
}

/* 4. */
static double largest_unit_ns(const struct dual *d)
{
    const struct mly__problem *problem = d->problem;
    double largest = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        double rate = 0;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const struct mly__class *class = &problem->classes[c];
            const double ns = class->segment_ns + d->time_ns[d->units * c + u];
            const double own = (problem->request->no_replicas ? 1 : class->count) / fmax(ns, 1e-9);
            rate = problem->request->no_replicas ? fmax(rate, own) : rate + own;
        }
        largest = fmax(largest, 1 / rate);
    }
    return largest;
}

/* 3. The whole model on all processors that can compute it. */
static enum mly_status whole_ns(const struct mly__problem *problem, double *out,
                                struct mly_error *err)
{
    struct mly__part_builder builder;
    double rate = 0;
    enum mly_status status = mly__part_builder_init(&builder, problem, 0, err);
    if (status)
        return status;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const uint32_t count = problem->request->no_replicas ? 1 : problem->classes[c].count;
        struct mly__segment_cost cost;
        mly__part_builder_reset(&builder, c);
        for (uint32_t u = 0; u < problem->unit_count; u++)
            mly__part_builder_add(&builder, u);
        mly__part_builder_cost(&builder, &cost);
        const double own = count / fmax(mly__stage_period_ns(&problem->classes[c], &cost), 1e-9);
        rate = problem->request->no_replicas ? fmax(rate, own) : rate + own;
    }
    mly__part_builder_fini(&builder);
    *out = 1 / rate;
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
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const struct mly__load *load = mly__load_of(problem, c, u);
            least = fmin(least, load->time_ns + load->forced_ns);
        }
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
    struct dual dual;
    struct mly__bounds bounds = {0};
    double whole = INFINITY;
    enum mly_status status = dual_init(&dual, problem, err);
    if (status)
        return status;
    status = whole_ns(problem, &whole, err);
    if (!status)
        status = longest_way(problem, &bounds.latency_ns, err);
    if (!status) {
        const double shared =
            fmax(best_bound(&dual, 1, bounds.weight), fmin(whole, best_bound(&dual, 2, NULL)));
        const double largest = largest_unit_ns(&dual);
        bounds.bottleneck_ns = fmax(shared, largest);
        bounds.bottleneck_by = largest > shared  ? "its largest part on all processors"
                               : shared >= whole ? "the whole model on all processors"
                                                 : "its work shared out in any portions";
        *out = bounds;
    }
    dual_fini(&dual);
    return status;
}
