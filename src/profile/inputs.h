/* Inputs to measure with: right types and shapes, arbitrary but harmless values. */
#ifndef MLY_PROFILE_INPUTS_H
#define MLY_PROFILE_INPUTS_H

#include "model/graph.h"

/* New array of one tensor per model input for that batch size; free with profile_inputs_free. Dimensions that nothing binds are 1. */
enum mly_status profile_inputs_make(const mly_model *model, const struct mly_dim_binding *bindings,
                                    size_t binding_count, uint32_t batch, struct mly_tensor **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void profile_inputs_free(const mly_model *model, struct mly_tensor *inputs);

#endif
