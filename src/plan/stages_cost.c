/* Looking for pipelines: the cost of a stage, one downset without a smaller one. */
#include "stages_private.h"

static bool in_stage(const void *user, uint32_t unit)
{
    const struct mly__stage *stage = user;
    return mly__downset_has(mly__downset(stage->search->downsets, stage->large), unit) &&
           !mly__downset_has(mly__downset(stage->search->downsets, stage->small), unit);
}

void mly__stage_find_border(struct mly__stage *stage)
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
static struct mly__load stage_load(const struct mly__stage *stage, uint32_t class)
{
    const struct mly__stages *s = stage->search;
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

bool mly__stage_is_refused(const struct mly__stage *stage, uint32_t class)
{
    const struct mly__stages *s = stage->search;
    const size_t row = (size_t)class * s->downsets->count;
    return s->refused[row + stage->large] != s->refused[row + stage->small];
}

void mly__stage_cost(const struct mly__stage *stage, uint32_t class, double limit_ns,
                     struct mly__segment_cost *out)
{
    const struct mly__problem *problem = stage->search->problem;
    const bool elements = problem->classes[class].counts_elements;
    uint64_t(*keys)[2] = stage->search->keys;
    const struct mly__parts parts = {
        .sum = stage_load(stage, class),
        .refused = mly__stage_is_refused(stage, class),
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

double mly__stage_least_ns(const struct mly__stage *stage, uint32_t class)
{
    const struct mly__problem *problem = stage->search->problem;
    const struct mly__load load = stage_load(stage, class);
    const double beyond = load.kept_bytes - problem->hidden->layers[class].room_bytes;
    return problem->classes[class].segment_ns + load.time_ns + load.forced_ns +
           fmax(0, beyond) * problem->hidden->layers[class].least_ns_per_byte;
}
