/* The planner `profiled`: candidates of other planners, built as real segments and measured. */
#ifndef MLY_PROFILE_CANDIDATES_H
#define MLY_PROFILE_CANDIDATES_H

#include "plan/plan.h"
#include "profile/profile.h"

/*
 * Runs the planners on the request (whose costs are `table`), measures the segments of the best few plans on
 * their processors, all at once as they would work, puts every time into the table, and keeps the plan that
 * is best by these. options: budget_ns (0: 10 s), dimensions, stop, progress, remark. A candidate that cannot
 * be run is left out with a remark; of modelled processors nothing is measured. *out is the caller's.
 * Errors: those of the planners if none made a plan; MLY_E_CANCELLED; MLY_E_NO_MEMORY.
 */
enum mly_status mly_profile_candidates(mly_model *model, const struct mly_plan_request *request,
                                       const struct mly_profile_options *options,
                                       mly_cost_table *table, mly_plan **out,
                                       struct mly_error *err) MLY_MUST_CHECK;

/*
 * Measures the segments of one plan, on its processors that are not modelled, into the table. Segments that
 * share no processor run at the same time, for slice_ns; what the table holds already is not measured again.
 */
enum mly_status mly_profile_plan(mly_model *model, const mly_plan *plan,
                                 const struct mly_profile_options *options, int64_t slice_ns,
                                 mly_cost_table *table, struct mly_error *err) MLY_MUST_CHECK;

#endif
