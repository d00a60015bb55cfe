/*
 * Plans: which segments run where, in what batches, and what that is predicted to give.
 *
 * Threads: every function here may be called from any thread; a plan is never changed once it is
 * made.
 */
#ifndef MOTLEY_PLAN_H
#define MOTLEY_PLAN_H

#include <motley/device.h>
#include <motley/model.h>
#include <motley/status.h>

MLY_BEGIN_DECLS

/* Made by mly_decide or read from a file. Immutable; it borrows nothing. */
typedef struct mly_plan mly_plan;

/* What a plan is to be best at. */
enum mly_objective {
    MLY_OBJECTIVE_THROUGHPUT, /* most samples per second */
    MLY_OBJECTIVE_LATENCY,    /* least time from submit to result of one batch */
    /* Least mean time from a sample's arrival to its result, at a given rate of arrivals. */
    MLY_OBJECTIVE_LATENCY_AT_RATE,
    MLY_OBJECTIVE_ENERGY /* least energy per sample */
};

/*
 * Reads the plan file at path (borrowed for the call). Whether the plan fits a model and a machine
 * is not looked at: see mly_plan_check. *out is owned by the caller (mly_plan_destroy).
 * Errors: MLY_E_NOT_FOUND, MLY_E_IO, MLY_E_INVALID (no regular file); MLY_E_FORMAT with file, field
 * and rule; MLY_E_UNSUPPORTED for a newer version of the format; MLY_E_LIMIT over 16 MiB;
 * MLY_E_NO_MEMORY.
 * Cost: O(file size).
 * Source: docs/reference/formats.md.
 */
MLY_API enum mly_status mly_plan_load(const char *path, mly_plan **out,
                                      struct mly_error *err) MLY_MUST_CHECK;
/*
 * Writes the plan to path (borrowed for the call), atomically: a crash leaves the old file or the
 * new one.
 * Errors: MLY_E_NOT_FOUND (the folder), MLY_E_IO, MLY_E_INVALID (a folder of that name),
 * MLY_E_NO_SPACE, MLY_E_LIMIT over 16 MiB, MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_plan_save(const mly_plan *plan, const char *path,
                                      struct mly_error *err) MLY_MUST_CHECK;
/* Frees a plan; NULL is fine. An engine made from it does not need it any more. */
MLY_API void mly_plan_destroy(mly_plan *plan);

/* Predicted samples per second; 0 when the plan carries no prediction. */
MLY_API double mly_plan_throughput_per_s(const mly_plan *plan);
/*
 * Predicted median time of one batch from submit to result, in ns, with one batch in flight per
 * replica.
 */
MLY_API double mly_plan_latency_ns(const mly_plan *plan);
/* Path of the model it was made for, as it was given then. Borrowed until the plan is destroyed. */
MLY_API const char *mly_plan_model_path(const mly_plan *plan);
/* Batch size chosen, in samples. */
MLY_API uint32_t mly_plan_batch(const mly_plan *plan);

/*
 * Is this plan valid for this model on this machine (all borrowed for the call)? Every node in
 * exactly one segment, segments convex and in topological order, processors exist and are usable, no
 * CPU in two of them, batches as the model allows, weights and activations fit the memory.
 * Errors: MLY_E_MISMATCH for another model or box (says which); MLY_E_ABSENT for a processor or CPU
 * that is not there or not usable; MLY_E_INVALID with the plan's field for any other rule; those of
 * mly_model_hash; MLY_E_NO_MEMORY.
 * Cost: O(nodes and tensors), and the model's hash the first time.
 */
MLY_API enum mly_status mly_plan_check(const mly_plan *plan, const mly_model *model,
                                       const mly_machine *machine,
                                       struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif
