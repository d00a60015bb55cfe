/* Looking for pipelines: what is known of downsets and processors before any stage is looked at. */
#include "stages_private.h"

#include <string.h>

#include "base/alloc.h"

#define STATES_MAX 4000000u /* downsets times vectors of processors */

void mly__stages_fini(struct mly__stages *s)
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
static void add_up(struct mly__stages *s)
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
static enum mly_status find_shares(struct mly__stages *s, struct mly_error *err)
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

enum mly_status mly__stages_init(struct mly__stages *s, const struct mly__downsets *downsets,
                                 bool counted_only, struct mly_error *err)
{
    const struct mly__problem *problem = downsets->problem;
    *s = (struct mly__stages){.problem = problem, .downsets = downsets, .layers = 1};
    enum mly_status status = mly__vectors_init(&s->vectors, problem, counted_only, err);
    if (!status)
        status = find_shares(s, err);
    if (status) {
        mly__stages_fini(s);
        return status;
    }
    s->parts_max = problem->request->segments_max;
    if (s->parts_max && s->parts_max < problem->processor_count)
        s->layers = s->parts_max + 1;
    const size_t count = (size_t)s->downsets->count * problem->class_count;
    const size_t states = (size_t)s->downsets->count * s->vectors.count * s->layers;
    if (states > STATES_MAX) {
        mly__stages_fini(s);
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
        mly__stages_fini(s);
        return mly__problem_no_memory(err);
    }
    for (size_t i = 0; i < states; i++)
        s->steps[i] = (struct mly__step){.value = INFINITY, .from = MLY_NO_INDEX};
    *mly__step_at(s, 0, 0, 0) = (struct mly__step){.value = 0, .from = 0};
    add_up(s);
    return MLY_OK;
}
