/* Plans: which segments run where, in what batches, and what that is predicted to give. */
#ifndef MOTLEY_PLAN_H
#define MOTLEY_PLAN_H

#include <motley/device.h>
#include <motley/model.h>
#include <motley/status.h>

MLY_BEGIN_DECLS

/* Immutable once made; safe to read from several threads. */
typedef struct mly_plan mly_plan;

enum mly_objective {
    MLY_OBJECTIVE_THROUGHPUT, /* most samples per second */
    MLY_OBJECTIVE_LATENCY     /* least time from submit to result of one batch */
};

/*
 * Reads a plan file (format: docs/reference/formats.md). MLY_E_FORMAT names file, field and rule.
 * Checked against nothing yet: see mly_plan_check.
 */
MLY_API enum mly_status mly_plan_load(const char *path, mly_plan **out,
                                      struct mly_error *err) MLY_MUST_CHECK;
/* Writes it atomically. */
MLY_API enum mly_status mly_plan_save(const mly_plan *plan, const char *path,
                                      struct mly_error *err) MLY_MUST_CHECK;
MLY_API void mly_plan_destroy(mly_plan *plan);

/* Predicted samples per second; 0 when the plan carries no prediction. */
MLY_API double mly_plan_throughput_per_s(const mly_plan *plan);
/*
 * Predicted median time of one batch from submit to result, in ns, with one batch in flight per
 * replica.
 */
MLY_API double mly_plan_latency_ns(const mly_plan *plan);
/* Path of the model it was made for. */
MLY_API const char *mly_plan_model_path(const mly_plan *plan);
/* Batch size chosen. */
MLY_API uint32_t mly_plan_batch(const mly_plan *plan);

/*
 * Is this plan valid for this model on this machine? Every node in exactly one segment, segments
 * convex and in topological order, processors exist and are usable, memory fits. MLY_E_MISMATCH for
 * another model or box (says which), else MLY_E_INVALID, MLY_E_ABSENT.
 */
MLY_API enum mly_status mly_plan_check(const mly_plan *plan, const mly_model *model,
                                       const mly_machine *machine,
                                       struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif
