/* Looking for pipelines of the least latency or energy: how a stage goes on from what is known (stages.c, 2). */
#include "stages_private.h"

static double sum_value(const struct mly__stages *s, uint32_t class,
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
static double least_of_ns(const struct mly__stages *s, uint32_t class)
{
    const struct mly__class *at = &s->problem->classes[class];
    if (s->problem->request->objective != MLY_OBJECTIVE_ENERGY)
        return 1;
    return (at->active_w > 0 ? at->active_w : at->idle_w) * 1e-9;
}

bool mly__stage_may_add(const struct mly__stage *stage)
{
    const struct mly__stages *s = stage->search;
    double least = INFINITY;
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        if (!mly__stage_is_refused(stage, c))
            least = fmin(least, least_of_ns(s, c) * mly__stage_least_ns(stage, c));
    return s->least_value + least + s->least[s->downsets->count - 1] - s->least[stage->large] <=
           s->bound;
}

void mly__stages_find_least(struct mly__stages *s)
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
static struct mly__step *sum_to(const struct mly__stages *s, const struct mly__stage *stage,
                                uint32_t state, uint32_t class)
{
    const struct mly__vectors *v = &s->vectors;
    const uint32_t used = v->radix[class] > 1 ? v->step[class] : 0;
    const uint32_t layer = state / v->count, before = state % v->count;
    if (layer >= mly__stages_from_layers(s) || before + used >= v->count ||
        !mly__vectors_fit(v, before, used))
        return NULL;
    return mly__step_at(s, stage->large, s->layers > 1 ? layer + 1 : 0, before + used);
}

static void add_sum(struct mly__stages *s, const struct mly__stage *stage, uint32_t class,
                    double value)
{
    const struct mly__vectors *v = &s->vectors;
    for (uint32_t i = 0; i < s->reached_count; i++) {
        const uint32_t layer = s->reached[i] / v->count, before = s->reached[i] % v->count;
        const struct mly__step *from = mly__step_at(s, stage->small, layer, before);
        struct mly__step *to = sum_to(s, stage, s->reached[i], class);
        const double sum = from->value + value;
        if (to && sum <= s->bound &&
            (sum < to->value || (sum == to->value && from->parts + 1 < to->parts)))
            *to = (struct mly__step){.value = sum,
                                     .from = stage->small,
                                     .vector = before,
                                     .used = class,
                                     .parts = from->parts + 1};
    }
}

/* Could any state become better by the stage on the class if that took no longer than it must? */
static bool may_improve_sum(const struct mly__stages *s, const struct mly__stage *stage,
                            uint32_t class)
{
    const struct mly__vectors *v = &s->vectors;
    const double least = least_of_ns(s, class) * mly__stage_least_ns(stage, class);
    const double rest = s->least[s->downsets->count - 1] - s->least[stage->large];
    for (uint32_t i = 0; i < s->reached_count; i++) {
        const struct mly__step *to = sum_to(s, stage, s->reached[i], class);
        const double sum =
            mly__step_at(s, stage->small, s->reached[i] / v->count, s->reached[i] % v->count)
                ->value +
            least;
        if (to && sum <= to->value && sum + rest <= s->bound)
            return true;
    }
    return false;
}

void mly__stage_extend_sum(struct mly__stages *s, struct mly__stage *stage)
{
    bool border_known = false;
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        if (mly__stage_is_refused(stage, c) || !may_improve_sum(s, stage, c))
            continue;
        if (!border_known)
            mly__stage_find_border(stage);
        border_known = true;
        s->work += s->problem->classes[c].exclusive ? SPILL_WORK : 1;
        mly__stage_cost(stage, c, INFINITY, &cost);
        const double value = sum_value(s, c, &cost);
        if (isfinite(value))
            add_sum(s, stage, c, value);
    }
}
