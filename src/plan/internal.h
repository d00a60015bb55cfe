/* What the files of the plan layer share. */
#ifndef MLY_PLAN_INTERNAL_H
#define MLY_PLAN_INTERNAL_H

#include "model/segment.h"
#include "plan/plan.h"

#define MLY__PLAN_VERSION 1
#define MLY__PLAN_TEXT_BYTES_MAX ((size_t)16 << 20)
#define MLY__PLAN_PROCESSORS_MAX 4096u
#define MLY__PLAN_SEGMENTS_MAX 65536u
#define MLY__PLAN_NODES_MAX (1u << 22) /* in all segments together */
#define MLY__PLAN_LADDER_MAX 64u
#define MLY__PLAN_CPUS_MAX 65536u /* of one processor */
#define MLY__PLAN_CANDIDATES_MAX 1000u
#define MLY__PLAN_FAMILY_MAX 64u
#define MLY__PLAN_BATCH_MAX 1000000u
#define MLY__PLAN_IN_FLIGHT_MAX 1000000u
#define MLY__PLAN_NUMBER_MAX 1e18
#define MLY__PLAN_TIME_NS_MAX 1e15 /* of a segment: eleven days */

#define MLY__COUNT(array) (sizeof(array) / sizeof *(array))

/* MLY_E_CANCELLED when the request's go_on says so: for every loop that may take long. */
static inline enum mly_status mly__plan_go_on(const struct mly_plan_request *request,
                                              struct mly_error *err)
{
    return !request->go_on || request->go_on(request->user)
               ? MLY_OK
               : mly_error_set(err, MLY_E_CANCELLED, "planning was interrupted");
}

/* --- plan.c --- */

void mly__plan_candidates_free(struct mly_plan_candidate *candidates, uint32_t count);
void mly__plan_runs_free(mly_plan *plan);
void mly__plan_segments_free(struct mly_plan_segment *segments, uint32_t count);
void mly__plan_family_free(struct mly_plan_member *family, uint32_t count);
/* Puts a copy of a processor at the end of the plan's list, which has room for it; false: no memory. */
bool mly__plan_add_processor(mly_plan *plan, const struct mly_plan_processor *processor);
/* The plan's own way of running its model, as if it were a member; and back. Neither copies nor frees. */
struct mly_plan_member mly__plan_way(const mly_plan *plan);
void mly__plan_set_way(mly_plan *plan, const struct mly_plan_member *way);

/* --- window.c --- */

/* Batches in flight that keep all processors of the plan's way busy, by the times noted in its segments. */
uint32_t mly__plan_window(const mly_plan *plan);

/* --- data_plan.c --- */

/* mly_plan_evaluate of a plan whose one segment has shares. */
enum mly_status mly__plan_evaluate_split(const mly_plan *plan, const mly_model *model,
                                         const mly_cost_table *costs, struct mly_prediction *out,
                                         struct mly_error *err) MLY_MUST_CHECK;

/* --- check.c --- */

/* The plan as if this member of its family were all of it. Borrows everything: not to be destroyed. */
mly_plan mly__plan_member_view(const mly_plan *plan, uint32_t index);

/* --- text.c --- */

#define MLY__PLAN_CONFIG_TEXT_BYTES 128
/*
 * "2 groups x 1 thread, batch 4, block", or "the runtime's defaults, batch 4", into text, which it
 * returns.
 */
char *mly__plan_config_text(const struct mly_cost_config *config,
                            char text[MLY__PLAN_CONFIG_TEXT_BYTES]);
/* "cpu:0-3+8" into id; lists too long for it end in "+…" and their number of CPUs. */
void mly__plan_cpu_id(const uint32_t *cpus, uint32_t count, char id[64]);
/*
 * Why the chosen candidate won, as a sentence; the caller's (mly_free), NULL when memory is short.
 */
char *mly__plan_explain(const mly_plan *plan);

/* --- gap.c --- */

/*
 * Writes `note` and `why` of a plan that has its candidates and bounds, anew: its account, and how far its
 * prediction is from what no plan can beat.
 */
enum mly_status mly__plan_write_words(mly_plan *plan, struct mly_error *err) MLY_MUST_CHECK;

/* --- evaluate.c --- */

/*
 * The configuration under which costs of a processor of the plan are kept, when `groups` like it
 * run.
 */
struct mly_cost_config mly__plan_config(const mly_plan *plan, uint32_t processor, uint32_t groups);

/* Is it one whose times come from a device file? */
bool mly__plan_is_modelled(const struct mly_plan_processor *processor);

/*
 * The plan under load (under_load.h), the caller's (mly__under_load_fini), and its prediction without. Fails as
 * mly_plan_evaluate.
 */
struct mly__under_load;
enum mly_status mly__plan_under_load(const mly_plan *plan, const mly_model *model,
                                     const mly_cost_table *costs, struct mly__under_load *load,
                                     struct mly_prediction *out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* --- queueing.c --- */

/*
 * Mean time from a sample's arrival to its result, when samples arrive at random (Poisson) at a rate
 * and wait for a full batch and for one of `servers` alike. latency_ns: of one batch that waits for
 * nothing. Infinite when the rate is too much.
 */
double mly__queue_latency_ns(double rate_per_s, uint32_t batch, uint32_t servers,
                             double throughput_per_s, double latency_ns, double spread);

/* --- memory.c --- */

/*
 * Bytes that a plan needs by the graph alone: weights once, and the peak of activations of each
 * session.
 */
struct mly__plan_memory {
    double weight_bytes;
    double activation_bytes; /* of all sessions */
};
enum mly_status mly__plan_memory(const mly_plan *plan, const mly_model *model,
                                 struct mly__plan_memory *out,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* Sizes of symbolic dimensions that the costs (may be NULL) were measured with, as in a plan. */
static inline const char *mly__plan_shapes(const mly_cost_table *costs)
{
    return costs ? mly_cost_table_identity(costs)->shapes : "";
}
/* The same for a whole model in one session with that batch; text is the shapes of a plan. */
enum mly_status mly__plan_memory_whole(const mly_model *model, uint32_t batch, const char *text,
                                       struct mly__plan_memory *out,
                                       struct mly_error *err) MLY_MUST_CHECK;

/* Peak of the activations of a segment of these nodes (ascending). O(nodes and tensors). */
enum mly_status mly__plan_peak(const struct mly_graph *graph, const struct mly_shape *shapes,
                               const uint32_t *nodes, uint32_t count, double *out,
                               struct mly_error *err) MLY_MUST_CHECK;

/*
 * What an entry of the whole model says of a plan that is just this configuration. memory: of one
 * session.
 */
struct mly_prediction mly__plan_predict_whole(const struct mly_cost_entry *entry,
                                              const struct mly__plan_memory *memory);

/* --- choose.c --- */

/* What a choice between alternatives looks at. */
struct mly__alternative {
    struct mly_prediction prediction;
    bool eligible; /* may win; others are only listed */
    bool baseline;
    uint32_t segments;
    uint32_t groups;
    uint32_t batch;
    bool spin;
    const char *name; /* decides what nothing else does, so that results do not depend on order */
};
/* How good a prediction is: more is better; 0 when it says nothing. */
double mly__plan_score(const struct mly_prediction *prediction, enum mly_objective objective);
/* For qsort: best first; among equals the simpler. */
int mly__plan_compare(const struct mly__alternative *a, const struct mly__alternative *b,
                      enum mly_objective objective);
/* The relative difference between two predictions that may be chance. */
double mly__plan_noise(const struct mly_prediction *a, const struct mly_prediction *b);
/* By how much less a prediction counts, because it may be off beside what is measured together. */
double mly__plan_error(const struct mly_prediction *prediction);
/* Index of the one that wins, or count if none may. */
size_t mly__plan_choose(const struct mly__alternative *alternatives, size_t count,
                        enum mly_objective objective);

/* --- planners --- */

extern const struct mly_planner mly__planner_exact, mly__planner_pipeline;
extern const struct mly_planner mly__planner_single, mly__planner_groups, mly__planner_metis,
    mly__planner_min_cut, mly__planner_data, mly__planner_parameters, mly__planner_bisection;

#endif
