/* Deciding: from a model and a box to a plan, measuring what is not known yet. */
#ifndef MOTLEY_DECIDE_H
#define MOTLEY_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/model.h>
#include <motley/plan.h>
#include <motley/status.h>

MLY_BEGIN_DECLS

/* Zeroed: most samples per second, everything else motley's choice. */
struct mly_decide_options {
    const char *planner; /* borrowed for the call: "auto", "pipeline", …; NULL: "auto" */
    enum mly_objective objective;
    double rate_per_s; /* samples that arrive, with MLY_OBJECTIVE_LATENCY_AT_RATE */
    uint32_t batch;    /* samples per batch; 0: motley chooses */
    uint32_t groups;   /* core groups; 0: motley chooses */
    /*
     * Processors that the plan may use, as mly_machine_select gives them; borrowed for the call. NULL:
     * the machine's cores. Of modelled ones nothing is measured.
     */
    const struct mly_processor_list *processors;
    bool no_replicas;  /* of pipelines: every segment on one processor */
    int64_t budget_ns; /* time that measuring may take; 0: 40 s */
    bool again;        /* measure anew, and forget what is stored */
    /*
     * Sizes of symbolic dimensions other than the batch: array and names are borrowed for the call.
     * Those that get none count as 1 while measuring, and a remark names them.
     */
    const struct mly_dim_binding *dims;
    size_t dim_count;
    const char *backend; /* borrowed for the call: the runtime, "ort"; NULL: motley's choice */
    /*
     * Called from the calling thread while measuring and while planning; may be NULL. fraction is in
     * [0, 1], text (borrowed for the call) says what runs now. Returns false to stop: what is measured so
     * far is stored, and mly_decide returns MLY_E_CANCELLED.
     */
    bool (*progress)(double fraction, const char *text, void *user);
    /*
     * Called from the calling thread with a sentence that the user should see (borrowed for the
     * call): stored measurements that are of no use, dimensions that count as 1, a box too noisy to
     * decide on. NULL: they are written to standard error as warnings.
     */
    void (*remark)(const char *text, void *user);
    void *user; /* handed to progress and remark */
};

/*
 * Measures the model on this machine, unless measurements of it are stored, and makes a plan. The
 * measurements are stored in the cache directory by model, machine, runtime and the sizes of
 * dimensions. The types and shapes that the file leaves open are asked of the runtime and kept in
 * the model. model and machine (this box, not a
 * synthetic one) are borrowed for the call. options may be NULL. *out is owned by the caller
 * (mly_plan_destroy).
 * Errors: MLY_E_UNSUPPORTED or MLY_E_BACKEND if no runtime can run the model (with its reason and
 * node); MLY_E_ABSENT without a usable runtime or processor; MLY_E_INVALID for an unknown planner,
 * more groups than cores, a batch other than a fixed one, or a synthetic machine with nothing
 * stored; MLY_E_LIMIT if nothing measured fits the memory; MLY_E_NOT_FOUND if what was asked for was
 * not measured; MLY_E_CANCELLED if progress said so; MLY_E_IO; MLY_E_NO_MEMORY.
 * Threads: one call at a time per model object. Measuring uses all cores of the machine: results
 * of two calls at once mean nothing.
 * Cost: opening the sessions of every configuration, then up to about the budget, the first time;
 * milliseconds afterwards.
 */
MLY_API enum mly_status mly_decide(mly_model *model, const mly_machine *machine,
                                   const struct mly_decide_options *options, mly_plan **out,
                                   struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif
