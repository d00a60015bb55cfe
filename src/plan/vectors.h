/*
 * Which processors are used: how many of each class, as one number. The search for pipelines (stages.c) has
 * a state for each.
 */
#ifndef MLY_PLAN_VECTORS_H
#define MLY_PLAN_VECTORS_H

#include "problem.h"

#define MLY__VECTORS_MIXED_MAX 64u /* up to so many a stage may mix classes as it likes */

/* One digit per class; zeroed may be finished, too. */
struct mly__vectors {
    uint32_t class_count, count;
    uint32_t radix[MLY__CLASSES_MAX], step[MLY__CLASSES_MAX];
    uint16_t *digits; /* [vector][class] */
    uint8_t *mixed;   /* by vector: it has processors of several classes */
};

/*
 * counted_only: classes whose processors may have many segments are not counted. MLY_E_LIMIT for too many ways
 * of using processors; MLY_E_NO_MEMORY. Finished in every case.
 */
enum mly_status mly__vectors_init(struct mly__vectors *v, const struct mly__problem *problem,
                                  bool counted_only, struct mly_error *err) MLY_MUST_CHECK;
void mly__vectors_fini(struct mly__vectors *v);

/* The processors of a class in it. */
static inline uint32_t mly__vector_digit(const struct mly__vectors *v, uint32_t vector,
                                         uint32_t class)
{
    return v->digits[(size_t)vector * v->class_count + class];
}

static inline bool mly__vector_is_one(const struct mly__vectors *v, uint32_t vector)
{
    uint32_t processors = 0;
    for (uint32_t c = 0; c < v->class_count; c++)
        processors += mly__vector_digit(v, vector, c);
    return processors == 1;
}

/* What one stage may use: anything while that is not too much, else one class, or all there is. */
static inline bool mly__vector_may_use(const struct mly__vectors *v, uint32_t vector,
                                       bool no_replicas)
{
    if (no_replicas)
        return mly__vector_is_one(v, vector);
    return v->count <= MLY__VECTORS_MIXED_MAX || !v->mixed[vector] || vector + 1 == v->count;
}

/* Do the two together use no more than there are? Their sum is then the vector. */
static inline bool mly__vectors_fit(const struct mly__vectors *v, uint32_t a, uint32_t b)
{
    for (uint32_t c = 0; c < v->class_count; c++)
        if (mly__vector_digit(v, a, c) + mly__vector_digit(v, b, c) >= v->radix[c])
            return false;
    return true;
}

#endif
