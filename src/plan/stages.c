/*
 * The best pipeline that can be cut along a family of downsets, by dynamic programming (Tarnawski et
 * al., "Efficient algorithms for device placement of DNN graph operators", NeurIPS 2020).
 *
 *   1. Throughput: best[D][v] is the shortest bottleneck of any pipeline that computes D with v[c]
 *      processors of each class c. Its last stage is D without some smaller downset, on some r of the
 *      processors. Stages that could not be below the bound are not looked at.
 *   2. Latency and energy: the same with sums, one processor for each segment; processors of classes that
 *      are not exclusive may have many segments, and are not counted.
 *   3. Of pipelines with equal value, the one of fewer segments.
 */
#include "stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

#define STATES_MAX 4000000u /* downsets times vectors of processors */
#define VECTORS_MAX 4096u
#define MIXED_MAX 64u /* vectors: up to so many a stage may mix classes as it likes */
/* Pipelines this much worse than the best known are kept too: a simpler one of them may win. */
static const double slack = 0.03;

/* Vectors of processors used, one digit per class. */
struct vectors {
    uint32_t class_count, count;
    uint32_t radix[MLY__CLASSES_MAX], step[MLY__CLASSES_MAX];
    uint8_t *mixed; /* by vector: it has processors of several classes */
};

static uint32_t digit(const struct vectors *v, uint32_t vector, uint32_t class)
{
    return vector / v->step[class] % v->radix[class];
}

static bool is_one_processor(const struct vectors *v, uint32_t vector)
{
    uint32_t processors = 0;
    for (uint32_t c = 0; c < v->class_count; c++)
        processors += digit(v, vector, c);
    return processors == 1;
}

/* What one stage may use: anything while that is not too much, else one class, or all there is. */
static bool may_use(const struct vectors *v, uint32_t vector, bool no_replicas)
{
    if (no_replicas)
        return is_one_processor(v, vector);
    return v->count <= MIXED_MAX || !v->mixed[vector] || vector + 1 == v->count;
}

/* Do the two together use no more than there are? Their sum is then the vector. */
static bool fit_together(const struct vectors *v, uint32_t a, uint32_t b)
{
    for (uint32_t c = 0; c < v->class_count; c++)
        if (digit(v, a, c) + digit(v, b, c) >= v->radix[c])
            return false;
    return true;
}

static enum mly_status vectors_init(struct vectors *v, const struct mly__problem *problem,
                                    bool counted_only, struct mly_error *err)
{
    *v = (struct vectors){.class_count = problem->class_count, .count = 1};
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const bool counted = !counted_only || problem->classes[c].exclusive;
        v->radix[c] = counted ? problem->classes[c].count + 1 : 1;
        v->step[c] = v->count;
        if (v->radix[c] > VECTORS_MAX / v->count)
            return mly_error_set(err, MLY_E_LIMIT,
                                 "%u processors in %u classes can be used in more than %u ways",
                                 problem->processor_count, problem->class_count, VECTORS_MAX);
        v->count *= v->radix[c];
    }
    v->mixed = mly_alloc_array(v->count, sizeof *v->mixed);
    if (!v->mixed)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t classes = 0;
        for (uint32_t c = 0; c < v->class_count; c++)
            classes += digit(v, i, c) > 0;
        v->mixed[i] = classes > 1;
    }
    return MLY_OK;
}

/* How a state was reached. */
struct step {
    double value;
    uint32_t from;   /* downset; MLY_NO_INDEX: not reached */
    uint32_t vector; /* before */
    uint32_t used;   /* vector of the last stage; latency: its class */
    uint32_t parts;
};

struct search {
    const struct mly__problem *problem;
    const struct mly__downsets *downsets;
    struct vectors vectors;
    uint32_t parts_max, layers; /* layers: 1, or parts_max + 1 where the number of parts counts */
    struct step *steps;         /* [downset][layer][vector] */
    struct mly__load *sums;     /* [class][downset] */
    uint32_t *refused;          /* [class][downset] */
    double bound;               /* nothing above it is looked at */
    bool *open;                 /* by downset: a pipeline within the bound may be cut there */
    double *share;              /* by downset: what the lower bound says of its units… */
    double *capacity;           /* …and by vector: of those processors (bounds.c) */
};

static struct step *step_at(const struct search *s, uint32_t downset, uint32_t layer,
                            uint32_t vector)
{
    return &s->steps[((size_t)downset * s->layers + layer) * s->vectors.count + vector];
}

/* Layers that a stage may go on from. */
static uint32_t from_layers(const struct search *s)
{
    return s->layers > 1 ? s->layers - 1 : 1;
}

static void search_fini(struct search *s)
{
    mly_free(s->steps);
    mly_free(s->vectors.mixed);
    mly_free(s->share);
    mly_free(s->open);
    mly_free(s->capacity);
    mly_free(s->sums);
    mly_free(s->refused);
}

/* What the units of every downset add up to, on every class. */
static void add_up(struct search *s)
{
    const struct mly__problem *problem = s->problem;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        for (uint32_t i = 0; i < s->downsets->count; i++) {
            struct mly__load *sum = &s->sums[(size_t)c * s->downsets->count + i];
            uint32_t *refused = &s->refused[(size_t)c * s->downsets->count + i];
            const uint64_t *set = mly__downset(s->downsets, i);
            for (uint32_t u = 0; u < problem->unit_count; u++) {
                const struct mly__load *load = mly__load_of(problem, c, u);
                if (!mly__downset_has(set, u))
                    continue;
                if (isinf(load->time_ns)) {
                    ++*refused;
                    continue;
                }
                sum->time_ns += load->time_ns;
                sum->weight_bytes += load->weight_bytes;
                sum->cache_ns += load->cache_ns;
                sum->activation_bytes = fmax(sum->activation_bytes, load->activation_bytes);
            }
        }
    }
}

/*
 * Lower bounds of parts: no pipeline computes a downset on processors v within the bound where
 * share[downset] > bound * capacity[v].
 */
static enum mly_status find_shares(struct search *s, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    struct mly__bounds bounds;
    enum mly_status status = mly__problem_bounds(problem, &bounds, err);
    s->share = mly_alloc_array(s->downsets->count, sizeof *s->share);
    s->capacity = mly_alloc_array(s->vectors.count, sizeof *s->capacity);
    s->open = mly_alloc_array(s->downsets->count, sizeof *s->open);
    if (status)
        return status;
    if (!s->share || !s->capacity || !s->open)
        return mly__problem_no_memory(err);
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        double least = INFINITY;
        for (uint32_t c = 0; c < problem->class_count; c++)
            least = fmin(least, bounds.weight[c] * mly__load_of(problem, c, u)->time_ns);
        for (uint32_t i = 0; i < s->downsets->count; i++)
            if (mly__downset_has(mly__downset(s->downsets, i), u))
                s->share[i] += least;
    }
    for (uint32_t v = 0; v < s->vectors.count; v++)
        for (uint32_t c = 0; c < problem->class_count; c++)
            s->capacity[v] += bounds.weight[c] * digit(&s->vectors, v, c);
    return MLY_OK;
}

/* May that much of the lower bound's work be done by the processors within the bound? */
static bool is_within(const struct search *s, double share, double capacity)
{
    return share <= s->bound * capacity * (1 + 1e-9);
}

/* May the downset be done by those processors, and the rest by the others? */
static bool is_open(const struct search *s, uint32_t downset, uint32_t vector)
{
    const double all = s->share[s->downsets->count - 1];
    const double capacity = s->capacity[s->vectors.count - 1];
    return is_within(s, s->share[downset], s->capacity[vector]) &&
           is_within(s, all - s->share[downset], capacity - s->capacity[vector]);
}

static enum mly_status search_init(struct search *s, const struct mly__downsets *downsets,
                                   bool counted_only, struct mly_error *err)
{
    const struct mly__problem *problem = downsets->problem;
    *s = (struct search){.problem = problem, .downsets = downsets, .layers = 1};
    enum mly_status status = vectors_init(&s->vectors, problem, counted_only, err);
    if (!status)
        status = find_shares(s, err);
    if (status) {
        search_fini(s);
        return status;
    }
    s->parts_max = problem->request->segments_max;
    if (s->parts_max && s->parts_max < problem->processor_count)
        s->layers = s->parts_max + 1;
    const size_t count = (size_t)s->downsets->count * problem->class_count;
    const size_t states = (size_t)s->downsets->count * s->vectors.count * s->layers;
    if (states > STATES_MAX) {
        search_fini(s);
        return mly_error_set(err, MLY_E_LIMIT, "%zu states; at most %u are looked at", states,
                             STATES_MAX);
    }
    s->sums = mly_alloc_array(count, sizeof *s->sums);
    s->refused = mly_alloc_array(count, sizeof *s->refused);
    s->steps = mly_alloc_array(states, sizeof *s->steps);
    if (!s->sums || !s->refused || !s->steps) {
        search_fini(s);
        return mly__problem_no_memory(err);
    }
    for (size_t i = 0; i < states; i++)
        s->steps[i] = (struct step){.value = INFINITY, .from = MLY_NO_INDEX};
    *step_at(s, 0, 0, 0) = (struct step){.value = 0, .from = 0};
    add_up(s);
    return MLY_OK;
}

/* --- the cost of a stage: one downset without a smaller one --- */

struct stage {
    const struct search *search;
    uint32_t small, large;
    double input_bytes, output_bytes, input_elements, output_elements;
};

static bool in_stage(const void *user, uint32_t unit)
{
    const struct stage *stage = user;
    return mly__downset_has(mly__downset(stage->search->downsets, stage->large), unit) &&
           !mly__downset_has(mly__downset(stage->search->downsets, stage->small), unit);
}

static void find_border(struct stage *stage)
{
    const struct mly__downsets *d = stage->search->downsets;
    const uint64_t *small = mly__downset(d, stage->small);
    for (uint32_t i = d->live_begin[stage->small]; i < d->live_begin[stage->small + 1]; i++) {
        const struct mly__crossing *c = &stage->search->problem->crossings[d->live[i]];
        bool read = false;
        for (uint32_t k = 0; !read && k < c->consumer_count; k++)
            read = in_stage(stage, c->consumers[k]);
        stage->input_bytes += read ? c->bytes : 0;
        stage->input_elements += read ? c->elements : 0;
    }
    for (uint32_t i = d->live_begin[stage->large]; i < d->live_begin[stage->large + 1]; i++) {
        const struct mly__crossing *c = &stage->search->problem->crossings[d->live[i]];
        const bool made = c->producer != MLY_NO_INDEX && !mly__downset_has(small, c->producer);
        stage->output_bytes += made ? c->bytes : 0;
        stage->output_elements += made ? c->elements : 0;
    }
}

/* Sums of the stage's units on a class. */
static struct mly__load stage_load(const struct stage *stage, uint32_t class)
{
    const struct search *s = stage->search;
    const size_t row = (size_t)class * s->downsets->count;
    const struct mly__load *large = &s->sums[row + stage->large];
    const struct mly__load *small = &s->sums[row + stage->small];
    return (struct mly__load){
        .time_ns = fmax(0, large->time_ns - small->time_ns),
        .weight_bytes = large->weight_bytes - small->weight_bytes,
        .cache_ns = fmax(0, large->cache_ns - small->cache_ns),
        .activation_bytes = large->activation_bytes, /* at most */
    };
}

static bool is_refused(const struct stage *stage, uint32_t class)
{
    const struct search *s = stage->search;
    const size_t row = (size_t)class * s->downsets->count;
    return s->refused[row + stage->large] != s->refused[row + stage->small];
}

/* limit_ns: what takes longer may be said to take for ever. */
static void stage_cost(const struct stage *stage, uint32_t class, double limit_ns,
                       struct mly__segment_cost *out)
{
    const struct mly__problem *problem = stage->search->problem;
    const bool elements = problem->classes[class].counts_elements;
    const struct mly__parts parts = {
        .sum = stage_load(stage, class),
        .refused = is_refused(stage, class),
        .limit_ns = isfinite(limit_ns) ? limit_ns : 0,
        .input_bytes = elements ? stage->input_elements : stage->input_bytes,
        .output_bytes = elements ? stage->output_elements : stage->output_bytes,
        .has = in_stage,
        .user = stage,
    };
    mly__parts_cost(problem, class, &parts, out);
}

/* --- 1. throughput --- */

/* The fastest that all processors together could be, without copies; what is slower need not be looked at. */
static bool may_do(const struct stage *stage, double bound)
{
    const struct mly__problem *problem = stage->search->problem;
    double rate = 0;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        const double least = problem->classes[c].segment_ns + stage_load(stage, c).time_ns;
        if (!is_refused(stage, c))
            rate += least > 0 ? problem->classes[c].count / least : INFINITY;
    }
    return rate > 0 && 1 / rate <= bound;
}

static void try_step(struct search *s, const struct stage *stage, uint32_t layer, uint32_t before,
                     uint32_t used, double value)
{
    const struct step *from = step_at(s, stage->small, layer, before);
    const uint32_t to_layer = s->layers > 1 ? layer + 1 : 0;
    struct step *to = step_at(s, stage->large, to_layer, before + used);
    if (value < to->value || (value == to->value && from->parts + 1 < to->parts))
        *to = (struct step){.value = value,
                            .from = stage->small,
                            .vector = before,
                            .used = used,
                            .parts = from->parts + 1};
}

/* Rate of a stage by the vector of its processors; 0 where one of them cannot run it. */
static double rate_of(const struct vectors *v, uint32_t used, const double *periods)
{
    double rate = 0;
    for (uint32_t c = 0; c < v->class_count; c++) {
        const uint32_t count = digit(v, used, c);
        if (count && isinf(periods[c]))
            return 0;
        rate += count ? count / periods[c] : 0;
    }
    return rate;
}

/* Every state that the stage can go on from, with the processors `used` more. */
static void extend_states(struct search *s, const struct stage *stage, uint32_t used, double period)
{
    const struct vectors *v = &s->vectors;
    for (uint32_t layer = 0; layer < from_layers(s); layer++) {
        for (uint32_t before = 0; before + used < v->count; before++) {
            const struct step *from = step_at(s, stage->small, layer, before);
            if (from->from == MLY_NO_INDEX || !is_open(s, stage->large, before + used) ||
                !fit_together(v, before, used))
                continue;
            try_step(s, stage, layer, before, used, fmax(from->value, period));
        }
    }
}

static void extend_throughput(struct search *s, struct stage *stage)
{
    const struct vectors *v = &s->vectors;
    const double share = s->share[stage->large] - s->share[stage->small];
    /* Processors of one class must be fast enough by themselves; among others a slow one may help. */
    const double limit_ns =
        s->problem->class_count == 1 ? s->bound * s->problem->classes[0].count : INFINITY;
    double periods[MLY__CLASSES_MAX] = {0};
    if (!may_do(stage, s->bound))
        return;
    find_border(stage);
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        stage_cost(stage, c, limit_ns, &cost);
        periods[c] = fmax(mly__stage_period_ns(&s->problem->classes[c], &cost), 1e-9);
    }
    for (uint32_t used = 1; used < v->count; used++) {
        if (!may_use(v, used, s->problem->request->no_replicas) ||
            !is_within(s, share, s->capacity[used]))
            continue;
        const double rate = rate_of(v, used, periods);
        if (rate > 0 && 1 / rate <= s->bound)
            extend_states(s, stage, used, 1 / rate);
    }
}

/* --- 2. latency and energy --- */

static double sum_value(const struct search *s, uint32_t class,
                        const struct mly__segment_cost *cost)
{
    const double latency_ns = mly__stage_latency_ns(cost);
    if (s->problem->request->objective != MLY_OBJECTIVE_ENERGY)
        return latency_ns;
    return isinf(latency_ns)
               ? INFINITY
               : cost->energy_j + s->problem->classes[class].idle_w * latency_ns * 1e-9;
}

static void extend_sum(struct search *s, struct stage *stage)
{
    const struct vectors *v = &s->vectors;
    find_border(stage);
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        stage_cost(stage, c, INFINITY, &cost);
        const double value = sum_value(s, c, &cost);
        const uint32_t used = v->radix[c] > 1 ? v->step[c] : 0;
        if (isinf(value))
            continue;
        for (uint32_t layer = 0; layer < from_layers(s); layer++) {
            for (uint32_t before = 0; before + used < v->count; before++) {
                const struct step *from = step_at(s, stage->small, layer, before);
                if (from->from == MLY_NO_INDEX || !fit_together(v, before, used) ||
                    from->value + value > s->bound)
                    continue;
                const uint32_t to_layer = s->layers > 1 ? layer + 1 : 0;
                struct step *to = step_at(s, stage->large, to_layer, before + used);
                const double sum = from->value + value;
                if (sum < to->value || (sum == to->value && from->parts + 1 < to->parts))
                    *to = (struct step){.value = sum,
                                        .from = stage->small,
                                        .vector = before,
                                        .used = c,
                                        .parts = from->parts + 1};
            }
        }
    }
}

/* --- what was found --- */

/* The layout that ends in that state of the full set. */
static enum mly_status trace(const struct search *s, bool sums, uint32_t layer, uint32_t vector,
                             struct mly__layout *out, struct mly_error *err)
{
    const uint32_t full = s->downsets->count - 1;
    const struct step *step = step_at(s, full, layer, vector);
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, s->problem, step->parts, err);
    if (status)
        return status;
    layout.shared = sums;
    for (uint32_t at = full, part = step->parts; part-- > 0;) {
        for (uint32_t u = 0; u < s->problem->unit_count; u++)
            if (mly__downset_has(mly__downset(s->downsets, at), u) &&
                !mly__downset_has(mly__downset(s->downsets, step->from), u))
                layout.part_of_unit[u] = part;
        for (uint32_t c = 0; c < s->problem->class_count; c++)
            layout.replicas[part][c] = sums ? c == step->used : digit(&s->vectors, step->used, c);
        at = step->from;
        layer -= s->layers > 1;
        step = step_at(s, at, layer, step->vector);
    }
    *out = layout;
    return MLY_OK;
}

/* Every way of using processors that is near the best, best first, as far as there is room. */
static enum mly_status collect(const struct search *s, bool sums, struct mly__found *found,
                               struct mly_error *err)
{
    const uint32_t full = s->downsets->count - 1;
    enum { KEPT = 8 };
    double floor_value = -1;
    enum mly_status status = MLY_OK;
    for (int kept = 0; !status && kept < KEPT; kept++) {
        const struct step *best = NULL;
        uint32_t best_layer = 0, best_vector = 0;
        for (uint32_t layer = 0; layer < s->layers; layer++) {
            for (uint32_t v = 0; v < s->vectors.count; v++) {
                const struct step *at = step_at(s, full, layer, v);
                if (at->from != MLY_NO_INDEX && at->value > floor_value &&
                    (!best || at->value < best->value ||
                     (at->value == best->value && at->parts < best->parts))) {
                    best = at;
                    best_layer = layer;
                    best_vector = v;
                }
            }
        }
        if (!best)
            break;
        struct mly__layout layout;
        floor_value = best->value;
        status = trace(s, sums, best_layer, best_vector, &layout, err);
        if (status)
            break;
        status = mly__found_add(found, s->problem, &layout, err);
        mly__layout_fini(&layout);
    }
    return status;
}

/* Has any state of the downset been reached? */
static bool is_reached(const struct search *s, uint32_t downset)
{
    const struct step *states = step_at(s, downset, 0, 0);
    for (uint32_t i = 0; i < s->layers * s->vectors.count; i++)
        if (states[i].from != MLY_NO_INDEX)
            return true;
    return false;
}

/* Can any pipeline within the bound be cut there? */
static bool may_be_cut(const struct search *s, uint32_t downset)
{
    for (uint32_t v = 0; v < s->vectors.count; v++)
        if (is_open(s, downset, v))
            return true;
    return false;
}

static enum mly_status search_all(struct search *s, bool sums, struct mly__found *found,
                                  struct mly_error *err)
{
    for (uint32_t small = 0; small + 1 < s->downsets->count; small++) {
        if (!is_reached(s, small))
            continue;
        for (uint32_t large = small + 1; large < s->downsets->count; large++) {
            struct stage stage = {.search = s, .small = small, .large = large};
            if ((!sums && !s->open[large]) || !mly__downset_within(s->downsets, small, large))
                continue;
            if (sums)
                extend_sum(s, &stage);
            else
                extend_throughput(s, &stage);
        }
    }
    return collect(s, sums, found, err);
}

enum mly_status mly__stages_search(const struct mly__downsets *downsets, bool sums, double bound,
                                   struct mly__found *found, struct mly_error *err)
{
    struct search search;
    enum mly_status status = search_init(&search, downsets, sums, err);
    if (status)
        return status;
    search.bound = bound * (1 + slack);
    for (uint32_t i = 0; i < downsets->count; i++)
        search.open[i] = sums || may_be_cut(&search, i);
    status = search_all(&search, sums, found, err);
    search_fini(&search);
    return status;
}
