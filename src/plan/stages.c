/*
 * The best pipeline that can be cut along a family of downsets, by dynamic programming (Tarnawski et
 * al., "Efficient algorithms for device placement of DNN graph operators", NeurIPS 2020).
 *
 *   1. Throughput: best[D][v] is the shortest bottleneck of any pipeline that computes D with v[c]
 *      processors of each class c. Its last stage is D without some smaller downset, on some r of the
 *      processors. Stages that could not be below the bound are not looked at.
 *   2. Latency and energy: the same with sums, one processor for each segment; processors of classes that
 *      are not exclusive may have many segments, and are not counted.
 *   3. Of pipelines with equal value, the one of fewer segments; then that whose stages are shorter, so
 *      that the order of classes decides nothing.
 *   4. Stages that begin at a downset are looked at from small to large. A stage with a unit more takes no
 *      less, so that where all downsets are there, none is looked at beyond one that is too slow already.
 */
#include "stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"
#include "vectors.h"

#define STATES_MAX 4000000u /* downsets times vectors of processors */
#define SLACK_DOWNSETS_MAX 2048u
#define LOOKS 256u     /* at stages, after which it is asked whether to go on */
#define SPILL_WORK 25u /* what finding room for weights takes, in looks at stages */
/*
 * Pipelines this much worse than the best known are kept too, where that does not take long: a simpler
 * one of them may win.
 */
static const double slack = 0.03, no_slack = 1e-9;

double mly__stages_value(const struct mly__problem *problem, bool sums,
                         const struct mly__layout_value *value)
{
    if (!sums)
        return value->bottleneck_ns;
    return problem->request->objective == MLY_OBJECTIVE_ENERGY ? value->energy_j : value->sum_ns;
}

/* How a state was reached. */
struct step {
    double value;
    double sum;      /* of the stages' periods */
    uint32_t from;   /* downset; MLY_NO_INDEX: not reached */
    uint32_t vector; /* before */
    uint32_t used;   /* vector of the last stage; latency: its class */
    uint32_t parts;
};

struct search {
    const struct mly__problem *problem;
    const struct mly__downsets *downsets;
    struct mly__vectors vectors;
    uint32_t parts_max, layers; /* layers: 1, or parts_max + 1 where the number of parts counts */
    struct step *steps;         /* [downset][layer][vector] */
    struct mly__load *sums;     /* [class][downset] */
    uint32_t *refused;          /* [class][downset] */
    uint64_t (*keys)[2];        /* by downset: of its units */
    double bound;               /* nothing above it is looked at */
    bool *open;                 /* by downset: a pipeline within the bound may be cut there… */
    bool *open_at;              /* …and by downset and vector: with so many processors before */
    double *share;              /* by downset: what the lower bound says of its units… */
    double *capacity;           /* …and by vector: of those processors (bounds.c) */
    double weight[MLY__CLASSES_MAX];
    double *least;     /* sums, by downset: what its units take at least, each by itself */
    uint64_t work_max; /* stages to be looked at */
    uint64_t work;     /* that were */
    uint32_t *seen;    /* by downset: the smaller one, plus one, that it was seen from last */
    uint32_t *stack;   /* of downsets */
    /* Of the downset that stages begin at: */
    uint32_t *reached, reached_count;     /* its states, as layer * vectors + vector */
    uint32_t available[MLY__CLASSES_MAX]; /* most processors that any of these leaves */
    double available_capacity;
    double least_value; /* of these */
    bool spills;        /* some class streams weights that find no room */
    uint64_t looks;     /* at stages, whatever they took */
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
    mly__vectors_fini(&s->vectors);
    mly_free(s->share);
    mly_free(s->open);
    mly_free(s->open_at);
    mly_free(s->capacity);
    mly_free(s->sums);
    mly_free(s->refused);
    mly_free(s->keys);
    mly_free(s->least);
    mly_free(s->seen);
    mly_free(s->stack);
    mly_free(s->reached);
}

/* What the units of every downset add up to, on every class. */
static void add_up(struct search *s)
{
    const struct mly__problem *problem = s->problem;
    for (uint32_t i = 0; i < s->downsets->count; i++)
        for (uint32_t u = 0; u < problem->unit_count; u++)
            for (uint32_t word = 0; word < 2; word++)
                if (mly__downset_has(mly__downset(s->downsets, i), u))
                    s->keys[i][word] ^= problem->units[u].key[word];
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
                sum->forced_ns += load->forced_ns;
                sum->kept_bytes += load->kept_bytes;
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
    memcpy(s->weight, bounds.weight, sizeof s->weight);
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        double least = INFINITY;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const struct mly__load *load = mly__load_of(problem, c, u);
            least = fmin(least, bounds.weight[c] * (load->time_ns + load->forced_ns));
        }
        for (uint32_t i = 0; i < s->downsets->count; i++)
            if (mly__downset_has(mly__downset(s->downsets, i), u))
                s->share[i] += least;
    }
    for (uint32_t v = 0; v < s->vectors.count; v++)
        for (uint32_t c = 0; c < problem->class_count; c++)
            s->capacity[v] += bounds.weight[c] * mly__vector_digit(&s->vectors, v, c);
    return MLY_OK;
}

/* May that much of the lower bound's work be done by the processors within the bound? */
static bool is_within(const struct search *s, double share, double capacity)
{
    return !(share > s->bound * capacity * (1 + 1e-9)); /* without a bound, whatever the capacity */
}

/* Is there room for the downset on those processors, and for the rest on the others? */
static bool may_be_done(const struct search *s, uint32_t downset, uint32_t vector)
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
    enum mly_status status = mly__vectors_init(&s->vectors, problem, counted_only, err);
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
    s->open_at = mly_alloc_array((size_t)s->downsets->count * s->vectors.count, sizeof *s->open_at);
    s->keys = mly_alloc_array(s->downsets->count, sizeof *s->keys);
    s->steps = mly_alloc_array(states, sizeof *s->steps);
    s->least = mly_alloc_array(s->downsets->count, sizeof *s->least);
    s->seen = mly_alloc_array(s->downsets->count, sizeof *s->seen);
    s->stack = mly_alloc_array(s->downsets->count, sizeof *s->stack);
    s->reached = mly_alloc_array((size_t)s->vectors.count * s->layers, sizeof *s->reached);
    if (!s->sums || !s->refused || !s->open_at || !s->keys || !s->steps || !s->least || !s->seen ||
        !s->stack || !s->reached) {
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
        .forced_ns = fmax(0, large->forced_ns - small->forced_ns),
        .kept_bytes = fmax(0, large->kept_bytes - small->kept_bytes),
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
    uint64_t(*keys)[2] = stage->search->keys;
    const struct mly__parts parts = {
        .sum = stage_load(stage, class),
        .refused = is_refused(stage, class),
        .key = {keys[stage->large][0] ^ keys[stage->small][0],
                keys[stage->large][1] ^ keys[stage->small][1]},
        .limit_ns = isfinite(limit_ns) ? limit_ns : 0,
        .input_bytes = elements ? stage->input_elements : stage->input_bytes,
        .output_bytes = elements ? stage->output_elements : stage->output_bytes,
        .has = in_stage,
        .user = stage,
    };
    mly__parts_cost(problem, class, &parts, out);
}

/* --- 1. throughput --- */

/* What the stage takes on a class at least, without copies; no less with a unit more. */
static double least_ns(const struct stage *stage, uint32_t class)
{
    const struct mly__problem *problem = stage->search->problem;
    const struct mly__load load = stage_load(stage, class);
    const double beyond = load.kept_bytes - problem->hidden->layers[class].room_bytes;
    return problem->classes[class].segment_ns + load.time_ns + load.forced_ns +
           fmax(0, beyond) * problem->hidden->layers[class].least_ns_per_byte;
}

/* 4. Could all processors that are left do the stage within the bound? */
static bool may_do(const struct stage *stage)
{
    const struct search *s = stage->search;
    double rate = 0;
    if (!is_within(s, s->share[stage->large] - s->share[stage->small], s->available_capacity))
        return false;
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        if (s->available[c] && !is_refused(stage, c))
            rate += s->available[c] / fmax(least_ns(stage, c), 1e-9);
    return rate > 0 && 1 / rate <= s->bound;
}

static bool is_better(const struct step *a, const struct step *b)
{
    if (a->value != b->value)
        return a->value < b->value;
    return a->parts != b->parts ? a->parts < b->parts : a->sum < b->sum;
}

/* Rate of a stage by the vector of its processors; 0 where one of them cannot run it. */
static double rate_of(const struct mly__vectors *v, uint32_t used, const double *periods)
{
    double rate = 0;
    for (uint32_t c = 0; c < v->class_count; c++) {
        const uint32_t count = mly__vector_digit(v, used, c);
        if (count && isinf(periods[c]))
            return 0;
        rate += count ? count / periods[c] : 0;
    }
    return rate;
}

static bool is_open(const struct search *s, uint32_t downset, uint32_t vector)
{
    return s->open_at[(size_t)downset * s->vectors.count + vector];
}

/* What a state becomes by the stage on the processors `used` more; false: it cannot. */
static bool next_step(const struct search *s, const struct stage *stage, uint32_t state,
                      uint32_t used, double period, struct step *step, struct step **to)
{
    const struct mly__vectors *v = &s->vectors;
    const uint32_t layer = state / v->count, before = state % v->count;
    if (layer >= from_layers(s) || before + used >= v->count ||
        !is_open(s, stage->large, before + used) || !mly__vectors_fit(v, before, used))
        return false;
    const struct step *from = step_at(s, stage->small, layer, before);
    *to = step_at(s, stage->large, s->layers > 1 ? layer + 1 : 0, before + used);
    if (from->value > (*to)->value || period > (*to)->value)
        return false;
    *step = (struct step){.value = fmax(from->value, period),
                          .sum = from->sum + period,
                          .from = stage->small,
                          .vector = before,
                          .used = used,
                          .parts = from->parts + 1};
    return is_better(step, *to);
}

/* The stage on all vectors of processors; false, if nothing is written: no state becomes better. */
static bool try_vectors(struct search *s, const struct stage *stage, const double *periods,
                        bool write)
{
    const struct mly__vectors *v = &s->vectors;
    const double share = s->share[stage->large] - s->share[stage->small];
    struct step step, *to;
    for (uint32_t used = 1; used < v->count; used++) {
        if (!mly__vector_may_use(v, used, s->problem->request->no_replicas) ||
            !is_within(s, share, s->capacity[used]))
            continue;
        const double rate = rate_of(v, used, periods);
        if (!(rate > 0 && 1 / rate <= s->bound))
            continue;
        for (uint32_t i = 0; i < s->reached_count; i++) {
            if (!next_step(s, stage, s->reached[i], used, 1 / rate, &step, &to))
                continue;
            if (!write)
                return true;
            *to = step;
        }
    }
    return false;
}

/* Could any state become better if the stage took no longer than it must? */
static bool may_improve(struct search *s, const struct stage *stage)
{
    double periods[MLY__CLASSES_MAX] = {0};
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        periods[c] = is_refused(stage, c) ? INFINITY : fmax(least_ns(stage, c), 1e-9);
    return try_vectors(s, stage, periods, false);
}

static void extend_throughput(struct search *s, struct stage *stage)
{
    /* Processors of one class must be fast enough by themselves; among others a slow one may help. */
    const double limit_ns = s->problem->class_count == 1 ? s->bound * s->available[0] : INFINITY;
    double periods[MLY__CLASSES_MAX] = {0};
    /* Where room on a chip must be found, that takes longer than to see that it is in vain. */
    if (s->spills && !may_improve(s, stage))
        return;
    s->work += s->spills ? SPILL_WORK : 1;
    find_border(stage);
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        stage_cost(stage, c, limit_ns, &cost);
        periods[c] = fmax(mly__stage_period_ns(&s->problem->classes[c], &cost), 1e-9);
    }
    (void)try_vectors(s, stage, periods, true);
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

/* What a nanosecond on a class counts at least. */
static double least_of_ns(const struct search *s, uint32_t class)
{
    const struct mly__class *at = &s->problem->classes[class];
    if (s->problem->request->objective != MLY_OBJECTIVE_ENERGY)
        return 1;
    return (at->active_w > 0 ? at->active_w : at->idle_w) * 1e-9;
}

/* 4. May the stage, and the least that the rest takes, still stay within the bound? */
static bool may_add(const struct stage *stage)
{
    const struct search *s = stage->search;
    double least = INFINITY;
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        if (!is_refused(stage, c))
            least = fmin(least, least_of_ns(s, c) * least_ns(stage, c));
    return s->least_value + least + s->least[s->downsets->count - 1] - s->least[stage->large] <=
           s->bound;
}

static void find_least(struct search *s)
{
    const struct mly__problem *problem = s->problem;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        double least = INFINITY;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            const struct mly__load *load = mly__load_of(problem, c, u);
            least = fmin(least, least_of_ns(s, c) * (load->time_ns + load->forced_ns));
        }
        for (uint32_t i = 0; i < s->downsets->count; i++)
            if (mly__downset_has(mly__downset(s->downsets, i), u))
                s->least[i] += least;
    }
}

/* What a state would be improved to; NULL: it cannot go on to the class. */
static struct step *sum_to(const struct search *s, const struct stage *stage, uint32_t state,
                           uint32_t class)
{
    const struct mly__vectors *v = &s->vectors;
    const uint32_t used = v->radix[class] > 1 ? v->step[class] : 0;
    const uint32_t layer = state / v->count, before = state % v->count;
    if (layer >= from_layers(s) || before + used >= v->count || !mly__vectors_fit(v, before, used))
        return NULL;
    return step_at(s, stage->large, s->layers > 1 ? layer + 1 : 0, before + used);
}

static void add_sum(struct search *s, const struct stage *stage, uint32_t class, double value)
{
    const struct mly__vectors *v = &s->vectors;
    for (uint32_t i = 0; i < s->reached_count; i++) {
        const uint32_t layer = s->reached[i] / v->count, before = s->reached[i] % v->count;
        const struct step *from = step_at(s, stage->small, layer, before);
        struct step *to = sum_to(s, stage, s->reached[i], class);
        const double sum = from->value + value;
        if (to && sum <= s->bound &&
            (sum < to->value || (sum == to->value && from->parts + 1 < to->parts)))
            *to = (struct step){.value = sum,
                                .from = stage->small,
                                .vector = before,
                                .used = class,
                                .parts = from->parts + 1};
    }
}

/* Could any state become better by the stage on the class if that took no longer than it must? */
static bool may_improve_sum(const struct search *s, const struct stage *stage, uint32_t class)
{
    const struct mly__vectors *v = &s->vectors;
    const double least = least_of_ns(s, class) * least_ns(stage, class);
    const double rest = s->least[s->downsets->count - 1] - s->least[stage->large];
    for (uint32_t i = 0; i < s->reached_count; i++) {
        const struct step *to = sum_to(s, stage, s->reached[i], class);
        const double sum =
            step_at(s, stage->small, s->reached[i] / v->count, s->reached[i] % v->count)->value +
            least;
        if (to && sum <= to->value && sum + rest <= s->bound)
            return true;
    }
    return false;
}

static void extend_sum(struct search *s, struct stage *stage)
{
    bool border_known = false;
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        if (is_refused(stage, c) || !may_improve_sum(s, stage, c))
            continue;
        if (!border_known)
            find_border(stage);
        border_known = true;
        s->work += s->problem->classes[c].exclusive ? SPILL_WORK : 1;
        stage_cost(stage, c, INFINITY, &cost);
        const double value = sum_value(s, c, &cost);
        if (isfinite(value))
            add_sum(s, stage, c, value);
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
            layout.replicas[part][c] =
                sums ? c == step->used : mly__vector_digit(&s->vectors, step->used, c);
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
                    (!best || is_better(at, best))) {
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

/* The states of the downset that were reached, and what they leave. */
static void find_reached(struct search *s, uint32_t downset)
{
    const struct mly__vectors *v = &s->vectors;
    const struct step *states = step_at(s, downset, 0, 0);
    s->reached_count = 0;
    s->least_value = INFINITY;
    s->available_capacity = 0;
    memset(s->available, 0, sizeof s->available);
    for (uint32_t i = 0; i < s->layers * v->count; i++) {
        if (states[i].from == MLY_NO_INDEX)
            continue;
        s->reached[s->reached_count++] = i;
        s->least_value = fmin(s->least_value, states[i].value);
        for (uint32_t c = 0; c < v->class_count; c++) {
            const uint32_t left = v->radix[c] - 1 - mly__vector_digit(v, i % v->count, c);
            s->available[c] = left > s->available[c] ? left : s->available[c];
        }
    }
    for (uint32_t c = 0; c < v->class_count; c++)
        s->available_capacity += s->weight[c] * s->available[c];
}

/* Can any pipeline within the bound be cut there, and on which processors? */
static void find_open(struct search *s, bool sums)
{
    for (uint32_t i = 0; i < s->downsets->count; i++) {
        s->open[i] = sums;
        for (uint32_t v = 0; v < s->vectors.count && !sums; v++) {
            const bool open = may_be_done(s, i, v);
            s->open_at[(size_t)i * s->vectors.count + v] = open;
            s->open[i] = s->open[i] || open;
        }
    }
}

/* Is planning to go on? Asked now and then. */
static enum mly_status go_on(struct search *s, struct mly_error *err)
{
    return s->looks++ % LOOKS ? MLY_OK : mly__plan_go_on(s->problem->request, err);
}

/* Looks at one stage; false: none that holds it need be looked at. */
static bool look_at(struct search *s, bool sums, uint32_t small, uint32_t large)
{
    struct stage stage = {.search = s, .small = small, .large = large};
    s->work++;
    if (s->problem->request->must_cut && small == 0 && large == s->downsets->count - 1)
        return true; /* the whole model: no part of a cut */
    if (sums ? !may_add(&stage) : !may_do(&stage))
        return false;
    if (sums)
        extend_sum(s, &stage);
    else if (s->open[large])
        extend_throughput(s, &stage);
    return true;
}

/* Of a family: every larger set. */
static enum mly_status look_at_larger(struct search *s, bool sums, uint32_t small,
                                      struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t large = small + 1; !status && large < s->downsets->count; large++) {
        status = go_on(s, err);
        if (!status && (sums || s->open[large]) && mly__downset_within(s->downsets, small, large))
            (void)look_at(s, sums, small, large);
    }
    return status;
}

/* Of all downsets: from each that is not too slow to those with one unit more. */
static enum mly_status climb(struct search *s, bool sums, uint32_t small, struct mly_error *err)
{
    const struct mly__downsets *d = s->downsets;
    uint32_t count = 0;
    s->stack[count++] = small;
    while (count) {
        const uint32_t at = s->stack[--count];
        for (uint32_t i = d->cover_begin[at]; i < d->cover_begin[at + 1]; i++) {
            const uint32_t large = d->covers[i];
            if (s->seen[large] == small + 1)
                continue;
            s->seen[large] = small + 1;
            enum mly_status status = go_on(s, err);
            if (status)
                return status;
            if (look_at(s, sums, small, large))
                s->stack[count++] = large;
        }
    }
    return MLY_OK;
}

static enum mly_status search_all(struct search *s, bool sums, struct mly__found *found,
                                  struct mly_error *err)
{
    for (uint32_t small = 0; small + 1 < s->downsets->count; small++) {
        find_reached(s, small);
        if (!s->reached_count)
            continue;
        if (s->work > s->work_max)
            return mly_error_set(err, MLY_E_LIMIT,
                                 "%u possible first parts make too many stages: of the first %u, "
                                 "%.3g million were looked at",
                                 s->downsets->count, small, (double)s->work / 1e6);
        enum mly_status status =
            s->downsets->covers ? climb(s, sums, small, err) : look_at_larger(s, sums, small, err);
        if (status)
            return status;
    }
    return collect(s, sums, found, err);
}

enum mly_status mly__stages_search(const struct mly__downsets *downsets, bool sums, double bound,
                                   uint64_t *work_left, struct mly__found *found,
                                   struct mly_error *err)
{
    struct search search;
    enum mly_status status = search_init(&search, downsets, sums, err);
    if (status)
        return status;
    search.work_max = work_left ? *work_left : UINT64_MAX;
    for (uint32_t c = 0; c < downsets->problem->class_count; c++)
        search.spills = search.spills || downsets->problem->classes[c].exclusive;
    search.bound = bound * (1 + (downsets->count > SLACK_DOWNSETS_MAX ? no_slack : slack));
    if (sums)
        find_least(&search);
    find_open(&search, sums);
    status = search_all(&search, sums, found, err);
    if (work_left)
        *work_left -= search.work < *work_left ? search.work : *work_left;
    search_fini(&search);
    return status;
}
