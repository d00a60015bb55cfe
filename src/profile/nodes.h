/* Times of single nodes. */
#ifndef MLY_PROFILE_NODES_H
#define MLY_PROFILE_NODES_H

#include "model/segment.h"
#include "profile/profile.h"

/* Runs the whole model on one thread with the runtime's own profiling and puts a NODE entry per node of the model into the table. */
enum mly_status profile_nodes(const mly_model *model, const struct mly_segment *whole,
                              const mly_machine *machine, const struct mly_profile_options *options,
                              uint32_t batch, mly_cost_table *table,
                              struct mly_error *err) MLY_MUST_CHECK;

#endif
