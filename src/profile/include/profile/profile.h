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

/* Told about progress from the measuring thread. done and total count measurements; text says what runs now. */
struct mly_profile_progress {
    uint32_t done, total;
    const char *text;                 /* "2 groups x 1 thread, batch 8" */
    int64_t elapsed_ns, remaining_ns; /* remaining -1 while unknown */
};

struct mly_profile_options {
    const uint32_t
        *batches; /* ascending; NULL: 1,2,4,8,16 (just the fixed batch for models that have one) */
    uint32_t batch_count;
    const uint32_t
        *group_counts; /* NULL: 1, 2, 4, … and the number of cores, by what the topology offers */
    uint32_t group_count_count;
    const struct mly_dim_binding
        *bindings; /* sizes of symbolic dimensions other than the batch; 1 where not given */
    size_t binding_count;
    bool nodes;        /* per-node times too */
    bool again;        /* measure even what the table already holds */
    int64_t budget_ns; /* time for all measuring, shared fairly; 0: 40 s */
    const atomic_bool *
        stop; /* may be NULL; set from a signal handler: keeps what is done and returns MLY_E_CANCELLED */
    /* From the measuring thread; returns false to stop, like the flag. */
    bool (*progress)(const struct mly_profile_progress *progress, void *user);
    void *user;
};

/* Identity under which this model's costs on this machine are stored. */
enum mly_status mly_profile_identity(const mly_model *model, const mly_machine *machine,
                                     struct mly_cost_identity *out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/*
 * Measures into `table` (which keeps what it has unless `again`): the box's noise first, the baseline (the runtime's defaults), then every
 * configuration of groups x threads x spin x batch, all groups at once, in interleaved rounds so that drift hits all alike; medians and spread. A configuration that the
 * runtime cannot open or run is left out with a word in the log. On MLY_E_CANCELLED the table holds what was finished.
 */
enum mly_status mly_profile_run(mly_model *model, const mly_machine *machine,
                                const struct mly_profile_options *options, mly_cost_table *table,
                                struct mly_error *err) MLY_MUST_CHECK;

/* Makes types and shapes of all tensors known by asking the runtime, if the file left any open. */
enum mly_status mly_profile_infer_shapes(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;

#endif
