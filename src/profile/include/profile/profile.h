/* Measuring a model on the processors of this box into a cost table. */
#ifndef MLY_PROFILE_PROFILE_H
#define MLY_PROFILE_PROFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/model.h>

#include "cost/table.h"
#include "model/graph.h"

/* Told about progress from the measuring thread. */
struct mly_profile_progress {
    double fraction;  /* of the time that measuring should take; never falls */
    const char *text; /* "2 groups x 1 thread, batch 8": what runs now */
};

/* All pointers are borrowed for the call. */
struct mly_profile_options {
    const char *backend; /* by its registered name; NULL: "ort" */
    /* Ascending, each 1 to 1e6; NULL: 1,2,4,8,16 (just the fixed batch for models that have one). */
    const uint32_t *batches;
    uint32_t batch_count;
    /* NULL: 1, 2, 4, … and the number of cores, by what the topology offers. */
    const uint32_t *group_counts;
    uint32_t group_count_count;
    /* Sizes of symbolic dimensions other than the batch; 1 where not given, with a remark. */
    const struct mly_dim_binding *bindings;
    size_t binding_count;
    bool nodes;            /* per-node times too */
    bool again;            /* measure anew; done, the table has forgotten what it held before */
    int64_t budget_ns;     /* time for all measuring, shared fairly; 0: 40 s */
    int64_t slice_ns;      /* of one configuration in a round; 0: by the budget */
    uint64_t memory_bytes; /* that measuring may take; 0: what is available */
    /*
     * May be NULL; may be set from a signal handler or another thread: keeps what is done and
     * returns MLY_E_CANCELLED soon.
     */
    const atomic_bool *stop;
    /* From the measuring thread; returns false to stop, like the flag. */
    bool (*progress)(const struct mly_profile_progress *progress, void *user);
    /* A sentence that the user should see; NULL: logged as a warning. */
    void (*remark)(const char *text, void *user);
    void *user;
};

/*
 * Identity under which this model's costs on this machine are stored, by the options' backend and
 * bindings (options may be NULL). MLY_E_INVALID for a binding that does not fit the model;
 * MLY_E_NOT_FOUND or MLY_E_ABSENT for a back end that is not there.
 */
enum mly_status mly_profile_identity(const mly_model *model, const mly_machine *machine,
                                     const struct mly_profile_options *options,
                                     struct mly_cost_identity *out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/*
 * Measures into `table` what it lacks (everything with `again`): the box's noise first, then the
 * baseline (the runtime's defaults) and every configuration of groups x threads x spin x batch, all
 * groups at once, in interleaved rounds so that drift hits all alike; medians and spread.
 * Batch sizes that time or memory do not allow, or that the model does not take, are left out with
 * a remark. options may be NULL. On MLY_E_CANCELLED the table holds what was measured for at least
 * one round.
 * Errors: MLY_E_INVALID for a synthetic machine, batch sizes, groups or bindings that do not fit;
 * MLY_E_NOT_FOUND for an unknown back end; MLY_E_LIMIT when not even the least batch fits the
 * memory; a configuration that cannot be opened, or not run with the least batch, is an error that
 * names it; MLY_E_CANCELLED; MLY_E_NO_MEMORY.
 * One call at a time per model; measuring uses all cores.
 */
enum mly_status mly_profile_run(mly_model *model, const mly_machine *machine,
                                const struct mly_profile_options *options, mly_cost_table *table,
                                struct mly_error *err) MLY_MUST_CHECK;

/*
 * A sentence into text if the noise of the box, or spread (relative, of what matters most), is so
 * large that decisions mean little; else false.
 */
bool mly_profile_noise_remark(const mly_cost_table *table, double spread, char *text,
                              size_t text_bytes);

/* Makes types and shapes of all tensors known by asking the runtime, if the file left any open. */
enum mly_status mly_profile_infer_shapes(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;
/*
 * The same, and what then is still open is asked for these sizes of symbolic dimensions (borrowed
 * for the call), whose they are from then on.
 */
enum mly_status mly_profile_infer_shapes_for(mly_model *model,
                                             const struct mly_dim_binding *bindings, size_t count,
                                             struct mly_error *err) MLY_MUST_CHECK;

#endif
