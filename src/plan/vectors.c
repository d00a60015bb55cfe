/* Ways of using processors, numbered. */
#include "vectors.h"

#include "base/alloc.h"
#include "problem_private.h"
#include "stages.h"

#define VECTORS_MAX 4096u

enum mly_status mly__vectors_init(struct mly__vectors *v, const struct mly__problem *problem,
                                  bool counted_only, struct mly_error *err)
{
    *v = (struct mly__vectors){.class_count = problem->class_count, .count = 1};
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
    v->digits = mly_alloc_array((size_t)v->count * v->class_count, sizeof *v->digits);
    if (!v->mixed || !v->digits)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t classes = 0;
        for (uint32_t c = 0; c < v->class_count; c++) {
            v->digits[(size_t)i * v->class_count + c] = (uint16_t)(i / v->step[c] % v->radix[c]);
            classes += mly__vector_digit(v, i, c) > 0;
        }
        v->mixed[i] = classes > 1;
    }
    return MLY_OK;
}

void mly__vectors_fini(struct mly__vectors *v)
{
    mly_free(v->mixed);
    mly_free(v->digits);
}

bool mly__stages_may_mix(const struct mly__problem *problem)
{
    uint32_t ways = 1;
    if (problem->request->no_replicas || problem->class_count == 1)
        return true;
    for (uint32_t c = 0; c < problem->class_count && ways <= MLY__VECTORS_MIXED_MAX; c++)
        ways *= problem->classes[c].count + 1;
    return ways <= MLY__VECTORS_MIXED_MAX;
}
