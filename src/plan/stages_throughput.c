/* Looking for pipelines of the greatest throughput: how a stage goes on from what is known (stages.c, 1). */
#include "stages_private.h"

bool mly__stage_may_do(const struct mly__stage *stage)
{
    const struct mly__stages *s = stage->search;
    double rate = 0;
    if (!mly__stages_within(s, s->share[stage->large] - s->share[stage->small],
                            s->available_capacity))
        return false;
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        if (s->available[c] && !mly__stage_is_refused(stage, c))
            rate += s->available[c] / fmax(mly__stage_least_ns(stage, c), 1e-9);
    return rate > 0 && 1 / rate <= s->bound;
}

bool mly__step_is_better(const struct mly__step *a, const struct mly__step *b)
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

static bool is_open(const struct mly__stages *s, uint32_t downset, uint32_t vector)
{
    return s->open_at[(size_t)downset * s->vectors.count + vector];
}

/* What a state becomes by the stage on the processors `used` more; false: it cannot. */
static bool next_step(const struct mly__stages *s, const struct mly__stage *stage, uint32_t state,
                      uint32_t used, double period, struct mly__step *step, struct mly__step **to)
{
    const struct mly__vectors *v = &s->vectors;
    const uint32_t layer = state / v->count, before = state % v->count;
    if (layer >= mly__stages_from_layers(s) || before + used >= v->count ||
        !is_open(s, stage->large, before + used) || !mly__vectors_fit(v, before, used))
        return false;
    const struct mly__step *from = mly__step_at(s, stage->small, layer, before);
    *to = mly__step_at(s, stage->large, s->layers > 1 ? layer + 1 : 0, before + used);
    if (from->value > (*to)->value || period > (*to)->value)
        return false;
    *step = (struct mly__step){.value = fmax(from->value, period),
                               .sum = from->sum + period,
                               .from = stage->small,
                               .vector = before,
                               .used = used,
                               .parts = from->parts + 1};
    return mly__step_is_better(step, *to);
}

/* The stage on all vectors of processors; false, if nothing is written: no state becomes better. */
static bool try_vectors(struct mly__stages *s, const struct mly__stage *stage,
                        const double *periods, bool write)
{
    const struct mly__vectors *v = &s->vectors;
    const double share = s->share[stage->large] - s->share[stage->small];
    struct mly__step step, *to;
    for (uint32_t used = 1; used < v->count; used++) {
        if (!mly__vector_may_use(v, used, s->problem->request->no_replicas) ||
            !mly__stages_within(s, share, s->capacity[used]))
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
static bool may_improve(struct mly__stages *s, const struct mly__stage *stage)
{
    double periods[MLY__CLASSES_MAX] = {0};
    for (uint32_t c = 0; c < s->problem->class_count; c++)
        periods[c] =
            mly__stage_is_refused(stage, c) ? INFINITY : fmax(mly__stage_least_ns(stage, c), 1e-9);
    return try_vectors(s, stage, periods, false);
}

void mly__stage_extend_throughput(struct mly__stages *s, struct mly__stage *stage)
{
    /* Processors of one class must be fast enough by themselves; among others a slow one may help. */
    const double limit_ns = s->problem->class_count == 1 ? s->bound * s->available[0] : INFINITY;
    double periods[MLY__CLASSES_MAX] = {0};
    /* Where room on a chip must be found, that takes longer than to see that it is in vain. */
    if (s->spills && !may_improve(s, stage))
        return;
    s->work += s->spills ? SPILL_WORK : 1;
    mly__stage_find_border(stage);
    for (uint32_t c = 0; c < s->problem->class_count; c++) {
        struct mly__segment_cost cost;
        mly__stage_cost(stage, c, limit_ns, &cost);
        periods[c] = fmax(mly__stage_period_ns(&s->problem->classes[c], &cost), 1e-9);
    }
    (void)try_vectors(s, stage, periods, true);
}
