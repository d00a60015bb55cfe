/* Families of plans, from ways that were found. */
#ifndef MLY_PLAN_FAMILY_H
#define MLY_PLAN_FAMILY_H

#include "problem.h"

/* A family's way has at most this much more latency than the best one, up to its rate. */
#define MLY__FAMILY_SLACK 0.05

/*
 * The family of these ways (plans, all borrowed, with a description each, for the candidates): as few as
 * are within MLY__FAMILY_SLACK of the best of them at every rate. *out is the caller's. MLY_E_NOT_FOUND
 * when none can be predicted; MLY_E_NO_MEMORY.
 */
enum mly_status mly__family_of(const struct mly_plan_request *request, mly_plan *const *ways,
                               char *const *descriptions, uint32_t count, mly_plan **out,
                               struct mly_error *err) MLY_MUST_CHECK;

/*
 * Divisions between every two classes with ever more weight on the first one's time: by one maximum
 * flow each, and so each within the next. For families.
 */
enum mly_status mly__min_cut_sweep(const struct mly__problem *problem, struct mly__found *found,
                                   struct mly_error *err) MLY_MUST_CHECK;

#endif
