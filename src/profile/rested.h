/* rested.c: runs after a rest. */
#ifndef MLY_PROFILE_RESTED_H
#define MLY_PROFILE_RESTED_H

#include "profiler.h"

/*
 * Fills rested_ns and rested_p90_ns of cells in play, as far as the budget goes; they are not in play afterwards.
 * Errors: MLY_E_CANCELLED, MLY_E_NO_MEMORY; a run that fails only leaves its cell unknown.
 */
enum mly_status profile_rested(struct profiler *p, struct mly_error *err) MLY_MUST_CHECK;

#endif
